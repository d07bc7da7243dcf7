"""Files of a checkpoint that others wrote: read so that whatever is wrong with them is one line."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.files import disk_full_error

CONFIG = "config.json"
MAX_REASON = 300
"""Characters of what a library says."""

_COUNTS = re.compile(r"(_dim|_size|_embd|_inner|_model|heads?|experts)$")
_LAYERS = re.compile(r"^(?!max_).*(layers?|blocks)$")
"""Names of what a config says the model has so many of: each takes one weight or more."""


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn any error of a library on a file that it cannot read into a UserError that names `what`.

    Libraries meet broken files with errors of all kinds. A full disk stays what it is, and so does Ctrl-C.
    """
    try:
        yield
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"cannot load {what}: it does not fit into this machine's memory") from None
    except Exception as error:
        if disk_full_error(error, Path(what)):
            raise
        raise UserError(f"cannot load {what}: {_reason(error)}") from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of libraries written in Rust
            raise
        raise UserError(f"cannot load {what}: {_reason(error)}") from None


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file. Raises UserError for one that is missing, or holds anything else."""
    with reading(str(path)):
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError("it is no JSON object")
    return value


def require_plausible(folder: Path) -> None:
    """Raise UserError where `folder` has weights that its config.json asks impossibly much more of.

    A library would make a model of that shape, for as long as it takes, before it looks at the weights.
    """
    config = read_object(folder / CONFIG)
    tensors, numbers = _stored(folder)
    if not tensors:
        return
    for name, count in _integers(config):
        most, of = (tensors, "tensors") if _LAYERS.search(name) else (numbers, "numbers")
        if count > most and (_LAYERS.search(name) or _COUNTS.search(name)):
            raise UserError(
                f"cannot load the model in {folder}: its config.json says {name}: {count}, and its weights are only"
                f" {most} {of}; download the folder again"
            )


def _stored(folder: Path) -> tuple[int, int]:
    """Count the tensors in the safetensors files, and the numbers in them."""
    from safetensors import safe_open

    shapes: list[list[int]] = []
    with reading(f"the model in {folder}"):
        for path in folder.glob("*.safetensors"):
            with safe_open(path, "numpy") as file:
                shapes += [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118 (it is no dict)
    return len(shapes), sum(map(prod, shapes))


def _integers(config: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield the integers of the config and of the configs in it."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _integers(value)
        elif type(value) is int:
            yield name, value


def _reason(error: BaseException) -> str:
    line = " ".join(str(error).split())
    text = f"{line[:MAX_REASON]} ..." if len(line) > MAX_REASON else line
    return text if isinstance(error, (OSError, ValueError)) and text else f"{type(error).__name__}: {text}"

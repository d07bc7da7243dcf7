"""Strict configuration: YAML into frozen dataclasses."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from harness.config.codec import decode
from harness.errors import UserError, named, unknown

T = TypeVar("T")

CONFIGS = Path(__file__).parents[2] / "configs"


def config_path(name: str) -> Path:
    """Return the packaged configuration file `name`, such as ``judges.yaml``.

    Raises UserError with the nearest name.
    """
    path = CONFIGS / name
    if not path.is_file():
        raise unknown("configuration", name, (str(p.relative_to(CONFIGS)) for p in CONFIGS.rglob("*.yaml")))
    return path


def named_config(kind: str, name: str, files: str, hint: str = "") -> Path:
    """Return the packaged file of a `kind` by its name; `files` is a pattern, such as ``accelerate/*.yaml``.

    Raises UserError for an unknown name, with the nearest one, and `hint` after it.
    """
    return named(kind, name, {path.stem: path for path in CONFIGS.glob(files)}, hint)


def path_text(path: Path) -> str:
    """Return how messages call a file: ``configs/judges.yaml`` for one of the package, its path for any other."""
    return str(path.relative_to(CONFIGS.parent)) if path.is_relative_to(CONFIGS) else str(path)


def from_mapping(type: type[T], mapping: Mapping[str, Any], where: str) -> T:
    """Decode `mapping` as an instance of the frozen dataclass `type`.

    Raises UserError that names `where` and the key when one is unknown (with the nearest valid key), missing, or of the
    wrong type. Types that can be used in `type`: see `harness.config.codec.decode`.
    """
    return decode(type, mapping, where)


def load_yaml(path: Path, type: type[T]) -> T:
    """Load the YAML file `path` as an instance of the frozen dataclass `type`.

    Raises UserError as `from_mapping` does.
    """
    return from_mapping(type, read_yaml(path), str(path))


def is_path(reference: str) -> bool:
    """Return whether a scale is named by its file, not by its name: ``./mine.yaml``, ``mine.yaml``, ``folder/mine``."""
    return "/" in reference or reference.endswith((".yaml", ".yml"))


def name_in(reference: str) -> str:
    """Return the name of a scale given by name or by file: that of its file, without what follows the dot."""
    return Path(reference).stem if is_path(reference) else reference


def read_yaml(path: Path) -> Any:
    """Read the plain content of a YAML file. A key given twice is an error; ``5e-7`` is a number, as in YAML 1.2.

    Raises UserError for what cannot be read, and for what is no YAML.
    """
    import yaml

    try:
        return yaml.load(path.read_text(encoding="utf-8"), _strict_loader())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{path}{line}: {error.problem}") from None
    except RecursionError:
        raise UserError(f"{path}: nested too deeply for a configuration") from None
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise UserError(f"{path}: {error}") from None  # the last four of a tag that its value does not fit


def parse_yaml(text: str, where: str) -> Any:
    """Return the plain content of one value as YAML 1.2 reads it. Raises UserError, with `where`, for no YAML."""
    import yaml

    try:
        return yaml.load(text, _strict_loader())
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{where}: cannot read {text!r}: {str(error).splitlines()[0]}") from None


def _strict_loader() -> Any:
    import yaml

    class StrictLoader(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            for index, (key, (key_node, _)) in enumerate(zip(keys, node.value, strict=True)):
                if key in keys[:index]:
                    raise yaml.MarkedYAMLError(problem=f"key {key!r} is given twice", problem_mark=key_node.start_mark)
            return super().construct_mapping(node, deep)

    # YAML 1.1, which PyYAML follows, reads 5e-7 as text because it has no dot.
    exponent = re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$")
    StrictLoader.add_implicit_resolver("tag:yaml.org,2002:float", exponent, list("-+0123456789"))
    return StrictLoader

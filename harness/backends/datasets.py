"""What a data reference means, and how its rows become ours.

A local `.jsonl` or `.json` file. One object is one row, by its columns:

- `prompt` or `instruction`, with `response` or `output`: a request and its answer;
- `prompt` or `instruction`, with `chosen` and `rejected`: a request and two answers, the first preferred.
"""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from harness.core.errors import UserError
from harness.core.records import PreferencePair, Prompt, Response

RowKind = Literal["responses", "pairs"]

PROMPTS = ("prompt", "instruction")
ANSWERS = ("response", "output", "chosen")


def data_fingerprint(reference: str) -> str:
    """What identifies the data set's content: a digest of its file. Raises UserError where it cannot be read."""
    return sha256(_bytes(reference)).hexdigest()


def read_data(reference: str, split: str, kind: RowKind, size: int) -> Iterator[Response | PreferencePair]:
    """The first `size` rows. Raises UserError for a row without what `kind` needs, naming it, and for too few rows."""
    rows = list(islice(_objects(reference), size))
    if len(rows) < size:
        raise UserError(f"{reference} has {len(rows)} rows, not {size}; ask for fewer")
    return (_row(row, kind, f"{reference}:{number}", Path(reference).stem) for number, row in enumerate(rows, 1))


def _objects(reference: str) -> Iterator[Mapping[str, Any]]:
    text = _bytes(reference).decode("utf-8")
    if reference.endswith(".json"):
        yield from json.loads(text)
        return
    for number, line in enumerate(text.splitlines(), 1):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise UserError(f"{reference}:{number}: not JSON: {error}") from None


def _row(row: Mapping[str, Any], kind: RowKind, where: str, name: str) -> Response | PreferencePair:
    text = _column(row, PROMPTS, where)
    prompt = Prompt(str(row.get("id") or f"{name}-{sha256(text.encode()).hexdigest()[:12]}"), text)
    if kind == "pairs":
        return PreferencePair(prompt, _column(row, ("chosen",), where), _column(row, ("rejected",), where))
    return Response(prompt, _column(row, ANSWERS, where), str(row.get("generator", name)))


def _column(row: Mapping[str, Any], names: tuple[str, ...], where: str) -> str:
    for name in names:
        if isinstance(value := row.get(name), str) and value.strip():
            return value
    raise UserError(f"{where}: no text in {' or '.join(names)}; give each row one, or take the row out")


def _bytes(reference: str) -> bytes:
    try:
        return Path(reference).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the data set {reference}: {error.strerror}") from None

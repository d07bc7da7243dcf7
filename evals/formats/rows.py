"""Rows of a file, whichever way it lays them out: as JSON, as JSON lines or as a table. Its content tells.

A row comes with the place where it stands, for error messages: a line of the file, or a row counted from 1.
"""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.models.row_files import NotJson, parsed, table_rows, text_lines
from harness.texts import format_names

PlacedRow = tuple[str, dict[str, Any]]
"""(place, fields)."""

MAX_DIGITS = 15  # of an index or a length: such a number is exact as a float too

_NAMED_JSON = (".json", ".jsonl")
FILE_KINDS = (*_NAMED_JSON, ".csv", ".tsv")
"""How names of files end that hold rows, but for .gz."""


def read_rows(path: Path) -> list[PlacedRow]:
    """Return the rows of a file that holds a JSON array of objects, one JSON object a line, JSON columns, or a table.

    Raises UserError for a file that cannot be read, that is none of these or has no row, and for a field given twice.
    """
    text = _read_text(path)
    start = text.lstrip()[:1]
    if start == "{":
        rows = list(_objects(path, text))
    elif start == "[" or _kind(path) in _NAMED_JSON:
        rows = list(_array(path, text))
    else:
        rows = list(_table(path, text))
    if not rows:
        raise UserError(f"{path}: no rows under the header")
    return rows


def read_table(path: Path, columns: Sequence[str]) -> list[PlacedRow]:
    """Return the rows of a table that has `columns`, and perhaps others. Raises UserError as `read_rows`."""
    rows = list(_table(path, _read_text(path)))
    if not rows:
        raise UserError(f"{path}: no rows under the header")
    require_columns(path, rows[0][1], columns)
    return rows


def _read_text(path: Path) -> str:
    """Return the text of a file. Raises UserError if that cannot be read, or nothing is in it."""
    if not path.exists():
        raise UserError(f"{path}: no such file")
    text = "".join(line for _, line in text_lines(path, str(path)))
    if not text.strip():
        raise UserError(f"{path}: the file is empty")
    return text


def bare_name(path: Path) -> str:
    """Return the file's name without the suffixes that say how it is laid out: what a file that names no model is
    called by.

    Dots in the name stay: gpt-4.1.json is of gpt-4.1.
    """
    name = path.name.removesuffix(".gz")
    return Path(name).stem if Path(name).suffix in FILE_KINDS else name


def require_columns(path: Path, header: Iterable[str], columns: Sequence[str]) -> None:
    """Raise UserError unless all `columns` are in the header."""
    names = list(header)
    missing = [column for column in columns if column not in names]
    if missing:
        raise UserError(
            f"{path}: no column {', '.join(map(repr, missing))} (has: {format_names(names)}); expected: "
            f"{', '.join(columns)}"
        )


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")


def _kind(path: Path) -> str:
    """Return the suffix, without .gz."""
    return Path(path.name.removesuffix(".gz")).suffix


def _array(path: Path, text: str) -> Iterator[PlacedRow]:
    rows = parsed(text, str(path), 1)
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{path}: expected a JSON array of objects, with at least one")
    for number, row in enumerate(rows, start=1):
        yield _object(row, f"{path}, row {number}")


def _objects(path: Path, text: str) -> Iterator[PlacedRow]:
    """Return the rows of one object alone, which holds columns or is the only row, or of one object a line."""
    try:
        value = parsed(text, str(path), 1)
    except NotJson:
        return _lines(path, text)
    return _columns(path, value) if _holds_columns(value) else iter([(f"{path}:1", value)])


def _lines(path: Path, text: str) -> Iterator[PlacedRow]:
    """Read one JSON object a line; empty lines are passed over."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield _object(parsed(line, str(path), number), f"{path}:{number}")


def _object(row: Any, where: str) -> PlacedRow:
    if not isinstance(row, dict):
        raise UserError(f"{where}: not a JSON object")
    return where, row


def _holds_columns(value: Mapping[str, Any]) -> bool:
    """Return whether an object holds columns: lists, or objects by row as pandas writes them, and nothing else."""
    return {type(column) for column in value.values()} in ({list}, {dict})


def _columns(path: Path, columns: Mapping[str, Any]) -> Iterator[PlacedRow]:
    cells = [column if isinstance(column, dict) else dict(enumerate(column)) for column in columns.values()]
    keys = list(cells[0])
    if not keys or any(set(column) != set(keys) for column in cells):
        raise UserError(f"{path}: columns ({', '.join(columns)}) of different or no rows; write the file again")
    for number, key in enumerate(keys, start=1):
        yield f"{path}, row {number}", {name: column[key] for name, column in zip(columns, cells, strict=True)}


def _table(path: Path, text: str) -> Iterator[PlacedRow]:
    """Yield the rows of a table, parted by tabs where its header has any, and else by commas; an empty cell is None."""
    delimiter = "\t" if "\t" in text.split("\n", 1)[0] else ","
    lines = enumerate(io.StringIO(text, newline=""), start=1)
    for where, row in table_rows(lines, str(path), delimiter):
        yield where, {name: cell or None for name, cell in row.items()}

"""Rows of a file, whichever way it lays them out: as JSON, as JSON lines or as a table. Its content tells.

A row comes with the place where it stands, for error messages: a line of the file, or a row counted from 1.
"""

import csv
import gzip
import io
import json
import reprlib
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.core.errors import UserError
from harness.core.texts import names_shown

Row = tuple[str, dict[str, Any]]
"""(place, fields)."""

MAX_DIGITS = 15  # of an index or a length: such a number is exact as a float too

_GZIP_START = b"\x1f\x8b"
_NAMED_JSON = (".json", ".jsonl")
FILE_KINDS = (*_NAMED_JSON, ".csv", ".tsv")
"""How names of files end that hold rows, but for .gz."""


def read_rows(path: Path) -> list[Row]:
    """The rows of a file that holds a JSON array of objects, one JSON object a line, JSON columns, or a table.

    Raises UserError for a file that cannot be read, that is none of these or has no row, and for a field given twice.
    """
    text = read_text(path)
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


def read_table(path: Path, columns: Sequence[str]) -> list[Row]:
    """The rows of a table that has `columns`, and perhaps others. Raises UserError as `read_rows`."""
    text = read_text(path)
    header = _cells(path, text).fieldnames
    require_columns(path, header or (), columns)
    rows = list(_table(path, text))
    if not rows:
        raise UserError(f"{path}: no rows under the header")
    return rows


def read_text(path: Path) -> str:
    """The text of a file, unpacked when its name ends in .gz. Raises UserError if that fails or nothing is in it."""
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(
            f"{path}: not UTF-8 text; save it as UTF-8, or, if it is compressed, its name must end in .gz"
        ) from None
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problem = f"not a whole gzip file ({error})" if data.startswith(_GZIP_START) else "not a gzip file"
        raise UserError(f"{path}: {problem}; fetch it again, or drop .gz from its name") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    if not text.strip():
        raise UserError(f"{path}: the file is empty")
    return text


def bare_name(path: Path) -> str:
    """The file's name without the suffixes that say how it is laid out: what a file that names no model is called by.

    Dots in the name stay: gpt-4.1.json is of gpt-4.1.
    """
    name = path.name.removesuffix(".gz")
    return Path(name).stem if Path(name).suffix in FILE_KINDS else name


def require_columns(path: Path, header: Iterable[str], columns: Sequence[str]) -> None:
    """Raises UserError unless all `columns` are in the header."""
    names = list(header)
    missing = [column for column in columns if column not in names]
    if missing:
        raise UserError(
            f"{path}: no column {', '.join(map(repr, missing))} (has: {names_shown(names)}); expected: "
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
    """The suffix, without .gz."""
    return Path(path.name.removesuffix(".gz")).suffix


def _array(path: Path, text: str) -> Iterator[Row]:
    try:
        rows = _parsed(text, str(path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{path}: expected a JSON array of objects, with at least one")
    for number, row in enumerate(rows, start=1):
        where = f"{path}, row {number}"
        if not isinstance(row, dict):
            raise UserError(f"{where}: not a JSON object")
        yield where, row


def _objects(path: Path, text: str) -> Iterator[Row]:
    """The rows of one object alone, which holds columns or is the only row, or of one object a line."""
    try:
        value = _parsed(text, str(path))
    except json.JSONDecodeError:
        return _lines(path, text)
    return _columns(path, value) if _holds_columns(value) else iter([(f"{path}:1", value)])


def _lines(path: Path, text: str) -> Iterator[Row]:
    """One JSON object a line; empty lines are passed over."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = _parsed(line, where)
        except json.JSONDecodeError as error:
            raise UserError(f"{where}: not JSON: {error.msg}; is the line cut off?") from None
        if not isinstance(row, dict):
            raise UserError(f"{where}: not a JSON object")
        yield where, row


def _holds_columns(value: Mapping[str, Any]) -> bool:
    """Whether an object holds columns: lists, or objects by row as pandas writes them, and nothing else."""
    return {type(column) for column in value.values()} in ({list}, {dict})


def _columns(path: Path, columns: Mapping[str, Any]) -> Iterator[Row]:
    cells = [column if isinstance(column, dict) else dict(enumerate(column)) for column in columns.values()]
    keys = list(cells[0])
    if not keys or any(set(column) != set(keys) for column in cells):
        raise UserError(f"{path}: columns ({', '.join(columns)}) of different or no rows; write the file again")
    for number, key in enumerate(keys, start=1):
        yield f"{path}, row {number}", {name: column[key] for name, column in zip(columns, cells, strict=True)}


def _cells(path: Path, text: str) -> "csv.DictReader[str]":
    """A reader of the table, whose cells are parted by tabs where its header has any, and else by commas."""
    csv.field_size_limit(sys.maxsize)  # an answer may be longer than the module's 131,072 characters a cell
    delimiter = "\t" if "\t" in text.split("\n", 1)[0] else ","
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = Counter(reader.fieldnames or ())
    except csv.Error as error:
        raise _no_table(path, reader, error) from None
    if len(header) == 1 and ";" in "".join(header):
        raise UserError(f"{path}: its cells are parted by semicolons; write it with commas, or tabs, between them")
    if twice := [name for name, count in header.items() if count > 1]:
        raise UserError(f"{path}: the column {reprlib.repr(twice[0])} is there twice; keep one")
    return reader


def _table(path: Path, text: str) -> Iterator[Row]:
    """The rows of a table; an empty cell is None."""
    reader = _cells(path, text)
    width = len(reader.fieldnames or ())
    try:
        for row in reader:
            where = f"{path}:{reader.line_num}"
            if None in row or None in row.values():
                raise UserError(f"{where}: {width} cells expected; is the line cut off, or a comma unquoted?")
            yield where, {name: cell or None for name, cell in row.items()}
    except csv.Error as error:
        raise _no_table(path, reader, error) from None


def _no_table(path: Path, reader: "csv.DictReader[str]", error: csv.Error) -> UserError:
    where = f"{path}:{reader.reader.line_num}"
    return UserError(f"{where}: not a table of comma-separated values: {error}; is a quote left open?")


class _Twice(ValueError):
    """A key of a JSON object that it gives twice."""


def _parsed(text: str, where: str) -> Any:
    """The value of a JSON text, in which integers too long for an index are floats: Python limits an int's digits."""
    try:
        return json.loads(text, parse_int=_integer, object_pairs_hook=_object)
    except RecursionError:
        raise UserError(f"{where}: brackets nested too deep; expected plain objects, so write the file again") from None
    except _Twice as twice:
        raise UserError(f"{where}: the field {reprlib.repr(str(twice))} is in one object twice; keep one") from None


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise _Twice(next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1))
    return fields

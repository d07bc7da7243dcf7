"""The rows of a data file, each with its place: the line or row that errors name.

`.json` and `.jsonl`: one list of rows, or one row a line, whichever the file begins as. `.csv` and `.tsv`: a table with
a header, whose cells are texts. Each of these may be compressed (`.gz`) and begin with a byte order mark. `.parquet`.

What they are made of reads files of answers and verdicts, too (`evals.formats.rows`): lines, JSON and tables.

The readers of the `datasets` package are not used: they name no line, guess types (an id "01" becomes the number 1),
and keep a copy of every file.
"""

import csv
import gzip
import json
import reprlib
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, count, dropwhile, filterfalse, islice
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.models.hub import DATA_FILES

FileRows = Iterator[tuple[str, Any]]
"""(place, row): the place is ``name:line``, in lists of rows and in parquet ``name:row``; the row is any JSON value."""


def file_rows(path: Path, name: str) -> FileRows:
    """Return the rows of the file at `path`, which errors call `name`, as they are read.

    Raises UserError for a file of another kind, one that cannot be read, and one that is not what its name says.
    """
    if not path.name.endswith(DATA_FILES):
        raise UserError(f"cannot read the data set {name}: not {', '.join(DATA_FILES)}")
    return _READERS[path.name.removesuffix(".gz").rpartition(".")[2]](path, name)


def _json_rows(path: Path, name: str) -> FileRows:
    lines = dropwhile(_is_blank, text_lines(path, name))
    first = list(islice(lines, 1))
    if first and first[0][1].lstrip().startswith("["):
        text = "".join(line for _, line in chain(first, lines))
        rows = parsed(text, name, first[0][0])
        yield from ((f"{name}:{number}", row) for number, row in enumerate(rows, 1))
        return
    for number, line in filterfalse(_is_blank, chain(first, lines)):
        yield f"{name}:{number}", parsed(line.strip(), name, number)


def _is_blank(line: tuple[int, str]) -> bool:
    return not line[1].strip()


class NotJson(UserError):
    """A text that is no JSON, or more than one value."""


def parsed(text: str, name: str, line: int) -> Any:
    """Return the value of a JSON text that begins in line `line` of the file `name`.

    Raises NotJson, and UserError for brackets nested too deep and a key given twice.
    """
    where = f"{name}:{line}"
    try:
        return json.loads(text, parse_int=_integer, object_pairs_hook=partial(_distinct, where=where))
    except json.JSONDecodeError as error:
        place = f"{name}:{line + error.lineno - 1}"
        raise NotJson(
            f"{place}: not JSON: {error.msg} at character {error.colno}; a file holds one object a line and no more, or"
            " one list of objects"
        ) from None
    except RecursionError:
        raise UserError(f"{where}: brackets nested too deep; remove the row") from None


def _integer(digits: str) -> int | float:
    """Read an integer exactly, but as infinite with more digits than Python reads.

    A number in a column that is not read does no harm.
    """
    return int(digits) if len(digits) <= sys.get_int_max_str_digits() else float(digits)


def _distinct(pairs: Sequence[tuple[str, Any]], where: str) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):  # which of the values is meant is not known
        key = reprlib.repr(_repeated([key for key, _ in pairs]))
        raise UserError(f"{where}: the key {key} is there twice in one object; keep one")
    return made


def _repeated(names: Sequence[str]) -> str | None:
    return next((name for name, times in Counter(names).items() if times > 1), None)


def table_rows(lines: Iterable[tuple[int, str]], name: str, delimiter: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rows of a table with a header; a row's place is the line where it begins.

    Raises UserError for a column given twice, another number of cells than columns, and a quote left open.
    """
    csv.field_size_limit(sys.maxsize)  # a conversation may be longer than the module's 131,072 characters a cell
    reader = csv.reader((line for _, line in lines), delimiter=delimiter, strict=True)
    line = 1
    try:
        header = next(reader, [])
        if (twice := _repeated(header)) is not None:
            raise UserError(f"{name}:1: two columns are called {reprlib.repr(twice)}; keep one")
        if len(header) == 1 and ";" in header[0]:
            raise UserError(f"{name}: its columns are separated by semicolons; separate them by commas or tabs")
        line = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(header):
                raise UserError(
                    f"{name}:{line}: {len(cells)} cells under {len(header)} columns; put text that holds the separator"
                    " or a line end between quotes"
                )
            if cells:
                yield f"{name}:{line}", dict(zip(header, cells, strict=True))
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{name}:{line}: not a row of a table ({error}); is a quote left open?") from None


def text_lines(path: Path, name: str) -> Iterator[tuple[int, str]]:
    """Yield (number, line with its end); lines end at line feeds alone, as texts may hold other line ends.

    A file whose name ends in .gz is unpacked. Raises UserError for one that cannot be read or is not UTF-8.
    """
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield number, line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{name}:{number}: not UTF-8 text at byte {error.start}; save it as UTF-8; if it is compressed, end its"
            " name in .gz"
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{name}: not a whole gzip file ({error}); fetch it again, or drop .gz from its name") from None
    except OSError as error:
        raise UserError(f"{name}: cannot be read: {error.strerror or error}") from None


def _parquet_rows(path: Path, name: str) -> FileRows:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    number = count(1)
    try:
        with ParquetFile(path) as file:
            if (twice := _repeated(file.schema_arrow.names)) is not None:
                raise UserError(f"{name}: two columns are called {twice!r}; keep one")
            for batch in file.iter_batches(batch_size=1000):
                yield from ((f"{name}:{next(number)}", row) for row in batch.to_pylist())
    except (OSError, ArrowException, ValueError, OverflowError) as error:  # the last two: values Python has no type for
        raise UserError(f"cannot read the data set {name}: {error}") from None


_READERS: dict[str, Callable[[Path, str], FileRows]] = {
    "jsonl": _json_rows,
    "json": _json_rows,
    "csv": lambda path, name: table_rows(text_lines(path, name), name, ","),
    "tsv": lambda path, name: table_rows(text_lines(path, name), name, "\t"),
    "parquet": _parquet_rows,
}

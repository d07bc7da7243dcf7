"""Data references, and the reading of their rows as ours.

- the path of a file (`harness.models.row_files` says of which kinds);
- `owner/name`, `owner/name@COMMIT`: a data set on the Hugging Face hub (`harness.models.hub`), where no such file is.
  The files of a `split` are its parquet files: `data/<split>-*.parquet`, or `<config>/<split>-*.parquet` and
  `<config>/<split>/*.parquet`, of which one is asked for as `<config>/<split>`.

`harness.models.row_layouts` says what the columns of a row mean. A row is identified by its `id` or `prompt_id`, else
by a hash of what is asked; `generator` names who wrote the answer. An answer must hold text, but for a rejected one,
which may be empty.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import chain, islice
from math import inf
from pathlib import Path, PurePosixPath
from typing import Any

from harness.engine.artifacts import Tracker
from harness.errors import UserError, unknown
from harness.files import file_digest
from harness.models.hub import NotFetched, Repository, hub_repository
from harness.models.row_files import file_rows
from harness.models.row_layouts import PROMPT, Exchange, RowKind, exchange
from harness.records import PreferencePair, Prompt, Response
from harness.texts import format_names, has_lone_surrogate

IDS = ("id", "prompt_id")
WRITERS = ("generator",)
ANSWER = "response"
GIVEN_ANSWERS = (ANSWER, "completion", "chosen", "rejected")
"""The answers that a row keeps beside a request of its data role."""

_PARTS = re.compile(r"-(?P<part>\d{5})-of-(?P<parts>\d{5})")


def data_fingerprint(reference: str) -> str:
    """Return the identity of the data set's content: its commit on the hub, or a digest of its file.

    Raises UserError where there is no such data set.
    """
    if on_hub := hub_repository("dataset", reference):
        return on_hub.commit
    try:
        return file_digest(Path(reference))
    except OSError as error:
        raise UserError(f"cannot read the data set {reference}: {error.strerror}{_mend(reference)}") from None


def _mend(reference: str) -> str:
    """Return what is to be done where the file of a data set is not there."""
    if reference.startswith("data/small/"):
        return "; `harness data split` makes it, of AlpacaEval's outputs (docs/small.md)"
    return "" if Path(reference).is_absolute() else "; a relative path starts at the current folder"


def data_files(reference: str, split: str, track: Callable[[int, str], Tracker] | None = None) -> Mapping[str, Path]:
    """Return the files with the rows of a split, in order, by the name that errors use; fetched if they are on the hub.

    `track` opens a progress display for (amount of work, unit): `Output.track`. Raises UserError for a split that there
    is not, and for what cannot be fetched.
    """
    on_hub = hub_repository("dataset", reference)
    if on_hub is None:
        if split:
            raise UserError(f"the data set {reference} is one file, without splits; leave out split {split!r}")
        return {reference: Path(reference)}
    names = list(split_sizes(on_hub, split))
    progress = track(len(names), "files") if track else None
    folder = on_hub.fetch(names, lambda name: progress.advance() if progress else None)
    return {f"{on_hub.name}/{name}": folder / name for name in names}


def split_sizes(on_hub: Repository, split: str) -> dict[str, int]:
    """Return the sizes in bytes of the split's parquet files, in order; of the cached ones without the hub.

    Raises UserError for a split that there is not, with the most similar one, and where the cache lacks a file.
    """
    try:
        splits = _splits(on_hub.files())
    except NotFetched:
        found = _files_of(split, _splits(on_hub.cached()))
        if not found or _lacks_parts(list(found)):
            raise
        return found
    if not splits:
        raise UserError(f"{on_hub.title} has no parquet files; save it as .jsonl, and name that file")
    if found := _files_of(split, splits):
        return found
    several = len({config for config, _ in splits}) > 1
    raise unknown(
        f"split of {on_hub.title}:", split, [f"{config}/{name}" if several else name for config, name in splits]
    )


Splits = Mapping[tuple[str, str], dict[str, int]]
"""The sizes of files by (configuration, split)."""


def _splits(there: Mapping[str, int]) -> Splits:
    splits: dict[tuple[str, str], dict[str, int]] = {}
    for path in sorted(path for path in there if path.endswith(".parquet")):
        splits.setdefault(_split_of(path), {})[path] = there[path]
    return splits


def _files_of(split: str, splits: Splits) -> dict[str, int]:
    """Return the split's files; none where there is no such split, or several configurations have one."""
    config, _, name = split.rpartition("/")
    fitting = [files for (of, found), files in splits.items() if found == name and config in ("", of)]
    return fitting[0] if len(fitting) == 1 else {}


def _split_of(path: str) -> tuple[str, str]:
    """Return (folder, split) of a parquet file: the split is the start of its name, or the folder that it lies in."""
    pure = PurePosixPath(path)
    by_name = _PARTS.split(pure.stem)[0]
    if by_name != pure.stem or len(pure.parts) < 3:
        return str(pure.parent), by_name
    return str(pure.parent.parent), pure.parent.name


def _lacks_parts(names: Sequence[str]) -> bool:
    """Return whether names such as ``train-00000-of-00003`` say that there are more files than these."""
    found = [match for match in map(_PARTS.search, names) if match]
    return any(int(match["parts"]) != len(found) for match in found)


def read_data(
    reference: str, split: str, kind: RowKind, size: int, request: str = "", answer: str = ""
) -> Iterator[Response | PreferencePair]:
    """Yield the first `size` rows of the split, as they are read.

    With `request`, a row asks for this text with its columns filled in, such as ``Sum up {article}``, in the place of
    what its layout has; `answer` is the column of the response, where no layout has it (`harness.models.row_layouts`).
    Rows with the same id, or without one and with the same request, get ids of their own. Raises UserError for a row
    without what `kind` needs, naming its file and line, and for too few rows.
    """
    name = _short_name(reference)
    ids: dict[str, int] = {}
    count = 0
    rows = chain.from_iterable(file_rows(path, file) for file, path in data_files(reference, split).items())
    for where, row in islice(rows, size):
        made = _row(with_columns(row, request, answer, where), kind, where, name)
        count += 1
        yield replace(made, prompt=replace(made.prompt, id=_unseen(made.prompt.id, ids)))
    if count < size:
        mend = "ask for fewer" if count else "is it the right file?"
        raise UserError(f"{reference} has {count or 'no'} rows, not {size}; {mend}")


def _unseen(id: str, seen: dict[str, int]) -> str:
    """Return the id, or the first of id-2, id-3, ... that no row has; `seen` has the last number given behind each."""
    candidate = id
    while candidate in seen:
        seen[id] += 1
        candidate = f"{id}-{seen[id]}"
    seen[candidate] = 1
    return candidate


def _short_name(reference: str) -> str:
    """Return the name that rows without an id or a writer are given."""
    if Path(reference).is_file():
        return Path(reference.removesuffix(".gz")).stem
    return reference.partition("@")[0].rpartition("/")[2]


def with_columns(row: Any, request: str, answer: str, where: str) -> Any:
    """Return the row with what its columns make of `request` as its prompt, and the column `answer` as its response.

    Raises UserError that begins with `where` for a column that it does not have.
    """
    if not (request or answer) or not isinstance(row, Mapping):
        return row
    answers = {ANSWER: row.get(answer)} if answer else {name: row[name] for name in GIVEN_ANSWERS if name in row}
    try:
        asked = request.format_map(row) if request else row[PROMPT]
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        raise UserError(
            f"{where}: the data role's request cannot be filled in ({error!r}); columns {format_names(row)}"
        ) from None
    if answer not in ("", *row):
        raise UserError(f"{where}: no column {answer!r}, the data role's answer; columns {format_names(row)}")
    return {**{name: row[name] for name in (*IDS, *WRITERS) if name in row}, PROMPT: asked, **answers}


def _row(row: Any, kind: RowKind, where: str, name: str) -> Response | PreferencePair:
    if not isinstance(row, Mapping):
        raise UserError(f"{where}: not an object with columns")
    read = exchange(row, kind, where)
    prompt = Prompt(_id(row, name, read, where), read.request, read.history)
    if kind == "pairs":
        return PreferencePair(prompt, *read.answers)
    return Response(prompt, read.answers[0], _label(row, WRITERS, where) or name)


def _id(row: Mapping[str, Any], name: str, read: Exchange, where: str) -> str:
    if label := _label(row, IDS, where):
        return label
    history = "".join(f"{message.role}: {message.content}\n" for message in read.history)
    return f"{name}-{sha256(f'{history}{read.request}'.encode()).hexdigest()[:12]}"


def _label(row: Mapping[str, Any], columns: Sequence[str], where: str) -> str:
    """Return the value of the first of the columns that has one; empty where none has."""
    for column in columns:
        if row.get(column) not in (None, ""):
            value = row[column]
            if isinstance(value, list | Mapping) or value == inf or has_lone_surrogate(str(value)):
                raise UserError(f"{where}: {column} is not a name or number; give it one, or drop the column")
            return str(value)
    return ""

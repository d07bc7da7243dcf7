"""What a data reference means, and how its rows become ours.

- the path of a `.jsonl`, `.json` (one list) or `.parquet` file;
- `owner/name`, `owner/name@COMMIT`: a data set on the Hugging Face hub (`harness.backends.hub`), where no such file is.
  The files of a `split` are its parquet files: `data/<split>-*.parquet`, or `<config>/<split>-*.parquet` and
  `<config>/<split>/*.parquet`, of which one is asked for as `<config>/<split>`.

A row is read by its columns:

- `prompt` or `instruction`, with `response` or `output`: a request and its answer;
- `messages`: a conversation, a list of {role, content}; its last turn is the answer, the turn before it the request,
  and what stands before that the request's history (UltraChat);
- `chosen` and `rejected`: two answers, the first preferred, to a `prompt` or `instruction`; or two such conversations,
  which differ in the last turn alone (UltraFeedback, DPO-Mix-7K). Where responses are wanted, the chosen one is taken.

A row is identified by its `id` or `prompt_id`, else by a hash of what is asked; `generator` names who wrote the answer.
An answer must hold text, but for a rejected one, which may be empty.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from harness.backends.hub import DATA_FILES, NotHere, Repository, hub_repository
from harness.core.artifacts import Tracker
from harness.core.errors import UserError, unknown
from harness.core.files import file_digest
from harness.core.records import Message, PreferencePair, Prompt, Response

RowKind = Literal["responses", "pairs"]

PROMPTS = ("prompt", "instruction")
ANSWERS = ("response", "output")
CONVERSATION = "messages"
IDS = ("id", "prompt_id")
WANTED: Mapping[RowKind, str] = {
    "responses": "prompt or instruction with response or output; messages; or chosen",
    "pairs": "chosen and rejected",
}

_MESSAGE_ROLES = ("system", "user", "assistant")
_PARTS = re.compile(r"-(?P<part>\d{5})-of-(?P<parts>\d{5})")


def data_fingerprint(reference: str) -> str:
    """What identifies the data set's content: its commit on the hub, or a digest of its file.

    Raises UserError where there is no such data set.
    """
    if on_hub := _on_hub(reference):
        return on_hub.commit
    try:
        return file_digest(Path(reference))
    except OSError as error:
        raise UserError(f"cannot read the data set {reference}: {error.strerror}") from None


def data_files(reference: str, split: str, track: Callable[[int, str], Tracker] | None = None) -> Mapping[str, Path]:
    """The files that hold the rows of a split, in order, by what errors call them; fetched if they are on the hub.

    `track` opens a progress display for (amount of work, unit): `Output.track`. Raises UserError for a split that there
    is not, and for what cannot be fetched.
    """
    on_hub = _on_hub(reference)
    if on_hub is None:
        if split:
            raise UserError(f"the data set {reference} is one file, without splits; leave out split {split!r}")
        return {reference: Path(reference)}
    names = list(split_sizes(on_hub, split))
    progress = track(len(names), "files") if track else None
    folder = on_hub.fetch(names, lambda name: progress.advance() if progress else None)
    return {f"{on_hub.name}/{name}": folder / name for name in names}


def split_sizes(on_hub: Repository, split: str) -> dict[str, int]:
    """The sizes in bytes of the split's parquet files, in order; of those in the cache where the hub cannot be asked.

    Raises UserError for a split that there is not, with the most similar one, and where the cache lacks a file.
    """
    try:
        splits = _splits(on_hub.files())
    except NotHere:
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
    for path in sorted(filter(_is_parquet, there)):
        splits.setdefault(_split_of(path), {})[path] = there[path]
    return splits


def _files_of(split: str, splits: Splits) -> dict[str, int]:
    """The split's files; none where there is no such split, or several configurations have one."""
    config, _, name = split.rpartition("/")
    fitting = [files for (of, found), files in splits.items() if found == name and config in ("", of)]
    return fitting[0] if len(fitting) == 1 else {}


def _is_parquet(path: str) -> bool:
    return path.endswith(".parquet")


def _split_of(path: str) -> tuple[str, str]:
    """(folder, split) of a parquet file: the split is what its name starts with, or the folder that it lies in."""
    pure = PurePosixPath(path)
    by_name = _PARTS.split(pure.stem)[0]
    if by_name != pure.stem or len(pure.parts) < 3:
        return str(pure.parent), by_name
    return str(pure.parent.parent), pure.parent.name


def _lacks_parts(names: Sequence[str]) -> bool:
    """Whether names such as ``train-00000-of-00003`` say that there are more files than these."""
    found = [match for match in map(_PARTS.search, names) if match]
    return any(int(match["parts"]) != len(found) for match in found)


def read_data(reference: str, split: str, kind: RowKind, size: int) -> Iterator[Response | PreferencePair]:
    """The first `size` rows of the split, as they are read.

    Rows with the same id, or without one and with the same request, get ids of their own. Raises UserError for a row
    without what `kind` needs, naming it, and for too few rows.
    """
    name = _short_name(reference)
    seen: dict[str, int] = {}
    for row, where in islice(_numbered(data_files(reference, split)), size):
        made = _row(row, kind, where, name)
        id = _unseen(made.prompt.id, seen)
        yield replace(made, prompt=replace(made.prompt, id=id))
    if len(seen) < size:
        raise UserError(f"{reference} has {len(seen)} rows, not {size}; ask for fewer")


def _unseen(id: str, seen: dict[str, int]) -> str:
    """Return the id, or the first of id-2, id-3, ... that is none of `seen`, which it is from then on.

    `seen` holds the last number that was tried for each: from there the search goes on, so that no number is tried
    twice, however many rows are equal.
    """
    number, candidate = seen.get(id, 0), id
    while candidate in seen:
        number += 1
        candidate = f"{id}-{number}"
    seen[id] = max(number, 1)
    seen.setdefault(candidate, 1)
    return candidate


def _on_hub(reference: str) -> Repository | None:
    return hub_repository("dataset", reference)


def _short_name(reference: str) -> str:
    """What rows without an id or a writer are called after."""
    return Path(reference).stem if Path(reference).is_file() else reference.partition("@")[0].rpartition("/")[2]


def _numbered(files: Mapping[str, Path]) -> Iterator[tuple[Any, str]]:
    for name, path in files.items():
        for number, row in enumerate(_objects(path, name), 1):
            yield row, f"{name}:{number}"


def _objects(path: Path, name: str) -> Iterator[Any]:
    if path.suffix == ".parquet":
        yield from _parquet_rows(path, name)
    elif path.suffix == ".json":
        yield from _json_rows(path, name)
    elif path.suffix == ".jsonl":
        yield from _json_lines(path, name)
    else:
        raise UserError(f"cannot read the data set {name}: not {', '.join(DATA_FILES)}")


def _parquet_rows(path: Path, name: str) -> Iterator[Any]:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1000):
                yield from batch.to_pylist()
    except (OSError, ArrowException) as error:
        raise UserError(f"cannot read the data set {name}: {error}") from None


def _json_rows(path: Path, name: str) -> Iterator[Any]:
    try:
        rows = json.loads(_content(path, name))
    except ValueError as error:
        raise UserError(f"{name}: not JSON: {error}") from None
    if not isinstance(rows, list):
        raise UserError(f"{name}: not a list of rows; one object a line goes into a .jsonl file")
    yield from rows


def _json_lines(path: Path, name: str) -> Iterator[Any]:
    for number, line in enumerate(_content(path, name).split("\n"), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as error:
                raise UserError(f"{name}:{number}: not JSON: {error}") from None


def _content(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read the data set {name}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 text at byte {error.start}; save it as UTF-8") from None


# One row


def _row(row: Any, kind: RowKind, where: str, name: str) -> Response | PreferencePair:
    if not isinstance(row, Mapping):
        raise UserError(f"{where}: not an object with columns")
    history, request, answers = _request_and_answers(row, kind, where)
    prompt = Prompt(_id(row, name, history, request), request, history)
    if kind == "pairs":
        return PreferencePair(prompt, *answers)
    return Response(prompt, answers[0], str(row.get("generator") or name))


def _request_and_answers(
    row: Mapping[str, Any], kind: RowKind, where: str
) -> tuple[tuple[Message, ...], str, tuple[str, ...]]:
    """(what was said before, the request, the answer or the two answers)."""
    names = _answer_columns(row, kind, where)
    if isinstance(row[names[0]], str):
        request = next((name for name in PROMPTS if row.get(name)), PROMPTS[0])
        return (), _text(row.get(request), request, where), tuple(_text(row[name], name, where) for name in names)
    conversations = [_messages(row[name], name, where) for name in names]
    *history, asked, _ = conversations[0]
    if any(each[:-1] != conversations[0][:-1] for each in conversations):
        raise UserError(f"{where}: {' and '.join(names)} differ before their last turn; they must answer one request")
    return tuple(history), asked.content, tuple(each[-1].content for each in conversations)


def _answer_columns(row: Mapping[str, Any], kind: RowKind, where: str) -> tuple[str, ...]:
    """The columns that hold the answers."""
    there = [name for name, value in row.items() if value is not None]
    if kind == "pairs":
        names: tuple[str, ...] = ("chosen", "rejected")
    else:
        names = next(((name,) for name in (*ANSWERS, CONVERSATION, "chosen") if name in there), ())
    if names and all(name in there for name in names):
        return names
    found = ", ".join(map(str, row)) or "none"
    raise UserError(f"{where}: no answer to read: columns {found}; wanted {WANTED[kind]}")


def _messages(value: Any, column: str, where: str) -> tuple[Message, ...]:
    """A conversation that ends with a request and its answer."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise UserError(f"{where}: {column} is neither text nor a list of {{role, content}}")
    messages = tuple(_message(each, column, where) for each in value)
    if [message.role for message in messages[-2:]] != ["user", "assistant"]:
        raise UserError(f"{where}: {column} does not end with a user's turn and an answer to it; take the row out")
    _text(messages[-2].content, f"the request in {column}", where)
    _text(messages[-1].content, column, where)
    return messages


def _message(value: Any, column: str, where: str) -> Message:
    role, content = (value.get("role"), value.get("content")) if isinstance(value, Mapping) else (None, None)
    if role not in _MESSAGE_ROLES or not isinstance(content, str):
        raise UserError(
            f"{where}: {column} has a turn that is no text of {' or '.join(_MESSAGE_ROLES)}: role {role!r}, content"
            f" {type(content).__name__}"
        )
    return Message(role, content)


def _text(value: Any, column: str, where: str) -> str:
    """The value, if it is text, and not blank where that would leave nothing to learn or to ask."""
    if isinstance(value, str) and (value.strip() or column == "rejected"):
        return value
    wanted = " or ".join(PROMPTS) if column in PROMPTS else column
    raise UserError(f"{where}: no text in {wanted}; give it one, or take the row out")


def _id(row: Mapping[str, Any], name: str, history: Sequence[Message], request: str) -> str:
    given = next((row[column] for column in IDS if row.get(column) not in (None, "")), None)
    if given is not None:
        return str(given)
    said = "".join(f"{message.role}: {message.content}\n" for message in history)
    return f"{name}-{sha256(f'{said}{request}'.encode()).hexdigest()[:12]}"

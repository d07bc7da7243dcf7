"""The rows that steps exchange: frozen dataclasses, stored as one JSON object a line."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, TypeVar

from harness.config.codec import decode, encode
from harness.errors import UserError
from harness.terminal import visible

T = TypeVar("T")

CONTEXT_CHARACTERS = 30
"""Characters on either side of one that cannot be stored, in an error."""

CUT_OFF = "length"
"""The finish_reason of an answer that a token limit cut off: its writer did not end it."""

VerdictOutcome = Literal["win", "tie", "loss", "failed"]
Order = Literal["baseline_first", "output_first"]
VerdictState = Literal["ok", "parse_failed", "api_failed"]

ROWS = "rows.jsonl"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request. `id` is unique within its data set and is what rows are joined by."""

    id: str
    text: str
    history: tuple[Message, ...] = ()
    """What was said before, oldest first; `text` is the user's last turn."""

    @property
    def requests_before(self) -> tuple[str, ...]:
        """What the user asked in earlier turns, oldest first."""
        return tuple(turn.content for turn in self.history if turn.role == "user")

    @property
    def conversation(self) -> str:
        """The text as a judge is shown it: where there are turns before it, each below its name in brackets."""
        names = {"system": "system", "user": "earlier request", "assistant": "earlier answer"}
        before = [f"[{names[turn.role]}]\n{turn.content}\n" for turn in self.history]
        return "".join((*before, "[request]\n", self.text)) if before else self.text


@dataclass(frozen=True, slots=True)
class Response:
    """An answer of `writer`. `finish_reason` is "stop", or "length" when the token limit cut the answer off."""

    prompt: Prompt
    text: str
    writer: str
    token_ids: tuple[int, ...] = ()
    finish_reason: str = "stop"

    @property
    def is_ended(self) -> bool:
        """Whether the writer ended it: what was cut off has no closing token to learn or to score."""
        return self.finish_reason != CUT_OFF


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """Two answers to one prompt, the first preferred to the second, with the finish reasons of `Response`."""

    prompt: Prompt
    chosen: str
    rejected: str
    chosen_finish_reason: str = "stop"
    rejected_finish_reason: str = "stop"

    @property
    def responses(self) -> tuple[Response, Response]:
        """The chosen and the rejected answer as `Response` rows."""
        return (
            Response(self.prompt, self.chosen, "chosen", finish_reason=self.chosen_finish_reason),
            Response(self.prompt, self.rejected, "rejected", finish_reason=self.rejected_finish_reason),
        )


@dataclass(frozen=True, slots=True)
class Judgment:
    """One verdict on `output` against `baseline` (both texts), shown to the judge in `order`.

    `reply` is the judge's raw reply and `verdict` its label in the judge's own frame ("m" or "M", "A>>B", ...).
    `preference` is the probability in [0, 1] that `output` beats `baseline`; None where the judge gives labels only,
    and whenever `state` is not "ok". Failed judgments are rows too; `error` says why there is no reply, or nothing in
    it. `repeat` counts the verdicts on the same pair in the same order, from 0.
    """

    prompt: Prompt
    baseline: str
    output: str
    order: Order
    reply: str
    verdict: str
    preference: float | None
    state: VerdictState
    repeat: int = 0
    error: str = ""

    def __post_init__(self) -> None:
        if self.preference is not None and not 0 <= self.preference <= 1:
            raise ValueError(f"preference must lie in [0, 1], not {self.preference}")


WIN_OF_FIRST: Mapping[str, float] = {"A>>B": 1.0, "A>B": 1.0, "A=B": 0.5, "B>A": 0.0, "B>>A": 0.0}
"""Verdict labels -> the share of the win that the answer shown first has: 1, ½ or 0, however decisive."""

MIRRORED_LABELS: Mapping[str, str] = {"B<<A": "A>>B", "B<A": "A>B", "B=A": "A=B", "A<B": "B>A", "A<<B": "B>>A"}
"""Verdict labels written the other way round -> the official label that says the same, as Arena-Hard's current scorer
(show_result.py of lmarena/arena-hard-auto) counts them."""


def official_label(label: str) -> str:
    """Return `label`, or the official label that says the same the other way round."""
    return MIRRORED_LABELS.get(label, label)


def share_by_label(label: str, *, shown_first: bool) -> float:
    """Return the share of the win that a verdict label gives to the answer that was shown first, or to the other."""
    return WIN_OF_FIRST[label] if shown_first else 1 - WIN_OF_FIRST[label]


def share_of_output(judgment: Judgment) -> float | None:
    """Return the output's share of the win in [0, 1]: its preference if there is one; None without a verdict."""
    if judgment.state != "ok":
        return None
    if judgment.preference is not None:
        return judgment.preference
    return share_by_label(judgment.verdict, shown_first=judgment.order == "output_first")


def outcome(judgments: Iterable[Judgment]) -> VerdictOutcome:
    """Return the outcome of verdicts on one output, by its mean share of the win; "failed" where all failed."""
    shares = [share for share in map(share_of_output, judgments) if share is not None]
    if not shares:
        return "failed"
    mean = fmean(shares)
    return "tie" if mean == 0.5 else "win" if mean > 0.5 else "loss"


def by_prompt(judgments: Iterable[Judgment]) -> dict[str, list[Judgment]]:
    """Return verdicts by the id of their prompt, in order of appearance."""
    found: dict[str, list[Judgment]] = {}
    for row in judgments:
        found.setdefault(row.prompt.id, []).append(row)
    return found


def to_json(record: Any) -> dict[str, Any]:
    """Return a record as a JSON object; nested records become nested objects."""
    encoded: dict[str, Any] = encode(record)
    return encoded


def from_json(type: type[T], row: Mapping[str, Any], where: str = "") -> T:
    """Return a JSON object as a record.

    A missing, unknown or ill-typed field raises UserError that starts with `where`.
    """
    return decode(type, row, where)


def to_line(record: Any) -> str:
    """Return a record as one line of a ``.jsonl`` file, line end included."""
    return json.dumps(to_json(record), ensure_ascii=False, allow_nan=False) + "\n"


def encoded(record: Any) -> bytes:
    """Return `to_line` as it is stored. Raises UserError for a text that no file can hold."""
    try:
        return to_line(record).encode()
    except UnicodeEncodeError as error:
        raise lone_surrogate_error(error) from None


def lone_surrogate_error(error: UnicodeEncodeError) -> UserError:
    """Return the error for a text with a lone half of a surrogate pair, which JSON can spell out and UTF-8 cannot."""
    half, around = (
        error.object[error.start - more : error.end + more] for more in (0, min(error.start, CONTEXT_CHARACTERS))
    )
    return UserError(
        f"a text contains half of a surrogate pair ({visible(half)}), which cannot be stored: '{visible(around)}';"
        " write the whole character, or remove the row from the data"
    )


def read_rows(path: Path, type: type[T]) -> list[T]:
    """Return all records of a ``.jsonl`` file. Raises UserError naming file and line."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    return [_from_line(line, type, f"{path}:{number}") for number, line in enumerate(lines, 1)]


def write_rows(path: Path, rows: Iterable[Any]) -> int:
    """Write records as ``.jsonl`` and return how many there were."""
    count = 0
    with path.open("wb") as file:
        for count, row in enumerate(rows, 1):  # noqa: B007 (count is the result)
            file.write(encoded(row))
    return count


def _from_line(line: bytes, type: type[T], where: str) -> T:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: not JSON: {error}") from None
    return from_json(type, row, where)

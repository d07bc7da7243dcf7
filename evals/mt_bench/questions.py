"""The questions of two turns: FastChat's, from a folder or the hub, or second turns of a data role."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.base import PublishedMetric
from evals.formats import fields
from evals.formats.rows import read_rows
from evals.mt_bench.files import answered_turns
from evals.mt_bench.settings import mt_bench_settings
from evals.official_steps import OFFICIAL_DATA
from harness.engine.artifacts import Artifact, Output, step
from harness.engine.unresolved import resolved
from harness.errors import UserError
from harness.mini.requests import AGAIN, COMPARISON, CORRECTION
from harness.models.hub import newest
from harness.records import Prompt, Response, to_line
from harness.steps.cost import CostContext, Fetch, RowEstimate
from harness.steps.data import DataRole

BENCH = "mt_bench"
PUBLISHED = PublishedMetric(
    title="MT-Bench",
    n_items=80,
    items="questions",
    baseline="",
    judges=("gpt-4", "gpt-4-0613"),
    asked_judge="gpt-4-0613",
)
HUB = "lmsys/mt-bench"
"""FastChat's data as its authors keep it on the hub: a space, the data of their own viewer of answers."""

_FOLDERS = (".", "mt_bench", "data/mt_bench", "fastchat/llm_judge/data/mt_bench")
_QUESTIONS = "question.jsonl"
_REFERENCES = ("reference_answer/gpt-4.jsonl", "reference_gpt-4.jsonl")
_ON_HUB = "data/mt_bench"

OFFICIAL_FINGERPRINT = "81e266044cd70ef5f1f075cf4b436ca78134be934ee7eb64215471cd416dfc53"
"""The SHA-256 of the rows that FastChat's own files give (`TwoTurnQuestion`), at commit 27ae660 of lm-sys/FastChat."""

EMBEDDED_KINDS: Mapping[str, str] = {
    "comparison": COMPARISON.partition("{")[0],
    "correction": CORRECTION.partition("{")[0],
    "again": AGAIN,
}
"""How second turns of the embedded world begin, by category; any other asks for more."""
GRADED_BY_REFERENCE = ("comparison", "correction")
"""Categories of the embedded world whose answers are graded by references, as a third of MT-Bench's are."""


@dataclass(frozen=True, slots=True)
class TwoTurnQuestion:
    """A question of two turns; `references` answer both where they are graded by references, and else are none."""

    id: str
    category: str
    turns: tuple[str, str]
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OfficialQuestions:
    """MT-Bench's questions as their files have them; `source` says where they were read, `fingerprint` is the SHA-256
    of the rows."""

    questions: tuple[TwoTurnQuestion, ...]
    source: str
    fingerprint: str


def load_questions(folder: str | None = None) -> OfficialQuestions:
    """Read question.jsonl and the references beside it, from a folder or, where that is None, from the hub.

    Raises UserError for what cannot be read, a question without two turns, and one of a category that is graded by
    references without both of them.
    """
    path, references, source = _files(folder)
    questions = questions_in(path, _read_references(references), references)
    return OfficialQuestions(questions, source, fingerprint(questions))


def questions_in(
    path: Path, references: Mapping[str, tuple[str, ...]], references_path: Path
) -> tuple[TwoTurnQuestion, ...]:
    """Return the questions in a file with their `references`, by question, which were read from `references_path`.

    Raises UserError as `load_questions` does.
    """
    questions = tuple(_question(row, where, references, references_path) for where, row in read_rows(path))
    _require_distinct(path, [question.id for question in questions])
    return questions


def fingerprint(questions: Iterable[TwoTurnQuestion]) -> str:
    """Return the SHA-256 of the rows."""
    return hashlib.sha256("".join(map(to_line, questions)).encode()).hexdigest()


def _files(folder: str | None) -> tuple[Path, Path, str]:
    """Return the files of the questions and of the references, and what to call them."""
    if folder is None:
        on_hub = newest("space", HUB)
        names = (f"{_ON_HUB}/{_QUESTIONS}", f"{_ON_HUB}/{_REFERENCES[0]}")
        return on_hub.file(names[0]), on_hub.file(names[1]), on_hub.source
    path = _first(Path(folder) / place / _QUESTIONS for place in _FOLDERS)
    if path is None:
        raise UserError(f"{folder}: no folder with MT-Bench's {_QUESTIONS}")
    references = _first(path.parent / name for name in _REFERENCES)
    if references is None:
        raise UserError(f"{path.parent}: no references beside {_QUESTIONS}: {' or '.join(_REFERENCES)}")
    return path, references, str(path.parent)


def _first(paths: Iterable[Path]) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


def _read_references(path: Path) -> dict[str, tuple[str, ...]]:
    return {fields.identifier(row, "question_id", where): answered_turns(row, where) for where, row in read_rows(path)}


def _question(
    row: Mapping[str, Any], where: str, references: Mapping[str, tuple[str, ...]], path: Path
) -> TwoTurnQuestion:
    id, category = fields.identifier(row, "question_id", where), fields.name_of(row, "category", where)
    turns = fields.field(row, "turns", where)
    if not isinstance(turns, list) or len(turns) != 2 or not all(isinstance(turn, str) and turn for turn in turns):
        raise UserError(f"{where}: question {id} must have two turns, each a text; MT-Bench's have")
    by_reference = references.get(id, ()) if category in mt_bench_settings().graded_by_reference else None
    if by_reference is not None and len(by_reference) != 2:
        raise UserError(f"{path}: no reference to both turns of question {id} ({category}), which is graded by them")
    return TwoTurnQuestion(id, category, (turns[0], turns[1]), by_reference or ())


def _require_distinct(path: Path, ids: Sequence[str]) -> None:
    again = [id for place, id in enumerate(ids) if id in ids[:place]]
    if again:
        raise UserError(f"{path}: question {again[0]} is there twice; keep one")


# As artifacts


def question_rows(role: DataRole, folder: str = "") -> Artifact:
    """Return `TwoTurnQuestion` rows: the official ones for "official:mt_bench", read from `folder` instead of the hub
    if one is given, or else second turns of a data role.

    Raises UserError for official data that is not there or wrong.
    """
    if role.reference != f"{OFFICIAL_DATA}{BENCH}":
        return second_turns(responses=role.artifact()).with_label(role.reference)
    source = folder or None
    digest = resolved(role.reference, lambda: load_questions(source).fingerprint)
    questions = official_questions(bench=BENCH, source=source, size=role.size, fingerprint=digest)
    return questions.with_label(PUBLISHED.title)


def _official_rows(context: CostContext) -> RowEstimate:
    return context.data_set(f"{OFFICIAL_DATA}{BENCH}", PUBLISHED.n_items).first(context.params["size"])


@step(version=1, rows=_official_rows, cost=lambda context: Fetch("dataset", f"{OFFICIAL_DATA}{BENCH}"))
def official_questions(out: Output, *, bench: str, source: str | None, size: int, fingerprint: str) -> None:
    """Write the first `size` of MT-Bench's questions; `fingerprint` is that of all of them."""
    found = load_questions(source)
    if found.fingerprint != fingerprint:
        raise UserError(f"{found.source} has changed since this run looked at it; run the same command again")
    out.write_rows(found.questions[:size])


@step(version=1, rows=lambda context: context.rows("responses"))
def second_turns(out: Output, *, responses: Artifact) -> None:
    """Write `TwoTurnQuestion` rows of responses to second turns: the answers to both turns are the references.

    Raises UserError for a prompt that is no second turn.
    """
    out.write_rows(_of_second_turn(row) for row in responses.rows(Response))


def _of_second_turn(row: Response) -> TwoTurnQuestion:
    prompt = row.prompt
    if [turn.role for turn in prompt.history] != ["user", "assistant"]:
        raise UserError(
            f"the prompt {prompt.id} is no second turn; {BENCH} takes prompts with one request and one answer before"
        )
    category, (first, answered) = _kind(prompt), prompt.history
    references = (answered.content, row.text) if category in GRADED_BY_REFERENCE else ()
    return TwoTurnQuestion(prompt.id, category, (first.content, prompt.text), references)


def _kind(prompt: Prompt) -> str:
    """Return what kind of second turn it is in the embedded world."""
    return next((kind for kind, start in EMBEDDED_KINDS.items() if prompt.text.startswith(start)), "more")

"""Files of stored answers, in the formats of AlpacaEval, Arena-Hard and IFEval, joined to the prompts they answer."""

import reprlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evals.arena_hard.files import answers_in, holds_answers
from evals.formats.outputs import outputs_in
from evals.formats.responses import holds_responses, responses_in
from evals.formats.rows import bare_name, read_rows
from harness.errors import UserError
from harness.records import Prompt, Response
from harness.texts import format_names, has_lone_surrogate

_WANTED = {
    "alpaca_eval2": ("instruction", "AlpacaEval's outputs, with instruction and output"),
    "arena_hard": ("question", "Arena-Hard's answers, with question_id or uid"),
    "arena_hard_v2": ("question", "Arena-Hard's answers, with question_id or uid"),
}
"""By bench: what its answers are joined by, and what they are."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """One row: `text` is None where the file has no answer, `prompt` where it does not say what was asked."""

    key: str
    prompt: str | None
    text: str | None
    writer: str


@dataclass(frozen=True, slots=True)
class AnswerFile:
    """A file of answers, in order. Their `key` is the text of the instruction, or the identifier of the question."""

    path: Path
    joined_by: Literal["instruction", "question"]
    answers: tuple[StoredAnswer, ...]

    @property
    def model(self) -> str:
        """The model that the answers are of; the file's name where it does not say. Raises UserError for several."""
        names = {answer.writer for answer in self.answers}
        _check_whole(names, str(self.path))
        _check_one_writer(self.path, names)
        return names.pop() or bare_name(self.path)

    @property
    def holds_prompts(self) -> bool:
        """Whether it says of every answer what was asked."""
        return all(answer.prompt is not None for answer in self.answers)

    def prompts(self) -> list[Prompt]:
        """Return the prompts, where the file `holds_prompts`: an instruction's id is its place, a question's its
        own."""
        return [
            Prompt(str(place) if self.joined_by == "instruction" else answer.key, answer.prompt or "")
            for place, answer in enumerate(self.answers)
        ]

    def join(self, prompts: Sequence[Prompt], *, allow_missing: bool = False) -> tuple[Response, ...]:
        """Return the answers to `prompts`, in their order; answers to others are left out.

        Raises UserError for two answers to one prompt, answers of several models, and, unless `allow_missing`, prompts
        without an answer; in any case where there is no answer at all.
        """
        by_key = self._by_key(prompts)
        found: dict[str, tuple[int, StoredAnswer]] = {}
        for number, answer in enumerate(self.answers, start=1):
            where = f"{self.path}, row {number}: {self.joined_by} {reprlib.repr(answer.key)}"
            if answer.key in found:
                raise UserError(f"{where} again; keep one row for each")
            if answer.key in by_key:
                _check_whole((answer.key, answer.text or "", answer.writer), where)
                found[answer.key] = number, answer
        responses = {
            key: Response(by_key[key], answer.text, answer.writer)
            for key, (_, answer) in found.items()
            if answer.text is not None
        }
        _check_one_writer(self.path, {row.writer for row in responses.values()})
        if len(responses) < len(prompts) and not (allow_missing and responses):
            raise self._incomplete(found, len(responses), len(prompts))
        return tuple(responses[key] for key in by_key if key in responses)

    def _by_key(self, prompts: Sequence[Prompt]) -> dict[str, Prompt]:
        if self.joined_by == "question":
            return {prompt.id: prompt for prompt in prompts}
        by_text = {prompt.text: prompt for prompt in prompts}
        if len(by_text) < len(prompts):
            raise UserError(
                f"{self.path}: two prompts have the same text, so that outputs cannot be joined to them by it"
            )
        return by_text

    def _incomplete(self, found: Mapping[str, tuple[int, StoredAnswer]], answered: int, asked: int) -> UserError:
        empty = [number for number, answer in found.values() if answer.text is None]
        if len(empty) == asked - answered:
            return UserError(
                f"{self.path}: the output of row {empty[0]} is null, so that nothing answers it ({len(empty)} of the "
                f"{asked} are); give it one, or remove the row"
            )
        null = f" ({len(empty)} of them null, the first in row {empty[0]})" if empty else ""
        return UserError(
            f"{self.path}: no output for {asked - answered} of the {asked} {self.joined_by}s{null}, and "
            f"{len(self.answers) - len(found)} rows for others; are these the outputs of another benchmark, or not "
            "all of them?"
        )


def read_answer_file(bench: str, path: Path) -> AnswerFile:
    """Read the answers for `bench`; for any other than the two official ones, the file's content tells its format.

    Raises UserError for a file that cannot be read, and for one that is in the other benchmark's format.
    """
    rows = read_rows(path)
    joined_by: Literal["instruction", "question"] = "question" if holds_answers(rows) else "instruction"
    wanted, described = _WANTED.get(bench, (joined_by, ""))
    if joined_by != wanted:
        raise UserError(f"{path}: {bench} takes {described}; this has {format_names(rows[0][1])}")
    if joined_by == "question":
        answers = [StoredAnswer(row.question_id, row.prompt, row.content, row.model) for row in answers_in(rows)]
    else:
        outputs = responses_in(path, rows) if holds_responses(rows) else outputs_in(path, rows)
        answers = [StoredAnswer(row.instruction, row.instruction, row.output, row.generator) for row in outputs]
    return AnswerFile(path, joined_by, tuple(answers))


def _check_one_writer(path: Path, writers: Collection[str]) -> None:
    """Raise UserError for the outputs of several models in one file."""
    if len(writers) > 1:
        raise UserError(f"{path}: outputs of several models ({', '.join(sorted(writers)[:5])}); give one file for each")


def _check_whole(texts: Iterable[str], where: str) -> None:
    """Raise UserError for texts that cannot be encoded: they are going to be sent and stored."""
    if any(map(has_lone_surrogate, texts)):
        raise UserError(f"{where}: contains half of a surrogate pair; write the whole character, or U+FFFD for it")

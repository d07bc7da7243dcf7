"""Answers to questions of two turns: a checkpoint's, the second in view of its own first, or a file's."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from evals.mt_bench.files import read_answers
from evals.mt_bench.questions import TwoTurnQuestion
from evals.mt_bench.settings import FIRST_TURN, TURNS, CategorySampling
from evals.official_steps import file_digest
from harness.engine.artifacts import Artifact, Output, step
from harness.engine.output import RowLog
from harness.errors import UserError
from harness.models.chat import conversation
from harness.models.generator import Generator, Sampling
from harness.models.references import load_generator, resolve
from harness.records import Message, Prompt, Response
from harness.steps.cost import CostContext, Generation, RowEstimate
from harness.steps.respond import CUT_OFF_SHARE, longest_first, prompt_seed

STAND_IN_CHARACTERS = 1200
"""Of an answer that is not there yet, where there is no reference to take the length of."""


def turn_id(question: str, turn: int) -> str:
    """Return the id of one turn's prompt."""
    return f"{question} turn {turn}"


def first_prompt(question: TwoTurnQuestion) -> Prompt:
    """Return the first turn."""
    return Prompt(turn_id(question.id, 1), question.turns[0])


def second_prompt(question: TwoTurnQuestion, answer: str) -> Prompt:
    """Return the second turn, after the model's own answer to the first."""
    history = (Message("user", question.turns[0]), Message("assistant", answer))
    return Prompt(turn_id(question.id, 2), question.turns[1], history)


def _answer_rows(context: CostContext) -> RowEstimate:
    """Estimate two answers a question, the second of which is asked for in view of the first."""
    questions, sampling = context.rows("questions"), context.artifact.arguments["sampling"].otherwise
    answer = min(questions.answer, sampling.max_new_tokens)
    return RowEstimate(
        count=2 * questions.count,
        most=2 * questions.most,
        prompt=1.5 * questions.prompt + answer / 2,
        answer=answer,
        spread=questions.spread,
        assumptions=questions.assumptions,
    )


@step(
    version=1,
    resumable=True,
    work="generation",
    rows=_answer_rows,
    cost=lambda context: Generation(context.artifact.arguments["sampling"].otherwise),
)
def answer_two_turns(
    out: Output, *, model: Artifact, questions: Artifact, sampling: CategorySampling, seed: int
) -> None:
    """Write `model`'s answers to both turns, `Response` rows: the first of all questions, then the second of all.

    Each category's questions are answered with its own temperature, in whole batches, so that the rows are the same
    however often a run was killed.
    """
    asked = questions.rows(TwoTurnQuestion)
    log = out.append_rows(Response, key=lambda row: row.prompt.id)
    if len(log.done) < len(TURNS) * len(asked):
        progress = out.track(len(TURNS) * len(asked), "rows", done=len(log.done))
        otherwise = sampling.otherwise
        with closing(load_generator(resolve(model.folder), otherwise.engine, out.compute)) as generator:
            for turn in TURNS:
                for of, prompts in _by_sampling(asked, turn, log, sampling):
                    for rows in _answered(generator, prompts, of, seed):
                        log.append(rows)
                        progress.advance(len(rows))
    _count_cut_off(out, list(log.done.values()), sampling.otherwise)


def _by_sampling(
    questions: Sequence[TwoTurnQuestion], turn: int, log: RowLog[Response], sampling: CategorySampling
) -> Iterator[tuple[Sampling, list[Prompt]]]:
    """Yield the prompts of one turn that have no answer yet, those of one sampling together, the longest first."""
    groups: dict[Sampling, list[Prompt]] = {}
    for question in questions:
        groups.setdefault(sampling.of(question.category), [])
        if turn_id(question.id, turn) not in log.done:
            groups[sampling.of(question.category)].append(_prompt(question, turn, log))
    for of, prompts in groups.items():
        lengths = [sum(len(message.content) for message in conversation(prompt)) for prompt in prompts]
        yield of, [prompts[place] for place in longest_first(lengths)]


def _prompt(question: TwoTurnQuestion, turn: int, log: RowLog[Response]) -> Prompt:
    if turn == FIRST_TURN:
        return first_prompt(question)
    return second_prompt(question, log.done[turn_id(question.id, FIRST_TURN)].text)


def _answered(
    generator: Generator, prompts: Sequence[Prompt], sampling: Sampling, seed: int
) -> Iterator[list[Response]]:
    """Yield the answers batch by batch."""
    size = generator.preferred_batch_size(sampling.max_new_tokens)
    for batch in (prompts[start : start + size] for start in range(0, len(prompts), size)):
        completions = generator.complete(
            [conversation(prompt) for prompt in batch],
            sampling,
            [prompt_seed(seed, prompt.id, prompt.text) for prompt in batch],
        )
        yield [
            Response(prompt, done.text, generator.name, done.token_ids, done.finish_reason)
            for prompt, done in zip(batch, completions, strict=True)
        ]


def _count_cut_off(out: Output, rows: Sequence[Response], sampling: Sampling) -> None:
    cut = sum(not row.is_ended for row in rows)
    out.counts["cut_off"] = cut
    if cut > CUT_OFF_SHARE * len(rows):
        out.note(f"{cut} of {len(rows)} answers are cut off at the limit of {sampling.max_new_tokens} tokens")


# Stored answers


def stored_answers(path: Path, questions: Artifact) -> Artifact:
    """Return the answers in FastChat's file `path`. Raises UserError for a file that cannot be read."""
    artifact = read_stored_answers(path=str(path.absolute()), digest=file_digest(path), questions=questions)
    return artifact.with_label(path.name)


@step(version=1)
def read_stored_answers(out: Output, *, path: str, digest: str, questions: Artifact) -> None:
    """Write stored answers as `Response` rows; `digest` is the SHA-256 of the file.

    A question without an answer is missing from every score, and counted there, both of its turns.
    """
    asked = questions.rows(TwoTurnQuestion)
    answers = {answer.question_id: answer for answer in read_answers(Path(path))}
    rows = [
        row
        for question in asked
        if (answer := answers.get(question.id))
        for row in paired(question, answer.turns, answer.model)
    ]
    if not rows:
        raise UserError(f"{path}: no answer to any of the {len(asked)} questions; is it of another benchmark?")
    out.counts["without_output"] = len(TURNS) * len(asked) - len(rows)
    out.write_rows(rows)


def paired(question: TwoTurnQuestion, answers: Sequence[str], writer: str) -> list[Response]:
    """Return the answers to a question's turns with what was asked."""
    first, second = answers
    return [
        Response(first_prompt(question), first, writer),
        Response(second_prompt(question, first), second, writer),
    ]


@dataclass(frozen=True, slots=True)
class AnsweredQuestion:
    """A question with a model's answers to both turns."""

    question: TwoTurnQuestion
    answers: tuple[Response, Response]


def answered_questions(questions: Sequence[TwoTurnQuestion], responses: Sequence[Response]) -> list[AnsweredQuestion]:
    """Join questions with their answers; a question without both has none."""
    by_id: Mapping[str, Response] = {row.prompt.id: row for row in responses}
    found = [(question, [by_id.get(turn_id(question.id, turn)) for turn in TURNS]) for question in questions]
    return [AnsweredQuestion(question, (first, second)) for question, (first, second) in found if first and second]


def stand_in_answers(questions: Sequence[TwoTurnQuestion]) -> list[Response]:
    """Return texts as long as the references are on average, for a forecast before there are answers."""
    lengths = [len(text) for question in questions for text in question.references] or [STAND_IN_CHARACTERS]
    text = ("word " * math.ceil(fmean(lengths) / len("word "))).strip()
    return [row for question in questions for row in paired(question, (text, text), "stand-in")]

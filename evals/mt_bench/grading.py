"""Grading: each answer shown to a judge by itself, its replies kept and read as ratings."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals.mt_bench.answers import AnsweredQuestion, answered_questions, paired
from evals.mt_bench.questions import TwoTurnQuestion
from evals.mt_bench.ratings import read_rating
from evals.mt_bench.settings import TURNS, GradingPrompt, GradingPrompts
from harness.endpoints.judges import load_judge
from harness.endpoints.protocol import CallFailure, ChatReply, ChatRequest, Judge
from harness.endpoints.reference import EndpointReference
from harness.engine.artifacts import Artifact, Output, step
from harness.errors import UserError
from harness.records import CUT_OFF, Prompt, Response, VerdictState
from harness.steps.cost import Asking, CostContext, about, chat_tokens
from harness.steps.judge import FAILURES, OTHER_MODELS, by_reason, reply_tokens

_EXCERPT = 80
"""Characters of a reply that an error shows."""

NO_RATING = "the reply has no rating"


@dataclass(frozen=True, slots=True)
class Grade:
    """The grade of one answer. `prompt` is what was asked in its turn, with the turns before; `reply` is the judge's.

    `rating` is None wherever `state` is not "ok": failed grades are rows too, and `error` says why. `repeat` counts the
    grades of the same answer, from 0.
    """

    question: str
    category: str
    turn: int
    prompt: Prompt
    output: str
    reply: str
    rating: float | None
    state: VerdictState
    repeat: int = 0
    error: str = ""
    judge_prompt: str = ""
    """The name of the prompt that the judge was asked with."""


@dataclass(frozen=True, slots=True)
class GradedTurn:
    """One answer to be graded, in view of what was said before it."""

    of: AnsweredQuestion
    turn: int
    repeat: int = 0

    @classmethod
    def of_texts(cls, question: TwoTurnQuestion, answers: Sequence[str], turn: int) -> "GradedTurn":
        """Return the grading of one of two answers by their texts."""
        first, second = paired(question, answers, "")
        return cls(AnsweredQuestion(question, (first, second)), turn)

    def prompt(self, prompts: GradingPrompts) -> GradingPrompt:
        """Return how the judge is asked: with the references, where the question has some."""
        return prompts.prompt(self.turn, by_reference=bool(self.of.question.references))

    def request(self, prompts: GradingPrompts) -> ChatRequest:
        """Return what the judge is asked."""
        return prompts.request(self.prompt(prompts), self._values(), self.repeat)

    def grade(self, prompts: GradingPrompts, reply: ChatReply | CallFailure) -> Grade:
        """Return the row of a judge that replied so, or could not be asked."""
        text, rating, state, error = _read(reply)
        question, answer = self.of.question, self.of.answers[TURNS.index(self.turn)]
        return Grade(
            question.id,
            question.category,
            self.turn,
            answer.prompt,
            answer.text,
            text,
            rating,
            state,
            self.repeat,
            error,
            self.prompt(prompts).name,
        )

    def _values(self) -> dict[str, str]:
        """Return what the prompts' fields stand for."""
        question, (first, second) = self.of.question, self.of.answers
        values = {
            **{"question": question.turns[0], "question_1": question.turns[0], "question_2": question.turns[1]},
            **{"answer": first.text, "answer_1": first.text, "answer_2": second.text},
        }
        return values | dict(zip(("ref_answer_1", "ref_answer_2"), question.references, strict=False))


def _read(reply: ChatReply | CallFailure) -> tuple[str, float | None, VerdictState, str]:
    """Return a reply's text and rating, or the state without one and why."""
    if isinstance(reply, CallFailure):
        return "", None, "api_failed", reply.reason
    rating = read_rating(reply.text)
    if rating is not None:
        return reply.text, rating, "ok", ""
    return reply.text, None, "parse_failed", _why_unread(reply)


def _why_unread(reply: ChatReply) -> str:
    if reply.text.strip():
        return NO_RATING
    is_cut = reply.finish_reason == CUT_OFF
    return "the reply was cut off while thinking, before its first word" if is_cut else "the reply is empty"


def _grading_cost(context: CostContext) -> Asking | None:
    """Forecast the requests: the judge's own words, both turns in the second of two, and references in some."""
    judge, prompts = context.artifact.arguments["judge"], context.artifact.arguments["prompts"]
    if judge.is_embedded:
        return None
    questions, answers = context.rows("questions"), context.rows("outputs")
    calls = answers.most * context.params["repeats"]
    return Asking(
        endpoint=judge,
        role="judge",
        purpose="mt_bench",
        calls=calls,
        prompt_tokens=about(calls * tokens_to_grade(prompts, questions.prompt, answers.answer), answers.spread),
        completion_tokens=reply_tokens(prompts.max_tokens, calls),
        explains=True,
        assumptions=answers.assumptions,
    )


def tokens_to_grade(prompts: GradingPrompts, questions: float, answer: float) -> float:
    """Return the mean tokens of a request: one or both turns of `questions`, with an answer of so many to each."""
    own = chat_tokens(prompts.second_turn.messages(dict.fromkeys(_FIELDS, "")))
    return own + 1.5 * (questions / 2 + answer)


_FIELDS = ("question", "question_1", "question_2", "answer", "answer_1", "answer_2")


@step(version=1, work="asking", cost=_grading_cost)
def grade_answers(
    out: Output,
    *,
    judge: EndpointReference,
    prompts: GradingPrompts,
    questions: Artifact,
    outputs: Artifact,
    reading: int,
    repeats: int = 1,
) -> None:
    """Grade the answers in `outputs`, each `repeats` times: `Grade` rows.

    `reading` is the version of how replies are read. Replies that cost something are kept beside the artifacts as they
    come, so that a killed run pays for none twice. Failed grades are rows too, and the next run asks for them again;
    ``failures.json`` counts them by reason. Raises UserError where the judge gave no rating at all.
    """
    asked = questions.rows(TwoTurnQuestion)
    turns = list(turns_to_grade(asked, outputs.rows(Response), repeats))
    progress = out.track(len(turns), "grades")
    asking = load_judge(judge, out.limits, out.reply_cache, note=out.note)
    rows = grades(turns, asking, prompts, progress.advance)
    if asking.others:
        out.write_json(OTHER_MODELS, asking.others)
    failed: list[Any] = [row for row in rows if row.state != "ok"]  # of which `by_reason` looks at the errors
    if failed:
        if len(failed) == len(rows):
            raise UserError(_no_ratings(judge, failed))
        out.write_json(FAILURES, {reason: len(of) for reason, of in by_reason(failed).items()})
    out.counts["failed"] = len(failed)
    out.counts["questions"] = len(asked)
    out.retry = bool(failed)
    out.write_rows(rows)


def turns_to_grade(
    questions: Sequence[TwoTurnQuestion], answers: Sequence[Response], repeats: int = 1
) -> Iterator[GradedTurn]:
    """Yield the answers to be graded, in the order of the questions; a question without both answers has none."""
    for answered in answered_questions(questions, answers):
        for turn in TURNS:
            for repeat in range(repeats):
                yield GradedTurn(answered, turn, repeat)


def grades(
    turns: Sequence[GradedTurn], judge: Judge, prompts: GradingPrompts, advance: Callable[[], None]
) -> list[Grade]:
    """Return the grade of each answer, in their order; `advance` is called as replies come.

    A reply without a rating is taken back, so that the next run asks for another.
    """
    requests = [turn.request(prompts) for turn in turns]
    replies: dict[int, ChatReply | CallFailure] = {}
    for place, reply in judge.replies(requests):
        replies[place] = reply
        advance()
    rows = [turn.grade(prompts, replies[place]) for place, turn in enumerate(turns)]
    for request, row, place in zip(requests, rows, range(len(rows)), strict=True):
        if row.state != "ok" and not _is_retryable(replies, place):
            judge.reject(request)
    return rows


def _is_retryable(replies: Mapping[int, ChatReply | CallFailure], place: int) -> bool:
    """Tell whether a grade failed for want of a reply."""
    reply = replies[place]
    return isinstance(reply, CallFailure) and not reply.is_final


def _no_ratings(judge: EndpointReference, failed: Sequence[Any]) -> str:
    """Say why all grades failed: the commonest reason, with an example where it is in the reply."""
    reason, alike = next(iter(by_reason(failed).items()))
    example = f", such as {alike[0].reply[:_EXCERPT]!r}" if alike[0].reply.strip() else ""
    return (
        f"{judge} gave no rating of any of {len(failed)} answers; the commonest reason ({len(alike)} of {len(failed)}):"
        f" {reason}{example}; `harness judge check` tells whether it can judge"
    )

"""Grading: which replies are taken back, and what a row keeps of a request that failed."""

from collections.abc import Iterator, Sequence

import pytest

from evals.mt_bench.answers import paired
from evals.mt_bench.grading import Grade, grades, turns_to_grade
from evals.mt_bench.questions import TwoTurnQuestion
from evals.mt_bench.settings import mt_bench_settings
from harness.endpoints.protocol import CallFailure, ChatReply, ChatRequest
from harness.records import from_json, to_json

QUESTIONS = (TwoTurnQuestion("81", "writing", ("a?", "b?")), TwoTurnQuestion("111", "math", ("c?", "d?"), ("C", "D")))
ANSWERS = [row for question in QUESTIONS for row in paired(question, ("first", "second"), "m")]
PROMPTS = mt_bench_settings().official


class Replies:
    """A judge that gives these replies, the last first; what is taken back is kept."""

    name = "judge"

    def __init__(self, *replies: ChatReply | CallFailure) -> None:
        self._replies = replies
        self.requests: list[ChatRequest] = []
        self.rejected: list[ChatRequest] = []

    def replies(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatReply | CallFailure]]:
        self.requests = list(requests)
        yield from reversed(list(enumerate(self._replies)))

    def reject(self, request: ChatRequest) -> None:
        self.rejected.append(request)


def graded(judge: Replies, repeats: int = 1) -> list[Grade]:
    return grades(list(turns_to_grade(QUESTIONS, ANSWERS, repeats)), judge, PROMPTS, lambda: None)


def test_replies_are_joined_with_their_answers_in_whatever_order_they_come() -> None:
    rows = graded(Replies(*(ChatReply(f"[[{number}]]") for number in (1, 2, 3, 4))))
    assert [(row.question, row.turn, row.rating) for row in rows] == [
        *(("81", 1, 1.0), ("81", 2, 2.0)),
        *(("111", 1, 3.0), ("111", 2, 4.0)),
    ]
    assert [row.judge_prompt for row in rows] == [
        *("single-v1", "single-v1-multi-turn"),
        *("single-math-v1", "single-math-v1-multi-turn"),
    ]
    assert [row.output for row in rows] == ["first", "second"] * 2
    assert [from_json(Grade, to_json(row)) for row in rows] == rows


def test_only_replies_without_a_rating_are_taken_back() -> None:
    judge = Replies(
        ChatReply("fine"), ChatReply("[[2]]"), CallFailure("refused", is_final=True), CallFailure("no connection")
    )
    rows = graded(judge)
    assert judge.rejected == [judge.requests[0], judge.requests[2]]
    assert [(row.state, row.error, row.rating) for row in rows] == [
        ("parse_failed", "the reply has no rating", None),
        ("ok", "", 2.0),
        ("api_failed", "refused", None),
        ("api_failed", "no connection", None),
    ]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (ChatReply(" "), "the reply is empty"),
        (ChatReply("", finish_reason="length"), "the reply was cut off while thinking, before its first word"),
    ],
)
def test_an_empty_reply_says_why_it_has_no_rating(reply: ChatReply, error: str) -> None:
    assert graded(Replies(reply, *[ChatReply("[[5]]")] * 3))[0].error == error


def test_repeats_are_requests_of_their_own() -> None:
    judge = Replies(*[ChatReply("[[5]]")] * 8)
    assert [row.repeat for row in graded(judge, repeats=2)] == [0, 1] * 4
    assert len(set(judge.requests)) == 8


def test_a_question_without_both_answers_is_not_graded() -> None:
    assert [turn.of.question.id for turn in turns_to_grade(QUESTIONS, ANSWERS[1:])] == ["111", "111"]

"""Answers that hold no verdict, from a real server on loopback: each is named, and costs the others nothing."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.endpoints.batch.judge import BatchJudge, Polling
from harness.endpoints.client import OpenAIJudge
from harness.endpoints.protocol import CallFailure, ChatReply, ChatRequest
from harness.endpoints.reference import EndpointReference
from harness.endpoints.reply_cache import RecordedReplies
from harness.endpoints.reply_faults import FailureTally
from harness.endpoints.retries import Retries
from harness.engine.limits import Limits
from harness.errors import UserError
from harness.models.openai_teacher import TEACHER_OPTIONS
from harness.records import Message
from tests.batch_routes import BatchRoutes
from tests.chat_server import ChatServer, Request, Response, error_response

QUICK = Retries(first_delay=0.01, longest_delay=0.05)
ONE_BY_ONE = Limits(concurrency=1, timeout_seconds=5.0)
NO_LOGPROBS = "the endpoint gave no log-probabilities, which were asked for: pass --judge-without logprobs"

Change = Callable[[dict[str, Any]], object]


class OddServer(ChatServer):
    """Answers prompts that hold the word "odd" with `change` made to the answer, or with `refusal`."""

    def __init__(self, change: Change = lambda choice: None, refusal: Response | None = None) -> None:
        super().__init__()
        self.change, self.refusal = change, refusal

    def completion(self, body: Mapping[str, Any], text: str | None = None) -> dict[str, Any]:
        whole = super().completion(body, text)
        if "odd" in body["messages"][-1]["content"]:
            self.change(whole["choices"][0])
        return whole

    def _refusal(self, request: Request, body: Mapping[str, Any]) -> Response | None:
        is_odd = "odd" in body["messages"][-1]["content"]
        return self.refusal if self.refusal and is_odd else super()._refusal(request, body)


def says(content: object, finish_reason: str = "stop", **message: object) -> Change:
    def change(choice: dict[str, Any]) -> None:
        choice |= {"message": {"role": "assistant", "content": content, **message}, "finish_reason": finish_reason}
        choice.pop("logprobs", None)

    return change


def logprobs(value: object) -> Change:
    return lambda choice: choice.update(logprobs=value)


def questions(odd: int, even: int, **changes: Any) -> list[ChatRequest]:
    words = [f"odd {number}" for number in range(odd)] + [f"even {number}" for number in range(even)]
    return [replace(ChatRequest((Message("user", word),), 1, 0.0, 5), **changes) for word in words]


def labels(odd: int, even: int) -> list[ChatRequest]:
    """Requests for a label, as Arena-Hard asks."""
    return questions(odd, even, max_tokens=64, top_logprobs=0)


def judge(server: ChatServer, kept: Path, limits: Limits = ONE_BY_ONE, **reference: Any) -> OpenAIJudge:
    return OpenAIJudge(replace(EndpointReference("judge-1", server.base_url), **reference), limits, kept, QUICK)


def ask(judge: OpenAIJudge | BatchJudge, requests: list[ChatRequest]) -> list[ChatReply | CallFailure]:
    found = dict(judge.replies(requests))
    return [found[place] for place in range(len(requests))]


def stop(judge: OpenAIJudge, requests: list[ChatRequest]) -> str:
    with pytest.raises(UserError) as error:
        ask(judge, requests)
    assert "\n" not in str(error.value)
    return str(error.value)


FILTER = error_response(400, "no", code="content_filter", innererror={"code": "ResponsibleAIPolicyViolation"})
CONTEXT = error_response(400, "This model's maximum context length is 8192 tokens", code="context_length_exceeded")


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (FILTER, "the endpoint's content filter refuses the prompt (status 400: no)"),
        (CONTEXT, "the prompt is too long for the model (status 400: This model's maximum context length is 8192"),
        (error_response(413, "Request Entity Too Large"), "the prompt is too long for the model (status 413"),
    ],
)
def test_a_refused_prompt_costs_the_others_nothing(tmp_path: Path, refusal: Response, reason: str) -> None:
    with OddServer(refusal=refusal) as server:
        replies = ask(judge(server, tmp_path), questions(3, 9))
        assert set(server.calls.values()) == {1}, "asked again, it would be refused again"
    for reply in replies[:3]:
        assert isinstance(reply, CallFailure) and reply.reason.startswith(reason) and reply.is_final
    assert all(isinstance(reply, ChatReply) for reply in replies[3:])


def test_prompts_that_are_refused_again_by_the_next_run_end_it_no_more_than_the_first(tmp_path: Path) -> None:
    with OddServer(refusal=FILTER) as server:
        ask(judge(server, tmp_path), questions(60, 60))
        again = ask(judge(server, tmp_path), questions(60, 60))
    assert sum(isinstance(reply, ChatReply) for reply in again) == 60


@pytest.mark.parametrize("concurrency", [1, 16])
def test_prompts_that_nearly_all_are_refused_end_the_run(tmp_path: Path, concurrency: int) -> None:
    with OddServer(refusal=CONTEXT) as server:
        line = stop(judge(server, tmp_path, Limits(concurrency)), questions(98, 2))
    assert "requests came to nothing: the prompt is too long for the model" in line


def test_refused_prompts_that_stand_first_end_nothing(tmp_path: Path) -> None:
    with OddServer(refusal=CONTEXT) as server:
        replies = ask(judge(server, tmp_path), questions(80, 20))
    assert sum(isinstance(reply, ChatReply) for reply in replies) == 20


def test_an_error_within_a_200_that_refuses_the_prompt_is_a_refused_prompt(tmp_path: Path) -> None:
    body = {"error": {"message": "Provider returned error: context too long", "code": 400}}
    with OddServer(refusal=Response(200, body)) as server:
        replies = ask(judge(server, tmp_path), questions(1, 3))
        assert set(server.calls.values()) == {1}
    assert (
        isinstance(replies[0], CallFailure)
        and "too long for the model (status 400: Provider returned" in replies[0].reason
    )
    assert all(isinstance(reply, ChatReply) for reply in replies[1:])


def test_another_error_within_a_200_is_tried_again_and_shown(tmp_path: Path) -> None:
    with OddServer(refusal=Response(200, {"error": {"message": "Upstream idle timeout", "code": 502}})) as server:
        first, *others = ask(judge(server, tmp_path), questions(1, 3))
        assert max(server.calls.values()) == QUICK.attempts
    assert first == CallFailure(f"status 502: Upstream idle timeout (after {QUICK.attempts} attempts)")
    assert all(isinstance(reply, ChatReply) for reply in others)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (says(None, refusal="I cannot help with that."), "the model refuses to answer: 'I cannot help with that.'"),
        (says([{"type": "refusal", "refusal": "No."}]), "the model refuses to answer: 'No.'"),
        (says("No.", "refusal"), "the model refuses to answer: 'No.'"),
        (says(None, "tool_calls", tool_calls=[{"id": "c"}]), "the model called a tool"),
        (says(None, tool_calls=[{"id": "c"}]), "the model called a tool"),
        (says("", function_call={"name": "f"}), "the model called a tool"),
        (says(None, reasoning_content="[[A>B]]"), "the model thought, and answered nothing"),
        (says("", reasoning="[[A>B]]"), "the model thought, and answered nothing"),
        (says([{"type": "thinking", "thinking": "[[A>B]]"}]), "the model thought, and answered nothing"),
        (says(None, "content_filter"), "the endpoint's content filter withheld the reply"),
        (says("[[A>B]] bec", "content_filter"), "the endpoint's content filter withheld the reply: '[[A>B]] bec'"),
        (says(None, "SAFETY"), "the endpoint's content filter withheld the reply"),
        (says(None, "length", reasoning_content="Hm"), "the reply was cut off while thinking, before its first word"),
        (says("<think>\nHm", "length"), "the reply was cut off while thinking, before its first word"),
        (says("", "max_tokens"), "the reply was cut off while thinking, before its first word"),
    ],
)
def test_a_reply_without_a_word_is_named_for_what_it_is_and_paid_for_once(
    tmp_path: Path, change: Change, reason: str
) -> None:
    with OddServer(change) as server:
        first, *others = ask(judge(server, tmp_path), labels(1, 4))
        assert ask(judge(server, tmp_path), labels(1, 4)) == [first, *others]
        assert set(server.calls.values()) == {1}
    assert isinstance(first, CallFailure) and first.reason.startswith(reason) and first.is_final
    assert all(isinstance(reply, ChatReply) for reply in others)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "[[A>B]]"}], "[[A>B]]"),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "[[B>A]]"}]}, {"text": "[[A>B]]"}], "[[A>B]]"),
        (["[[A", {"type": "output_text", "text": ">B]]"}], "[[A>B]]"),
    ],
)
def test_text_in_parts_is_read(tmp_path: Path, content: object, text: str) -> None:
    with OddServer(says(content)) as server:
        (reply,) = ask(judge(server, tmp_path), labels(1, 0))
    assert isinstance(reply, ChatReply) and reply.text == text


@pytest.mark.parametrize(
    ("without", "advice"),
    [
        ((), "pass --judge-without max_tokens --judge-without logprobs"),
        (("logprobs",), "pass --judge-without max_tokens:"),
        (("max_tokens", "logprobs"), "take a model that thinks less"),
    ],
)
def test_a_reply_cut_off_while_thinking_says_how_to_leave_it_room(
    tmp_path: Path, without: tuple[str, ...], advice: str
) -> None:
    with OddServer(says(None, "length")) as server:
        (reply,) = ask(judge(server, tmp_path, without=without), questions(1, 0))
    assert isinstance(reply, CallFailure) and advice in reply.reason


NO_ALTERNATIVES = [
    None,
    {},
    {"content": None},
    {"content": []},
    {"content": [{"token": "m", "logprob": 0.0, "top_logprobs": []}]},
    {"content": [{"token": "m", "logprob": 0.0, "top_logprobs": None}]},
    {"content": [{"token": "m", "logprob": 0.0}]},
    {"content": [{"token": "m", "logprob": 0.0, "top_logprobs": [{"token": "m", "logprob": 0.0}]}]},
    {"content": [{"top_logprobs": [{"token": "m", "logprob": -0.1}, {"token": "M", "logprob": None}]}]},
    {"tokens": ["m"], "token_logprobs": [-0.7], "top_logprobs": [{"m": -0.7, "M": -0.69}]},
]


@pytest.mark.parametrize("value", NO_ALTERNATIVES)
def test_a_reply_without_the_log_probabilities_asked_for_is_none(tmp_path: Path, value: object) -> None:
    with OddServer(logprobs(value)) as server:
        first, *others = ask(judge(server, tmp_path), questions(1, 5))
    assert isinstance(first, CallFailure) and first.reason.startswith(NO_LOGPROBS)
    assert all(isinstance(reply, ChatReply) and reply.log_probabilities for reply in others)


@pytest.mark.parametrize("value", NO_ALTERNATIVES)
def test_a_model_without_log_probabilities_ends_the_run_early_and_for_free_the_next_time(
    tmp_path: Path, value: object
) -> None:
    with OddServer(logprobs(value)) as server:
        line = stop(judge(server, tmp_path), questions(500, 0))
        assert NO_LOGPROBS in line and line.endswith("; 8 of 500 replies are recorded")
        assert server.calls.total() == FailureTally.MODEL_REPLIES == 8
        assert NO_LOGPROBS in stop(judge(server, tmp_path), questions(500, 0))
        assert server.calls.total() == FailureTally.MODEL_REPLIES, "the replies are kept"
        replies = ask(judge(server, tmp_path, without=("logprobs",)), questions(20, 0))
    assert all(isinstance(reply, ChatReply) for reply in replies)


def test_replies_kept_without_log_probabilities_are_none_either(tmp_path: Path) -> None:
    with OddServer() as server:
        reference = EndpointReference("judge-1", server.base_url, parser_version=3)
        with RecordedReplies(tmp_path, reference, "earlier") as record:
            for request in questions(2, 0):
                record.add(request, ChatReply("m"), None)
        replies = ask(judge(server, tmp_path, parser_version=4), questions(2, 5))
        assert server.calls.total() == 5, "a later reader finds what was paid for"
    assert [isinstance(reply, CallFailure) for reply in replies] == [True] * 2 + [False] * 5


@pytest.mark.parametrize("values", [(0.9, 0.1), (0.0, 0.0), (1e300, -1.0), (90.0, 10.0)])
def test_numbers_that_are_no_log_probabilities_are_no_verdict(values: tuple[float, float], tmp_path: Path) -> None:
    entries = [{"token": token, "logprob": value} for token, value in zip("mM", values, strict=True)]
    requests = questions(1, 3)
    with OddServer(logprobs({"content": [{"token": "m", "top_logprobs": entries}]})) as server:
        odd, *others = ask(judge(server, tmp_path), requests)
        assert isinstance(odd, CallFailure) and odd.is_final
        assert "add up to more than certainty: pass --judge-without logprobs" in odd.reason
        assert all(isinstance(reply, ChatReply) for reply in others)
        again, *_ = ask(judge(server, tmp_path), requests)
    assert again == odd, "kept replies are looked at as well"


@pytest.mark.parametrize("values", [(0.0, -9999.0), (1e-6, -16.0), (-0.69, -0.69), (-20.0, -21.0)])
def test_rounded_and_unlikely_log_probabilities_are_read(values: tuple[float, float], tmp_path: Path) -> None:
    entries = [{"token": token, "logprob": value} for token, value in zip("mM", values, strict=True)]
    with OddServer(logprobs({"content": [{"token": "m", "top_logprobs": entries}]})) as server:
        (reply,) = ask(judge(server, tmp_path), questions(1, 0))
    assert isinstance(reply, ChatReply) and reply.log_probabilities == dict(zip("mM", values, strict=True))


def test_log_probabilities_that_were_not_asked_for_are_not_used(tmp_path: Path) -> None:
    unasked = {"content": [{"top_logprobs": [{"token": "m", "logprob": -0.7}, {"token": "M", "logprob": -0.7}]}]}
    with OddServer(logprobs(unasked)) as server:
        replies = ask(judge(server, tmp_path, without=("logprobs",)), questions(2, 2))
    assert [reply.log_probabilities for reply in replies if isinstance(reply, ChatReply)] == [None] * 4


def test_a_few_faults_among_many_replies_end_nothing(tmp_path: Path) -> None:
    with OddServer(logprobs(None)) as server:
        replies = ask(judge(server, tmp_path), [*questions(0, 30), *questions(20, 0)])
    assert sum(isinstance(reply, CallFailure) for reply in replies) == 20


def test_a_system_turn_can_be_put_before_the_users(tmp_path: Path) -> None:
    said = (
        Message("system", "Judge."),
        Message("user", "1?"),
        Message("assistant", "Hm."),
        Message("user", "2?"),
    )
    with OddServer() as server:
        ask(judge(server, tmp_path, without=("system",)), [ChatRequest(said, 64, 0.0)])
        ask(judge(server, tmp_path), [ChatRequest(said, 64, 0.0)])
        without, plain = (body["messages"] for body in server.bodies)
    assert [(turn["role"], turn["content"]) for turn in plain] == [(turn.role, turn.content) for turn in said]
    assert [turn["role"] for turn in without] == ["user", "assistant", "user"]
    assert [turn["content"] for turn in without] == ["Judge.\n\n1?", "Hm.", "2?"]


@pytest.mark.parametrize("status", [400, 422, 500])
def test_a_refused_system_turn_ends_the_run_with_its_mend(tmp_path: Path, status: int) -> None:
    with OddServer(refusal=error_response(status, "System role not supported")) as server:
        assert "pass --judge-without system" in stop(judge(server, tmp_path), questions(1, 0))
        assert server.calls.total() == 1


@pytest.mark.parametrize(
    ("refusal", "advice"),
    [
        (error_response(400, "unknown field 'frequency'", code="invalid"), "refuses (status 400): unknown field"),
        (error_response(401, "content_filter: wrong key"), "check OPENAI_API_KEY"),
        (error_response(403, "your account may not use this model"), "check OPENAI_API_KEY"),
        (error_response(403, "You are not allowed to request logprobs from this model"), "--judge-without logprobs"),
        (error_response(404, "no such model"), "check --judge-model"),
        (error_response(400, "must be at most 3", param="top_logprobs"), "--judge-without logprobs"),
    ],
)
def test_what_every_request_would_meet_ends_the_run(tmp_path: Path, refusal: Response, advice: str) -> None:
    with OddServer(refusal=refusal) as server:
        assert advice in stop(judge(server, tmp_path), questions(20, 0))
        assert server.calls.total() == 1


@pytest.fixture
def batches() -> Iterator[tuple[OddServer, BatchRoutes]]:
    with OddServer(says(None, refusal="No.")) as server:
        yield server, BatchRoutes(server)


def in_batch(server: ChatServer, kept: Path) -> BatchJudge:
    reference = EndpointReference("judge-1", server.base_url)
    return BatchJudge(reference, Limits(batch=True), kept, Polling(0.01, 0.02), QUICK)


def test_faults_in_a_batch_are_named_as_elsewhere(batches: tuple[OddServer, BatchRoutes], tmp_path: Path) -> None:
    server, _ = batches
    assert ask(in_batch(server, tmp_path), labels(2, 3)) == ask(judge(server, tmp_path / "one"), labels(2, 3))
    server.change = logprobs(None)
    first, *others = ask(in_batch(server, tmp_path), questions(1, 3))
    assert isinstance(first, CallFailure) and first.reason.startswith(NO_LOGPROBS)
    assert all(isinstance(reply, ChatReply) for reply in others)


@pytest.mark.parametrize("even", [0, 4])
def test_rows_of_a_batch_that_are_refused_for_their_prompts_fail_alone(
    batches: tuple[OddServer, BatchRoutes], tmp_path: Path, even: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, routes = batches
    monkeypatch.setattr("tests.batch_routes._error_row", filtered_row)
    routes.faults.refused = 1.0
    refused = ask(in_batch(server, tmp_path), questions(3, 0))
    assert {reply.reason for reply in refused if isinstance(reply, CallFailure) and reply.is_final} == {
        "the endpoint's content filter refuses the prompt (status 400: no)"
    }
    routes.faults.refused = 0.0
    server.change = lambda choice: None
    assert all(isinstance(reply, ChatReply) for reply in ask(in_batch(server, tmp_path), questions(3, even)))


def filtered_row(custom_id: str, status: int, message: str) -> dict[str, Any]:
    error = {"error": {"message": "no", "code": "content_filter", "type": None}}
    return {"id": "row", "custom_id": custom_id, "response": {"status_code": 400, "body": error}}


def test_a_teacher_is_told_of_the_table_and_not_of_a_judges_option(tmp_path: Path) -> None:
    with OddServer(refusal=error_response(400, "System role not supported")) as server:
        asked = OpenAIJudge(
            EndpointReference("judge-1", server.base_url), ONE_BY_ONE, tmp_path, QUICK, options=TEACHER_OPTIONS
        )
        assert "configs/judges.yaml says what each model refuses: system is missing" in stop(asked, labels(1, 0))

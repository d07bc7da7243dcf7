"""Answers of odd types, or none at all: each is an answer that is none, and charged as such."""

import asyncio
import json
import random
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.backends import cost
from harness.backends.chat_protocol import UnusableAnswer, read_answer
from harness.backends.endpoint import error_message, problem, problem_within, read_json
from harness.backends.interfaces import CallFailure, ChatReply, Message
from harness.backends.judge_models import Price
from harness.backends.judges import JudgeReference
from harness.backends.replies import spending
from harness.core.errors import UserError
from harness.core.limits import Limits
from tests.backends.odd import (
    KEY,
    MUTATIONS,
    NOT_JSON,
    ODD,
    ONCE,
    ONE,
    STUBBORN,
    as_bytes,
    deep,
    good_answer,
    judge,
    mutated,
    only,
    places,
)
from tests.chat_server import ChatServer, Faults, Request, Response
from tests.raw_server import RawServer, endless, whole


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def test_no_value_in_any_place_of_an_answer_raises_anything_but_that_it_is_none() -> None:
    assert len(MUTATIONS) > 700
    read = 0
    for answer in MUTATIONS:
        problem_within(answer, KEY)
        try:
            reply = read_answer(answer)
        except UnusableAnswer as unusable:
            assert str(unusable)
            continue
        read += 1
        assert reply.prompt_tokens >= 0 and reply.completion_tokens >= 0
        assert (reply.prompt_tokens == 0) <= (reply.completion_tokens == 0)
        reply.text.encode()
        json.dumps(reply.log_probabilities, allow_nan=False)
    assert read > 300, "most of an answer is not what we read"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(ODD),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(good_answer())), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_nor_do_several_at_once(data: st.DataObject) -> None:
    answer = good_answer()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.sampled_from(list(places(answer))))
        answer = mutated(answer, at, data.draw(json_values))
    problem_within(answer, KEY), problem(400, answer, KEY), error_message(answer, KEY)
    with suppress(UnusableAnswer):
        assert isinstance(read_answer(answer), ChatReply)


def test_no_odd_answer_of_an_endpoint_ends_a_run_that_has_good_ones(tmp_path: Path) -> None:
    odd = [*random.Random(0).sample(MUTATIONS, 60), *NOT_JSON]
    questions = [replace(ONE, repeat=number) for number in range(2 * len(odd))]
    given: dict[str, bytes] = {}

    async def complete(request: Request) -> Response:
        number = len(given)
        given[str(number)] = request.body
        return Response(body=as_bytes(odd[number // 2]) if number % 2 else as_bytes(good_answer()))

    with ChatServer() as server:
        server.route("POST", "/v1/chat/completions", complete)
        replies = dict(judge(server.base_url, tmp_path, Limits(4)).replies(questions))
    assert len(replies) == len(questions)
    assert sum(isinstance(reply, ChatReply) for reply in replies.values()) >= len(odd)


@pytest.mark.parametrize("parameter", [None, 5, [], {"a": 1}, "temperature"])
@pytest.mark.parametrize("code", [None, 5, ["x"], {"b": 2}, "odd"])
@pytest.mark.parametrize("message", [None, 5, ["x"], {"c": 3}, "no, says the server", deep(400)])
def test_an_error_answer_of_any_types_is_one_line(parameter: Any, code: Any, message: Any, tmp_path: Path) -> None:
    error = {"error": {"message": message, "type": code, "code": code, "param": parameter}}
    with RawServer(whole(400, error)) as server, pytest.raises(UserError, match="refuses") as stop:
        only(judge(server.base_url, tmp_path))
    assert "\n" not in str(stop.value)


# What was charged


@pytest.fixture
def priced(monkeypatch: pytest.MonkeyPatch) -> Price:
    price = Price(prompt=1000.0, completion=1000.0, source="made up")
    monkeypatch.setattr(cost, "price_of", lambda reference: price)
    return price


def reserved() -> float:
    return cost.Budget(JudgeReference("judge-1", "http://127.0.0.1:1/v1"), None).most_usd(ONE)


@pytest.mark.parametrize("count", [-1, 0, True, False, 2.0, 0.5, "12", None, [], {}, 10**12, 10**400, -100_000])
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
def test_counts_that_are_none_are_charged_at_the_most(name: str, count: Any, tmp_path: Path, priced: Price) -> None:
    answer = good_answer()
    answer["usage"][name] = count
    with RawServer(whole(200, answer)) as server:
        assert isinstance(only(judge(server.base_url, tmp_path)), ChatReply)
    assert spending(tmp_path, "run").usd == pytest.approx(reserved())


def test_an_empty_reply_may_have_no_tokens() -> None:
    answer = good_answer()
    answer["choices"][0]["message"]["content"], answer["usage"]["completion_tokens"] = "", 0
    assert read_answer(answer).prompt_tokens == 12


async def hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def cut(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 -\r\ncontent-length: 1000\r\n\r\n" + as_bytes(good_answer())[:40])
    await writer.drain()


CHARGED = {
    "no answer": hang,
    "hung up": hang_up,
    "cut": cut,
    "no JSON": whole(200, b"<html><title>Please log in</title></html>"),
    "empty": whole(200, b""),
    "no choices, no usage": whole(200, {"choices": []}),
    "500": whole(500, {"error": "oh"}),
    "502 in a 200": whole(200, {"error": {"code": 502, "message": "upstream"}}),
    "too long": endless(b"", b" " * 2**16),
}
FREE = {
    "429": whole(429, {"error": "slow down"}),
    "408": whole(408, {"error": "too slow"}),
    "429 in a 200": whole(200, {"error": {"code": 429, "message": "slow down"}}),
}


@pytest.mark.parametrize("case", CHARGED)
def test_what_was_sent_and_not_read_is_charged_at_the_most(case: str, tmp_path: Path, priced: Price) -> None:
    with RawServer(CHARGED[case]) as server:
        limits = Limits(run_id="run", timeout_seconds=0.3)
        assert isinstance(only(judge(server.base_url, tmp_path, limits)), CallFailure)
        sent = len(server.requests)
    paid = spending(tmp_path, "run")
    assert (paid.answers, paid.unread) == (0, sent)
    assert paid.usd == paid.unread_usd == pytest.approx(sent * reserved())


@pytest.mark.parametrize("case", FREE)
def test_what_was_not_generated_is_free(case: str, tmp_path: Path, priced: Price) -> None:
    with RawServer(FREE[case]) as server:
        retries = replace(ONCE, patience=0.0)
        assert isinstance(only(judge(server.base_url, tmp_path, retries=retries)), CallFailure)
    assert spending(tmp_path, "run").usd == 0


@pytest.mark.parametrize("status", [400, 401, 402, 404, 422])
def test_a_refusal_is_free_and_so_is_a_server_that_is_not_there(status: int, tmp_path: Path, priced: Price) -> None:
    with RawServer(whole(status, {"error": "no"})) as server, pytest.raises(UserError):
        only(judge(server.base_url, tmp_path))
    with pytest.raises(UserError, match="cannot be reached"):
        only(judge(server.base_url, tmp_path, retries=STUBBORN))
    assert spending(tmp_path, "run").usd == 0


def test_a_request_that_is_broken_off_is_charged(tmp_path: Path, priced: Price) -> None:
    with ChatServer(faults=Faults({"hang": 0.5}, seed=5)) as server:
        limits = Limits(4, timeout_seconds=60, run_id="run")
        running = judge(server.base_url, tmp_path, limits).replies([replace(ONE, repeat=n) for n in range(1)])
        running.close()  # before it began
        assert spending(tmp_path, "run").usd == 0
        questions = [replace(ONE, messages=(Message("user", f"question {n}"),)) for n in range(20)]
        running = judge(server.base_url, tmp_path, limits).replies(questions)
        next(running)
        running.close()
        paid = spending(tmp_path, "run")
        assert paid.unread > 0 and paid.unread + paid.answers >= server.calls.total(), "some may not have arrived"


def test_time_outs_do_not_run_past_the_budget(tmp_path: Path, priced: Price) -> None:
    limit = 5.5 * reserved()
    with RawServer(hang) as server:
        limits = Limits(2, timeout_seconds=0.2, run_id="run", max_usd=limit)
        with pytest.raises(UserError, match="--max-usd"):
            list(
                judge(server.base_url, tmp_path, limits, STUBBORN).replies([replace(ONE, repeat=n) for n in range(20)])
            )
        assert len(server.requests) == 5
    assert spending(tmp_path, "run").usd <= limit


def test_json_of_an_answer_is_read_with_a_mark_and_with_broken_letters() -> None:
    assert read_json(b'\xef\xbb\xbf{"a": "\xff"}', KEY) == {"a": "\ufffd"}
    for text in NOT_JSON[:-1]:
        with pytest.raises(ValueError):
            read_json(text, KEY)

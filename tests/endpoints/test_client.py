import json
import logging
import multiprocessing
import os
import random
import socket
import threading
import time
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import pytest

from harness.endpoints import cost
from harness.endpoints.client import OpenAIJudge
from harness.endpoints.known_models import Price
from harness.endpoints.protocol import CallFailure, ChatReply, ChatRequest, Message
from harness.endpoints.reference import EndpointReference
from harness.endpoints.retries import Retries
from harness.endpoints.wire_format import THINKING_TOKENS, UnusableAnswer, parse_reply
from harness.engine.limits import Limits
from harness.errors import UserError
from tests.chat_server import FAULTS, GARBAGE, ChatServer, Faults, Request, Response

KEY = "sk-planted-0123456789abcdef"
TRANSIENT = [fault for fault in FAULTS if fault != "wrong_content"]
QUICK = Retries(first_delay=0.01, longest_delay=0.05)
STUBBORN = replace(QUICK, attempts=30)
Replies = dict[int, ChatReply | CallFailure]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def questions(count: int, **changes: float) -> list[ChatRequest]:
    """Requests for one token with its log-probabilities, as AlpacaEval asks."""
    return [
        replace(ChatRequest((Message("user", f"question {number}"),), 1, 0.0, 5), **changes) for number in range(count)
    ]


def judge(
    server: ChatServer, kept: Path, limits: Limits | None = None, retries: Retries = QUICK, **reference: object
) -> OpenAIJudge:
    limits = limits or Limits(concurrency=16, timeout_seconds=5.0)
    return OpenAIJudge(replace(EndpointReference("judge-1", server.base_url), **reference), limits, kept, retries)


def all_replies(judge: OpenAIJudge, requests: Sequence[ChatRequest]) -> Replies:
    """The replies by position; each position must come once."""
    found = list(judge.replies(requests))
    assert sorted(position for position, _ in found) == list(range(len(requests)))
    return dict(found)


def stop(judge: OpenAIJudge, requests: Sequence[ChatRequest]) -> str:
    """The one line that ends the run."""
    with pytest.raises(UserError) as error:
        all_replies(judge, requests)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_with_thirty_percent_faults_every_verdict_arrives_once_and_is_that_of_a_perfect_endpoint(tmp_path):
    requests = questions(150) + questions(100, max_tokens=64, top_logprobs=0)
    with ChatServer() as server:
        perfect = all_replies(judge(server, tmp_path / "perfect"), requests)
        assert sum(server.calls.values()) == 250
    faults = Faults({fault: 0.3 / len(TRANSIENT) for fault in TRANSIENT}, seed=1, retry_after="0.02")
    with ChatServer(faults=faults) as server:
        faulty = judge(server, tmp_path / "faulty", Limits(32, timeout_seconds=0.5), STUBBORN)
        assert all_replies(faulty, requests) == perfect
        calls = sum(server.calls.values())
        assert calls > 300  # so there were faults
        assert all_replies(faulty, requests) == perfect
        assert sum(server.calls.values()) == calls
    assert all(isinstance(reply, ChatReply) for reply in perfect.values())
    assert all((reply.log_probabilities is not None) == (at < 150) for at, reply in perfect.items())


@pytest.mark.parametrize("fault", TRANSIENT)
def test_what_fails_for_good_is_a_failed_call_that_the_next_run_makes_again(tmp_path, fault):
    limits, retries = Limits(8, timeout_seconds=0.2, run_id="1"), replace(QUICK, attempts=3, patience=0.3)
    with ChatServer(faults=Faults({fault: 1.0}, retry_after="0.02")) as server:
        failed = all_replies(judge(server, tmp_path, limits, retries), questions(4))
        assert all(isinstance(reply, CallFailure) and "\n" not in reply.reason for reply in failed.values())
        if not fault.startswith("429"):
            assert set(server.calls.values()) == {3}
        server.faults = Faults()
        mended = all_replies(judge(server, tmp_path, replace(limits, run_id="2"), retries), questions(4))
        assert all(isinstance(reply, ChatReply) for reply in mended.values())


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("500", "status 500: not now (after 3 attempts)"), ("truncated_json", "the answer is not JSON")],
)
def test_a_server_that_answers_nothing_useful_ends_the_run_early(tmp_path, fault, reason):
    limits, retries = Limits(4, timeout_seconds=1.0), replace(QUICK, attempts=3)
    with ChatServer() as server:
        all_replies(judge(server, tmp_path, limits, retries), questions(10))
        before = server.calls.total()
        server.faults = Faults({fault: 1.0})
        line = stop(judge(server, tmp_path, limits, retries), questions(100))
        assert server.calls.total() - before <= (5 + 4) * 3
    assert reason in line and "--judge-base-url" in line
    assert line.endswith("10 of 100 replies are recorded"), "which excuse no server that fails now"


@pytest.mark.parametrize("fault", ["500", "hang"])
def test_a_server_that_fails_after_its_first_reply_ends_the_run_once_rounds_of_requests_are_given_up(tmp_path, fault):
    with ChatServer() as server:
        this_run = judge(server, tmp_path, Limits(4, timeout_seconds=0.2), replace(QUICK, attempts=2))
        all_replies(this_run, questions(1))
        server.faults = Faults({fault: 1.0})
        replies = all_replies(this_run, questions(10))
        assert sum(isinstance(reply, CallFailure) for reply in replies.values()) == 9, "a short failure ends no run"
        before = server.calls.total()
        line = stop(this_run, questions(100))
        assert server.calls.total() - before <= (5 + 2 * 4 + 4) * 2
    assert "gives no usable reply any more, not one to the last 13 requests: " in line
    assert line.endswith("1 of 100 replies are recorded")


def test_replies_in_between_excuse_requests_that_are_given_up(tmp_path):
    requests = questions(120)
    with ChatServer(faults=Faults({"500": 0.6}, seed=2)) as server:
        replies = all_replies(judge(server, tmp_path, Limits(4), replace(QUICK, attempts=1)), requests)
    assert sum(isinstance(reply, CallFailure) for reply in replies.values()) > 5 + 2 * 4


def test_a_full_disk_ends_the_run_with_one_line_and_costs_no_recorded_reply(tmp_path, monkeypatch):
    whole, lines = os.write, []

    def fills_up(file: int, data: bytes) -> int:
        if b'"kind": "reply"' not in data:
            return whole(file, data)
        lines.append(data)
        return whole(file, data if len(lines) <= 5 else data[:7])

    with ChatServer() as server:
        monkeypatch.setattr(os, "write", fills_up)
        line = stop(judge(server, tmp_path, Limits(2)), questions(20))
        monkeypatch.setattr(os, "write", whole)
        assert f"cannot write to {tmp_path}" in line and "No space left on device" in line
        all_replies(judge(server, tmp_path, Limits(2)), questions(20))
        assert server.served.total() <= 20 + 2, "only what was in flight is asked for again"
        assert server.served.total() > 20


@pytest.mark.parametrize(("path", "hint"), [("/v1", False), ("", True), ("/api", True)])
def test_nothing_at_the_base_url_recalls_how_base_urls_usually_end(tmp_path, path, hint):
    with ChatServer() as server:
        base_url = server.base_url.removesuffix("/v1") + path
        line = stop(judge(server, tmp_path, base_url=base_url, model="another"), questions(1))
    assert "status 404" in line and "--judge-base-url" in line
    assert ("/v1)" in line) == hint


def test_a_garbage_reply_is_asked_for_again_by_the_next_run_and_not_before(tmp_path):
    requests = questions(40)
    with ChatServer(faults=Faults({"wrong_content": 0.3}, seed=2)) as server:
        asked, run = Counter(), 0
        rejected: list[int] = list(range(40))
        while rejected:
            run += 1
            this_run = judge(server, tmp_path, Limits(run_id=str(run)))
            replies = all_replies(this_run, requests)
            assert sum(server.calls.values()) - asked.total() == len(rejected)
            asked = Counter(server.calls)
            rejected = [position for position, reply in replies.items() if reply.text == GARBAGE]
            for position in rejected:
                this_run.reject(requests[position])
            assert all_replies(this_run, requests) == replies
            assert server.calls == asked
    assert run > 1


def test_equal_requests_are_asked_once_and_repeats_each(tmp_path):
    requests = questions(5) * 3 + questions(5, repeat=1)
    with ChatServer() as server:
        replies = all_replies(judge(server, tmp_path), requests)
        assert sum(server.calls.values()) == 10
    assert all(replies[position] == replies[position + 5] for position in range(10))


def test_the_concurrency_is_used_and_never_exceeded(tmp_path):
    faults = Faults({"500": 0.1, "429": 0.1, "cut": 0.1}, seed=3)
    with ChatServer(latency=0.02, faults=faults) as server:
        all_replies(judge(server, tmp_path, Limits(concurrency=7), STUBBORN), questions(100))
        assert server.most_in_flight == 7


def test_requests_a_minute_are_not_exceeded(tmp_path):
    with ChatServer() as server:
        all_replies(judge(server, tmp_path, Limits(requests_per_minute=1800)), questions(31))
        times = [at for at, _ in server.arrivals]
    assert times[-1] - times[0] >= 30 / 30 - 0.1


def test_tokens_a_minute_are_not_exceeded(tmp_path):
    requests = [replace(request, max_tokens=1000) for request in questions(11)]
    with ChatServer() as server:
        all_replies(judge(server, tmp_path, Limits(tokens_per_minute=600_000)), requests)
        times = [at for at, _ in server.arrivals]
    assert times[-1] - times[0] >= 10 * 1000 / 10_000 - 0.1


def test_a_request_comes_back_no_sooner_than_the_endpoint_asks(tmp_path):
    with ChatServer(faults=Faults({"429_retry_after": 0.4}, seed=4, retry_after="0.3")) as server:
        all_replies(judge(server, tmp_path), questions(20))
        times: dict[str, list[float]] = {}
        for at, content in server.arrivals:
            times.setdefault(content, []).append(at)
    gaps = [later - sooner for ats in times.values() for sooner, later in pairwise(ats)]
    assert gaps and min(gaps) >= 0.3


@pytest.mark.parametrize("wait", ["86400", "Fri, 01 Jan 2100 00:00:00 GMT", "inf"])
def test_an_endpoint_that_asks_for_a_day_is_not_waited_for(tmp_path, wait):
    with ChatServer(faults=Faults(status=429, retry_after=wait)) as server:
        assert "asks to wait" in stop(judge(server, tmp_path), questions(50))
        assert sum(server.calls.values()) <= 16


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_ends_the_run_with_one_line_before_more_is_asked(tmp_path, status):
    with ChatServer(faults=Faults(status=status, error={"message": "no, says the server"})) as server:
        line = stop(judge(server, tmp_path), questions(100))
        assert sum(server.calls.values()) <= 16
        assert all(part in line for part in ("judge-1", server.base_url, str(status), "no, says the server"))


def test_an_empty_account_ends_the_run(tmp_path):
    faults = Faults(status=429, error={"code": "insufficient_quota", "message": "You exceeded your current quota"})
    with ChatServer(faults=faults) as server:
        assert "You exceeded your current quota" in stop(judge(server, tmp_path), questions(100))
        assert sum(server.calls.values()) <= 16


@pytest.mark.parametrize("name", ["temperature", "logprobs", "top_logprobs", "max_tokens"])
def test_a_refused_parameter_is_named_and_can_be_left_out(tmp_path, name):
    option = name.removeprefix("top_")
    with ChatServer(faults=Faults(refused=(name,))) as server:
        assert f"--judge-without {option}:" in stop(judge(server, tmp_path), questions(3))
        replies = all_replies(judge(server, tmp_path, without=(option,)), questions(3))
        sent = server.bodies[-1]
    assert all(isinstance(reply, ChatReply) for reply in replies.values())
    assert name not in sent
    assert sent.get("max_completion_tokens") == (1 + THINKING_TOKENS if name == "max_tokens" else None)
    assert (replies[0].log_probabilities is None) == (option == "logprobs")


def test_too_long_a_prompt_is_not_taken_for_a_refused_parameter(tmp_path):
    said = "max_tokens is too large: 4096. This model's maximum context length is 2048 tokens"
    with ChatServer(faults=Faults(status=400, error={"message": said})) as server:
        (failure,) = all_replies(judge(server, tmp_path), questions(1)).values()
        assert failure == CallFailure(f"the prompt is too long for the model (status 400: {said})", is_final=True)


def test_any_text_can_be_sent(tmp_path):
    texts = ["grüße 你好 🎉", "half a pair \ud83d", "\0\x1f\u2028", ""]
    with ChatServer() as server:
        requests = [ChatRequest((Message("user", text),), 1, 0.0) for text in texts]
        all_replies(judge(server, tmp_path), requests)
        assert {body["messages"][0]["content"] for body in server.bodies} == set(texts)


@pytest.mark.parametrize(
    "error",
    [{"error": {"message": "not so"}}, {"error": "not so"}, {"message": "not so"}, {"detail": "not so"}, "not so"],
)
def test_the_servers_own_words_are_shown_wherever_they_stand(tmp_path, error):
    async def refuse(request: Request) -> Response:
        return Response(400, error)

    with ChatServer() as server:
        server.route("POST", "/v1/chat/completions", refuse)
        assert "(status 400): not so; 0 of 1" in stop(judge(server, tmp_path), questions(1))


def test_half_a_surrogate_pair_in_a_reply_is_a_question_mark(tmp_path):
    with ChatServer(answer=lambda body: "cut off \ud83d") as server:
        (reply,) = all_replies(judge(server, tmp_path), questions(1)).values()
    assert reply.text == "cut off ?"


def test_a_model_that_the_endpoint_lacks_ends_the_run(tmp_path):
    with ChatServer() as server:
        assert "--judge-model" in stop(judge(server, tmp_path, model="judge-2"), questions(1))


def test_an_endpoint_that_is_not_there_is_said_at_once(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    nobody = OpenAIJudge(EndpointReference("judge-1", url), Limits(), tmp_path, QUICK)
    assert "cannot be reached" in stop(nobody, questions(800))


def test_what_arrived_before_a_refusal_is_kept(tmp_path):
    with ChatServer(latency=0.01) as server:
        running = judge(server, tmp_path).replies(questions(100))
        first = list(islice(running, 30))
        server.faults = Faults(status=401)
        with pytest.raises(UserError, match="of 100 replies are recorded") as error:
            while True:
                first.append(next(running))
        assert f"{len(first)} of 100" in str(error.value)
        paid = server.served.total()
        server.faults = Faults()
        all_replies(judge(server, tmp_path), questions(100))
        assert server.served.total() == 100 and paid == len(first)


def test_closing_cancels_what_is_in_flight(tmp_path):
    with ChatServer(faults=Faults({"hang": 0.5}, seed=5)) as server:
        running = judge(server, tmp_path, Limits(8, timeout_seconds=60)).replies(questions(50))
        next(running)
        started = time.monotonic()
        running.close()
        assert time.monotonic() - started < 5
        calls = server.calls.total()
        deadline = time.monotonic() + 5
        while server.in_flight and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (server.in_flight, server.calls.total()) == (0, calls)


@pytest.fixture
def priced(monkeypatch: pytest.MonkeyPatch) -> Price:
    """A price for the server on loopback, where everything is free."""
    price = Price(prompt=1000.0, completion=1000.0, source="made up")
    monkeypatch.setattr(cost, "price_of", lambda reference: price)
    return price


def test_the_budget_stops_cleanly_and_a_larger_one_goes_on(tmp_path, priced):
    requests = questions(60)
    with ChatServer(latency=0.005) as server:
        line = stop(judge(server, tmp_path, Limits(8, max_usd=0.1, run_id="1")), requests)
        paid = server.served.total()
        assert 0 < paid < 60
        assert "--max-usd" in line and f"{paid} of 60 replies are recorded" in line
        spent = sum(line["usd"] for line in recorded(tmp_path))
        most = cost.Budget(EndpointReference("judge-1", server.base_url), None).most_usd(requests[-1])
        assert 0.1 - most < spent <= 0.1
        assert stop(judge(server, tmp_path, Limits(8, max_usd=0.1, run_id="1")), requests)
        assert server.served.total() == paid, "the same run has nothing left to spend"
        all_replies(judge(server, tmp_path, Limits(8, max_usd=10.0, run_id="2")), requests)
        assert set(server.served.values()) == {1} and server.served.total() == 60


def test_a_budget_holds_for_all_judges_of_a_run_together(tmp_path, priced):
    limits = Limits(8, max_usd=0.1, run_id="1")
    with ChatServer(latency=0.005, models=("judge-1", "judge-2")) as server:
        asking = [
            threading.Thread(target=stop, args=(judge(server, tmp_path, limits, model=model), questions(60)))
            for model in ("judge-1", "judge-2")
        ]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
    spent = sum(line["usd"] for line in recorded(tmp_path))
    assert 0.05 < spent <= 0.1


def test_answers_without_a_reply_count_against_the_budget(tmp_path, priced):
    with ChatServer(faults=Faults({"null_content": 1.0})) as server:
        all_replies(judge(server, tmp_path), questions(2))
        assert server.calls.total() == 2 * QUICK.attempts
    lines = recorded(tmp_path)
    assert len(lines) == 12 and all(line["kind"] == "unusable" and line["usd"] > 0 for line in lines)


def recorded(kept: Path) -> list[Mapping[str, object]]:
    return [json.loads(line) for path in kept.glob("*.jsonl") for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ([], "no choices"),
        ({"error": {"message": "overloaded"}}, "the answer is an error: overloaded"),
        ({"error": {"message": "Provider returned error", "metadata": {"raw": "no GPU"}}}, "error: no GPU"),
        ({"choices": [{"message": {"content": ""}, "error": {"code": 502, "message": "idle"}}]}, "broke off: idle"),
        ({"choices": [{"message": {"content": "hal"}, "finish_reason": "error"}]}, "broke off: its provider failed"),
        ({"choices": [{}]}, "no content"),
        ({"choices": [None]}, "no content"),
        ({"choices": [{"message": {"content": 3}}]}, "no content"),
    ],
)
def test_an_answer_without_a_reply_is_unusable(answer, reason):
    with pytest.raises(UnusableAnswer, match=reason):
        parse_reply(answer)


@pytest.mark.parametrize("finish_reason", ["length", "content_filter"])
def test_a_reply_cut_off_before_its_first_word_is_empty(finish_reason):
    choice = {"message": {"content": None}, "finish_reason": finish_reason}
    assert parse_reply({"choices": [choice]}) == ChatReply("", None, finish_reason)


@pytest.mark.parametrize(
    ("logprobs", "found"),
    [
        (None, None),
        ({"content": []}, None),
        ({"content": [{"token": "m", "logprob": -1}]}, None),
        ({"content": [{"token": "m", "logprob": -1, "top_logprobs": []}]}, None),
        ({"content": [{"token": "m", "logprob": -1, "top_logprobs": 5}]}, None),
        ({"content": [{"top_logprobs": [{"token": "m", "logprob": -1}, {"token": "M", "logprob": None}]}]}, None),
        ({"content": [{"top_logprobs": [{"token": "m", "logprob": -1}, {"token": "M", "logprob": True}]}]}, None),
        ({"content": [{"top_logprobs": [{"token": "m", "logprob": -1}, {"logprob": -2}]}]}, None),
        ({"content": [{"top_logprobs": [{"token": "m", "logprob": float("nan")}]}]}, None),
        ({"content": [{"top_logprobs": [{"token": "m", "logprob": 10**400}]}]}, None),
        ({"content": [{"top_logprobs": ["m", "M"]}]}, None),
        ({"tokens": ["m"], "token_logprobs": [-0.7], "top_logprobs": [{"m": -0.7, "M": -0.69}]}, None),
        ([-0.7], None),
        (
            {
                "content": [
                    {
                        "token": "m",
                        "logprob": -1,
                        "top_logprobs": [
                            {"token": "m", "logprob": -1.0},
                            {"token": "m", "logprob": -3.0},
                            {"token": "M", "logprob": float("-inf")},
                        ],
                    },
                    {"token": "x", "logprob": 0.0},
                ]
            },
            {"m": -1.0, "M": -9999.0},
        ),
    ],
)
def test_log_probabilities_are_those_of_the_first_token(logprobs, found):
    assert parse_reply({"choices": [{"message": {"content": "m"}, "logprobs": logprobs}]}).log_probabilities == found


def test_a_missing_key_is_named_except_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UserError, match="OPENAI_API_KEY"):
        OpenAIJudge(EndpointReference("gpt-4", "https://api.example.com/v1"), Limits(), tmp_path)
    for host in ("127.0.0.1:8000", "localhost:8000", "[::1]:8000"):
        OpenAIJudge(EndpointReference("judge-1", f"http://{host}/v1"), Limits(), tmp_path)


def test_the_key_is_sent_and_blanks_around_it_are_not(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    with ChatServer(faults=Faults(status=401)) as server:
        assert "you sent Bearer [OPENAI_API_KEY] " in stop(judge(server, tmp_path), questions(1))


@pytest.mark.parametrize("damaged", [f"{KEY}\n{KEY}", f"{KEY} {KEY}", f"{KEY}ü", f"{KEY}\x07"])
def test_a_key_that_no_header_can_carry_is_not_shown(tmp_path, monkeypatch, damaged):
    monkeypatch.setenv("OPENAI_API_KEY", damaged)
    with pytest.raises(UserError, match="OPENAI_API_KEY") as error:
        OpenAIJudge(EndpointReference("gpt-4", "https://api.example.com/v1"), Limits(), tmp_path)
    assert KEY not in str(error.value)


def echo_key(body: Mapping[str, object]) -> str:
    """The reply of a malicious endpoint."""
    return f"your key is {KEY}"


def test_the_key_reaches_no_file_no_log_and_no_error(tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    for name in ("openai", "httpx2", "httpcore2", "asyncio"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    shown: list[str] = []
    scenarios = [Faults({fault: 1.0}, retry_after="0.01") for fault in TRANSIENT]
    scenarios += [Faults(), Faults(refused=("temperature",)), Faults(status=429, retry_after="86400")]
    scenarios += [Faults(status=status) for status in (400, 401, 403, 404, 409, 422, 429, 500)]
    retries = replace(QUICK, attempts=2, patience=0.05)
    for number, faults in enumerate(scenarios):
        with ChatServer(faults=faults, answer=echo_key) as server:
            one = judge(server, tmp_path / str(number), Limits(2, timeout_seconds=0.2), retries)
            try:
                shown += map(repr, all_replies(one, questions(2)).values())
            except UserError as error:
                shown += [*traceback.format_exception(error), repr(error.__context__)]
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("your key is [OPENAI_API_KEY]" in path.read_text() for path in written)
    assert sum("you sent Bearer [OPENAI_API_KEY]" in text for text in shown) >= 6
    out, err = capfd.readouterr()
    assert len(caplog.text) > 1000
    for text in [*shown, *(path.read_text() for path in written), caplog.text, out, err]:
        assert KEY not in text


def judge_all(base_url: str, kept: str) -> None:
    """What the killed processes do."""
    client = OpenAIJudge(EndpointReference("judge-1", base_url), Limits(16), Path(kept))
    all_replies(client, questions(500))


def test_twenty_kills_lose_nothing_paid_for_and_repeat_at_most_what_was_in_flight(tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["openai", __name__])
    moments = sorted(random.Random(0).sample(range(1, 500), 20))
    with ChatServer(latency=0.01) as server:

        def started() -> multiprocessing.Process:
            process = context.Process(target=judge_all, args=(server.base_url, str(tmp_path)))
            process.start()
            return process

        unrecorded = 0
        for moment in moments:
            process = started()
            while kept_lines(tmp_path) < moment:
                assert process.is_alive()
                time.sleep(0.001)
            process.kill()
            process.join()
            time.sleep(0.05)  # for the server to read what had been sent
            lost = server.calls.total() - kept_lines(tmp_path) - unrecorded
            assert 0 <= lost <= 16
            unrecorded += lost
        process = started()
        process.join(60)
        assert process.exitcode == 0
        assert server.calls.total() == 500 + unrecorded
    lines = recorded(tmp_path)
    assert len(lines) == len({line["key"] for line in lines}) == 500


def kept_lines(kept: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in kept.glob("*.jsonl"))

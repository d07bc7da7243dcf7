"""Answers that no proper server gives: each is an answer that is none, and never more."""

import asyncio
import base64
import gzip
import html
import json
import random
import shutil
import socket
import ssl
import subprocess
import threading
import tracemalloc
import urllib.parse
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.endpoints import cost
from harness.endpoints.client import OpenAIJudge
from harness.endpoints.credentials import redact
from harness.endpoints.endpoint import CannotList, problem, problem_within, read_json, served_models
from harness.endpoints.judges import load_judge
from harness.endpoints.known_models import Price, is_same_model
from harness.endpoints.protocol import CallFailure, ChatReply, ChatRequest, Message
from harness.endpoints.reference import EndpointReference
from harness.endpoints.reply_cache import spending
from harness.endpoints.retries import Retries
from harness.endpoints.wire_format import UnusableAnswer, most_answer_bytes, parse_reply
from harness.engine.limits import Limits
from harness.errors import UserError
from harness.run.spending import _print_spending
from tests.chat_server import ChatServer, Faults, Request, Response
from tests.raw_server import RawServer, Write, endless, whole

KEY = "sk-pl/anted&0123456789abcdef"
ONE = ChatRequest((Message("user", "which one?"),), 1, 0.0, 5)
ONCE = Retries(attempts=1, first_delay=0.01, longest_delay=0.02)
STUBBORN = replace(ONCE, attempts=6)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def judge(base_url: str, kept: Path, limits: Limits | None = None, retries: Retries = ONCE, **also: Any) -> OpenAIJudge:
    return OpenAIJudge(EndpointReference("judge-1", base_url), limits or Limits(run_id="run"), kept, retries, **also)


def only(asked: OpenAIJudge, request: ChatRequest = ONE) -> ChatReply | CallFailure:
    ((_, reply),) = asked.replies([request])
    return reply


def good_answer() -> dict[str, Any]:
    entries = [{"token": token, "logprob": value, "bytes": [109]} for token, value in (("m", -0.1), ("M", -2.5))]
    message = {"role": "assistant", "content": "m", "refusal": None}
    logprobs = {"content": [{**entries[0], "top_logprobs": entries}], "refusal": None}
    choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": logprobs}
    usage = {"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 13, "prompt_tokens_details": {"cached": 0}}
    return {"id": "x", "object": "chat.completion", "model": "judge-1", "choices": [choice], "usage": usage}


# Every type, in every place


def deep(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


ODD = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2.5,
    1e308,
    float("nan"),
    float("inf"),
    10**400,
    -(10**400),
    "",
    "x",
    "12",
    "\ud83d",
]
ODD += ["\0\x1b]0;title\a", [], [[]], [None], [{}], {}, {"": None}, {"content": 1}, {"error": {"code": 400}}, deep(400)]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all values within a JSON value."""
    yield at
    for name in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[name], (*at, name))


def mutated(value: Any, at: Sequence[Any], put: Any) -> Any:
    """The value with `put` in the place `at`."""
    if not at:
        return put
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = mutated(value[at[0]], at[1:], put)
    return copy


MUTATIONS = [mutated(good_answer(), at, put) for at in places(good_answer()) for put in ODD]


def test_no_value_in_any_place_of_an_answer_raises_anything_but_that_it_is_none() -> None:
    assert len(MUTATIONS) > 700
    read = 0
    for answer in MUTATIONS:
        problem_within(answer, KEY)
        try:
            reply = parse_reply(answer)
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
    problem_within(answer, KEY), problem(400, answer, KEY)
    with suppress(UnusableAnswer):
        assert isinstance(parse_reply(answer), ChatReply)


def as_bytes(answer: Any) -> bytes:
    return json.dumps(answer).encode() if not isinstance(answer, bytes) else answer


NOT_JSON = [
    b"",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"1" * 5000,
    b"nul",
    b'{"choices": [}',
    b"data: {}\n\n",
]
NOT_JSON += [as_bytes(good_answer()) * 2, as_bytes(good_answer())[:-3], b"\xef\xbb\xbf" + as_bytes(3)]


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
    return cost.Budget(EndpointReference("judge-1", "http://127.0.0.1:1/v1"), None).most_usd(ONE)


@pytest.mark.parametrize("count", [-1, 0, True, False, 2.0, 0.5, "12", None, [], {}, 10**12, 10**400, -100_000])
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
def test_counts_that_are_none_are_charged_at_the_most(
    name: str, count: Any, tmp_path: Path, priced: Price, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = good_answer()
    answer["usage"][name] = count
    with RawServer(whole(200, answer)) as server:
        assert isinstance(only(judge(server.base_url, tmp_path)), ChatReply)
    paid = spending(tmp_path, "run")
    assert paid.usd == pytest.approx(reserved())
    assert (paid.uncounted, paid.prompt_tokens) == (1, 0)
    _print_spending(paid)
    assert "the tokens of 1 of them are not counted by the endpoint" in capsys.readouterr().err


def test_an_empty_reply_may_have_no_tokens() -> None:
    answer = good_answer()
    answer["choices"][0]["message"]["content"], answer["usage"]["completion_tokens"] = "", 0
    assert parse_reply(answer).prompt_tokens == 12


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
    "a choice that a filter ended": whole(200, {"choices": [{"error": {"code": "content_filter"}}]}),
}
FREE = {
    "429": whole(429, {"error": "slow down"}),
    "408": whole(408, {"error": "too slow"}),
    "429 in a 200": whole(200, {"error": {"code": 429, "message": "slow down"}}),
    "a filtered prompt": whole(400, {"error": {"message": "no", "code": "content_filter"}}),
    "a filtered prompt in a 200": whole(200, {"error": {"message": "no", "code": "content_filter"}}),
    "too long a prompt, with a 500": whole(500, {"error": "the request exceeds the available context size"}),
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


# The key


SPELLINGS = {
    "as it is": KEY,
    "json": json.dumps(KEY)[1:-1].replace("/", "\\/"),
    "numbers": "".join(f"\\u{ord(letter):04X}" for letter in KEY),
    "json in json": json.dumps(json.dumps({"key": KEY}).replace("/", "\\/")),
    "json in json in json": json.dumps(json.dumps(json.dumps({"key": KEY}).replace("/", "\\/"))),
    "url": urllib.parse.quote(KEY, safe=""),
    "url twice": urllib.parse.quote(urllib.parse.quote(KEY, safe="")),
    "page": html.escape(KEY),
    "page numbers": "".join(f"&#x{ord(letter):x};" for letter in KEY),
    "octal": "".join(f"\\{ord(letter):o}" for letter in KEY),
    "braces": "".join(f"\\u{{{ord(letter):x}}}" for letter in KEY),
    "old url": "".join(f"%u{ord(letter):04x}" for letter in KEY),
    "hexadecimal": KEY.encode().hex(),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64 of a header": base64.urlsafe_b64encode(f"Bearer {KEY}".encode()).decode(),
    "base64 of a line": base64.b64encode(f"key={KEY}\n".encode()).decode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_key_is_struck_out_however_it_is_spelt(spelling: str) -> None:
    said = redact(f"your key {SPELLINGS[spelling]} is bad", KEY)
    assert "[OPENAI_API_KEY]" in said and "0123456789" not in said
    assert base64.b64encode(b"0123456789")[:12].decode() not in said and b"0123456789".hex() not in said


@pytest.mark.parametrize("place", ["http://127.0.0.1:9/{}/v1", "http://{}.example.com/v1"])
def test_a_key_in_the_base_url_is_refused_before_it_is_written(place: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-0123456789")
    with pytest.raises(UserError, match="base URL holds the key") as refused:
        judge(place.format("sk-planted-0123456789"), tmp_path)
    assert "0123456789" not in str(refused.value) and not list(tmp_path.iterdir())


def test_a_redirect_to_the_key_does_not_show_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-Planted-0123456789")
    redirect = whole(307, b"", "location: http://sk-Planted-0123456789.example.com/")
    said = pytest.raises(UserError, match=r"redirects to http://\[OPENAI_API_KEY\]\.example")
    with RawServer(redirect) as server, said:
        only(judge(server.base_url, tmp_path))


def test_texts_that_only_resemble_the_key_stay() -> None:
    for text in (KEY[:-1], KEY.upper(), "\\" * 5000, "%" * 5000, "&amp;" * 2000, KEY.replace("/", "\\n/")):
        assert redact(text, KEY) == text


def echoing(escaped: str) -> bytes:
    """A whole answer that holds the key, spelt `escaped` in its JSON, in all its texts."""
    answer = json.dumps(good_answer())
    for before in ('"content": "m"', '"token": "M"', '"model": "judge-1"'):
        name, value = before.split(": ")
        answer = answer.replace(before, f'{name}: "{escaped}{value[1:-1]}"')
    return answer.encode()


@pytest.mark.parametrize("spelling", ["json", "numbers"])
@pytest.mark.parametrize("status", [200, 400])
def test_no_text_of_an_answer_brings_the_key_to_the_disk(
    spelling: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = ""
    body = echoing(SPELLINGS[spelling]) if status == 200 else f'{{"error": "{SPELLINGS[spelling]}"}}'.encode()
    with RawServer(whole(status, body)) as server:
        try:
            reply = only(judge(server.base_url, tmp_path))
            shown = repr(reply)
            assert shown.count("[OPENAI_API_KEY]") == 3
        except UserError as refusal:
            shown = str(refusal)
            assert "[OPENAI_API_KEY]" in shown
    texts = [shown, *capsys.readouterr(), *(path.read_text() for path in tmp_path.rglob("*.jsonl"))]
    assert not any("0123456789" in redact(text, KEY).replace(KEY, "") for text in texts)
    assert not any(KEY in text or SPELLINGS[spelling] in text for text in texts)


def test_no_name_of_a_model_brings_the_key_to_the_terminal() -> None:
    listed = f'{{"data": [{{"id": "{SPELLINGS["json"]}"}}]}}'.encode()
    with RawServer(whole(200, listed)) as server:
        assert list(served_models(EndpointReference("judge-1", server.base_url), 5.0)) == ["[OPENAI_API_KEY]"]


# How long an answer may be


def peak_of(ask: Any) -> float:
    """MiB that were allocated at once while `ask` ran."""
    ask()  # imports
    tracemalloc.start()
    try:
        ask()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def bomb(compress: Any) -> bytes:
    return compress.compress(b"[" + b" " * 200_000_000) + compress.flush()


GZIP, DEFLATE = (zlib.compressobj(9, zlib.DEFLATED, bits) for bits in (31, 15))


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", bomb(GZIP)),
        ("deflate", bomb(DEFLATE)),
        ("gzip, gzip", gzip.compress(gzip.compress(b"[" + b" " * 100_000_000, mtime=0), mtime=0)),
    ],
    ids=["gzip", "deflate", "gzip twice"],
)
def test_what_an_answer_unpacks_to_is_bounded(encoding: str, body: bytes, status: int, tmp_path: Path) -> None:
    write = whole(status, body, f"content-encoding: {encoding}")
    with RawServer(write) as server:
        reply: list[ChatReply | CallFailure] = []
        peak = peak_of(lambda: reply.append(only(judge(server.base_url, tmp_path))))
    assert isinstance(reply[-1], CallFailure)
    assert ("longer than any reply" in reply[-1].reason) == (status == 200)
    assert peak < 20, "MiB, of which a reply of one token may have one"


@pytest.mark.parametrize("status", [200, 500])
def test_an_endless_body_ends(status: int, tmp_path: Path) -> None:
    with RawServer(endless(b'{"choices": "', b"x" * 2**16, status)) as server:
        peak = peak_of(lambda: only(judge(server.base_url, tmp_path)))
    assert peak < 20


def test_long_replies_have_the_room_that_they_need(tmp_path: Path) -> None:
    request = replace(ONE, max_tokens=4096, top_logprobs=0)
    answer = good_answer()
    answer["choices"][0]["message"]["content"] = "\ud83d\ude00" * 4096  # twelve bytes each in ASCII
    answer["prompt_filter_results"] = ["x" * 100_000]
    assert len(as_bytes(answer)) < most_answer_bytes(EndpointReference("judge-1"), request)
    with RawServer(whole(200, answer)) as server:
        assert isinstance(only(judge(server.base_url, tmp_path), request), ChatReply)


def test_a_list_of_models_that_is_endless_is_none() -> None:
    with RawServer(endless(b'{"data": [', b" " * 2**20)) as server, pytest.raises(CannotList, match="longer than"):
        served_models(EndpointReference("judge-1", server.base_url), 30.0)


def dripping(start: bytes) -> Write:
    """Writes `start`, and then a letter at a time for ever."""

    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    return write


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 -\r\nx-slow: ",
        b"HTTP/1.1 200 -\r\ncontent-length: 9999\r\n\r\n",
        b"HTTP/1.1 500 -\r\ncontent-length: 9999\r\n\r\n",
    ],
    ids=["header", "body", "error"],
)
def test_a_list_of_models_that_comes_letter_by_letter_is_none(start: bytes) -> None:
    with RawServer(dripping(start)) as server, pytest.raises(CannotList, match=r"no whole answer within 0\.2 s"):
        served_models(EndpointReference("judge-1", server.base_url), 0.2)


def test_no_charset_of_a_header_is_looked_up(tmp_path: Path) -> None:
    for charset in ("rot13", "undefined", "utf-7", "utf-16", "hex"):
        for status in (200, 400):
            answer = good_answer() if status == 200 else {"error": "no"}
            with RawServer(whole(status, answer, f"content-type: application/json; charset={charset}")) as server:
                try:
                    assert only(judge(server.base_url, tmp_path / charset)).text == "m"
                except UserError as refusal:
                    assert "(status 400): no" in str(refusal)


# Where prompts go


def redirecting(server: ChatServer, location: str) -> None:
    async def redirect(request: Request) -> Response:
        return Response(307, b"", {"location": location})

    server.route("POST", "/v1/chat/completions", redirect)


@pytest.mark.parametrize("host", ["http://localhost:{port}", "https://127.0.0.1:{port}", "//localhost:{port}"])
def test_prompts_are_sent_to_no_other_host(host: str, tmp_path: Path) -> None:
    with ChatServer() as other, ChatServer() as server:
        redirecting(server, host.format(port=other.port) + "/v1/chat/completions")
        with pytest.raises(UserError, match="redirects to") as stop:
            only(judge(server.base_url, tmp_path))
        assert other.calls.total() == 0
    assert f":{other.port}" in str(stop.value) and "base URL" in str(stop.value)


def test_a_redirect_within_the_server_is_followed(tmp_path: Path) -> None:
    with ChatServer() as server:
        server.route("POST", "/v1/chat/completions/", server._complete)
        redirecting(server, "/v1/chat/completions/")
        assert isinstance(only(judge(server.base_url, tmp_path)), ChatReply)
        redirecting(server, "/v1/chat/completions")
        with pytest.raises(UserError, match="redirects more than"):
            only(judge(server.base_url, tmp_path), replace(ONE, repeat=1))


# Who answers


@pytest.mark.parametrize(
    ("asked", "served", "same"),
    [
        ("gpt-4.1", "gpt-4.1", True),
        ("gpt-4.1", "gpt-4.1-2025-04-14", True),
        ("gpt-4", "gpt-4-0613", True),
        ("openai/gpt-4.1", "GPT-4.1", True),
        ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022", True),
        ("claude-3-sonnet", "claude-3-sonnet@20240229", True),
        ("llama3", "llama3:latest", True),
        ("gemini-1.5-pro", "models/gemini-1.5-pro-002", True),
        ("Qwen/Qwen2.5-7B", "/models/Qwen2.5-7B/", True),
        ("gpt-4.1", "gpt-4.1-mini-2025-04-14", False),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-4-0613", "gpt-4-0314", False),
        ("gpt-4-0613", "gpt-4", False),
        ("gpt-4", "gpt-3.5-turbo", False),
        ("llama-3-8b", "llama-3-70b", False),
        ("judge-1", "x", False),
    ],
)
def test_a_name_stands_for_its_dated_snapshots_and_for_no_other_model(asked: str, served: str, same: bool) -> None:
    assert is_same_model(asked, served) is same


def test_another_model_is_said_once_whether_asked_or_found_again(tmp_path: Path) -> None:
    questions = [replace(ONE, repeat=number) for number in range(5)]
    answer = {**good_answer(), "model": "cheap-1\n"}
    with RawServer(whole(200, answer)) as server:
        for _ in range(2):
            said: list[str] = []
            reference = EndpointReference("judge-1", server.base_url)
            asked = load_judge(reference, Limits(), tmp_path, note=said.append)
            assert len(list(asked.replies(questions))) == 5 and asked.others == {"cheap-1\n": 5}
            assert said == [f"judge-1 at {server.base_url} says that another model answers: cheap-1"]
        assert len(server.requests) == 5


# What the endpoint says is wrong


@pytest.mark.parametrize(
    "code", ["insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance"]
)
@pytest.mark.parametrize("field", ["code", "type"])
def test_without_credit_nothing_is_asked_again(field: str, code: str, tmp_path: Path) -> None:
    error = {"error": {"message": "no credit", field: code}}
    with RawServer(whole(429, error)) as server, pytest.raises(UserError, match="no credit"):
        only(judge(server.base_url, tmp_path, retries=Retries()))
    assert len(server.requests) == 1


def test_who_waits_for_a_429_hears_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.endpoints import client, pacing

    monkeypatch.setattr(client, "_SILENCE_CHECK_SECONDS", 0.02)
    monkeypatch.setattr(client, "Silence", lambda now: pacing.Silence(now, first=0.2))
    said: list[str] = []
    retries = Retries(first_delay=0.05, longest_delay=0.05, patience=2.0)
    with RawServer(whole(429, {"error": {"message": "tier 1 allows 3 requests a day"}})) as server:
        assert isinstance(only(judge(server.base_url, tmp_path, retries=retries, note=said.append)), CallFailure)
    assert 1 <= len(said) <= 2, "not every time"
    assert "no reply for" in said[0] and "status 429: tier 1 allows 3 requests a day" in said[0]


def test_who_gets_replies_hears_of_no_waiting() -> None:
    from harness.endpoints.pacing import Silence

    silence = Silence(0.0)
    assert [silence.to_tell(at) for at in (5.0, 9.9)] == [None, None]
    assert silence.to_tell(11.0) == 11.0
    assert [silence.to_tell(at) for at in (12.0, 60.0)] == [None, None]
    assert silence.to_tell(70.0) == 70.0
    silence.end(71.0)
    assert silence.to_tell(80.0) is None and silence.to_tell(81.5) == 10.5


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"message": "no such voice", "code": 400}, 400),
        ({"message": "no such voice", "code": "400"}, 400),
        ({"message": "no such voice", "status": 422, "code": "x"}, 422),
    ],
)
def test_an_error_in_a_200_is_what_it_says(error: Any, status: int, tmp_path: Path) -> None:
    with RawServer(whole(200, {"error": error})) as server, pytest.raises(UserError) as stop:
        only(judge(server.base_url, tmp_path, retries=Retries()))
    assert f"(status {status}): no such voice" in str(stop.value) and len(server.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"message": "upstream idle", "code": 502}},
        {"error": "upstream idle"},
        {
            "choices": [
                {"finish_reason": "error", "message": {"content": "half"}, "error": {"message": "upstream idle"}}
            ]
        },
        {"choices": [{"finish_reason": "stop", "message": {"content": ""}, "error": {"message": "upstream idle"}}]},
    ],
)
def test_an_error_in_a_200_that_may_pass_is_tried_again_and_told(answer: Any, tmp_path: Path) -> None:
    came: list[int] = []

    async def complete(request: Request) -> Response:
        came.append(1)
        return Response(body=answer if len(came) < 3 or len(came) > 3 else good_answer())

    with ChatServer() as server:
        server.route("POST", "/v1/chat/completions", complete)
        retries = replace(ONCE, attempts=3)
        assert isinstance(only(judge(server.base_url, tmp_path, retries=retries)), ChatReply)
        failure = only(judge(server.base_url, tmp_path, retries=retries), replace(ONE, repeat=1))
    assert isinstance(failure, CallFailure) and "upstream idle" in failure.reason


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        (
            "<!DOCTYPE html><html><head><title>api | 524: A timeout\n occurred</title></head><body>x</body>",
            "api | 524: A timeout occurred",
        ),
        (
            "<html><style>b {}</style><script>alert(1)</script><h1>Bad</h1><p>Gateway &amp; more</p></html>",
            "Bad Gateway & more",
        ),
        ("\ufeff  <HTML></HTML>", "a web page without text"),
        ("<!doctype html><![x[<title>odd</title>", "odd"),
    ],
)
def test_of_a_web_page_its_title_is_shown(page: str, shown: str, tmp_path: Path) -> None:
    message = problem(400, page, KEY).message
    assert message in (shown, "a web page without text")
    for status in (200, 524):
        with RawServer(whole(status, page.encode(), "content-type: text/html")) as server:
            failure = only(judge(server.base_url, tmp_path))
        assert isinstance(failure, CallFailure) and message in failure.reason
        assert "<" not in failure.reason


def test_an_error_in_a_list_is_read() -> None:
    found = problem(429, '[{"error": {"message": "slow down", "code": 429, "status": "RESOURCE_EXHAUSTED"}}]', KEY)
    assert str(found) == "status 429: slow down" and found.is_retryable


# TLS


@pytest.fixture
def untrusted(tmp_path: Path) -> ssl.SSLContext:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("makes a certificate with openssl")
    subject, files = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], ("key.pem", "cert.pem")
    command = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "9",
        "-keyout",
        files[0],
        "-out",
        files[1],
    ]
    subprocess.run([*command, *subject], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / files[1], tmp_path / files[0])
    return context


def test_a_certificate_that_is_not_trusted_is_named_and_can_be(
    untrusted: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RawServer(whole(200, good_answer()), untrusted) as server:
        with pytest.raises(UserError, match=r"certificate verify failed: self-signed certificate.*SSL_CERT_FILE"):
            only(judge(server.base_url, tmp_path / "kept", retries=STUBBORN))
        with pytest.raises(UserError, match="certificate verify failed"):
            served_models(EndpointReference("judge-1", server.base_url), 5.0)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert isinstance(only(judge(server.base_url, tmp_path / "kept")), ChatReply)


def test_tls_to_a_server_that_has_none_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer_in_plain_text() -> None:
            for _ in range(STUBBORN.attempts_to_connect):
                with listening.accept()[0] as connection:
                    connection.recv(1)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer_in_plain_text, daemon=True).start()
        with pytest.raises(UserError, match=r"cannot be reached.*(wrong version|record layer)"):
            only(judge(f"https://127.0.0.1:{listening.getsockname()[1]}/v1", tmp_path, retries=STUBBORN))


def test_an_unknown_host_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be reached .*(not known|resolution|address)"):
        only(judge("http://no-such-host.invalid/v1", tmp_path, retries=STUBBORN))


def test_json_of_an_answer_is_read_with_a_mark_and_with_broken_letters() -> None:
    assert read_json(b'\xef\xbb\xbf{"a": "\xff"}', KEY) == {"a": "\ufffd"}
    for text in NOT_JSON[:-1]:
        with pytest.raises(ValueError):
            read_json(text, KEY)

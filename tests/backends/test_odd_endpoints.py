"""Endpoints that quote the key, never end, send elsewhere, answer by another model, or cannot be reached."""

import gzip
import json
import shutil
import socket
import ssl
import subprocess
import threading
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.backends.chat_protocol import most_answer_bytes
from harness.backends.credentials import redact
from harness.backends.endpoint import CannotList, error_message, problem, served_models
from harness.backends.interfaces import CallFailure, ChatReply
from harness.backends.judge_models import is_same_model
from harness.backends.judges import JudgeReference
from harness.backends.pace import Retries
from harness.core.errors import UserError
from tests.backends.odd import (
    KEY,
    ONCE,
    ONE,
    SPELLINGS,
    STUBBORN,
    as_bytes,
    good_answer,
    judge,
    only,
)
from tests.chat_server import ChatServer, Request, Response
from tests.raw_server import RawServer, endless, whole


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


# The key


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_key_is_struck_out_however_it_is_spelt(spelling: str) -> None:
    said = redact(f"your key {SPELLINGS[spelling]} is bad", KEY)
    assert "[OPENAI_API_KEY]" in said and "0123456789" not in said


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
        assert list(served_models(JudgeReference("judge-1", server.base_url), 5.0)) == ["[OPENAI_API_KEY]"]


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
        ("gzip, gzip", gzip.compress(gzip.compress(b"[" + b" " * 100_000_000))),
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
    assert len(as_bytes(answer)) < most_answer_bytes(JudgeReference("judge-1"), request)
    with RawServer(whole(200, answer)) as server:
        assert isinstance(only(judge(server.base_url, tmp_path), request), ChatReply)


def test_a_list_of_models_that_is_endless_is_none() -> None:
    with RawServer(endless(b'{"data": [', b" " * 2**20)) as server, pytest.raises(CannotList, match="longer than"):
        served_models(JudgeReference("judge-1", server.base_url), 30.0)


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
            assert len(list(judge(server.base_url, tmp_path, note=said.append).replies(questions))) == 5
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
    from harness.backends import openai_api, pace

    monkeypatch.setattr(openai_api, "_TELLING_SECONDS", 0.02)
    monkeypatch.setattr(openai_api, "Silence", lambda now: pace.Silence(now, first=0.2))
    said: list[str] = []
    retries = Retries(first_delay=0.05, longest_delay=0.05, patience=2.0)
    with RawServer(whole(429, {"error": {"message": "tier 1 allows 3 requests a day"}})) as server:
        assert isinstance(only(judge(server.base_url, tmp_path, retries=retries, note=said.append)), CallFailure)
    assert 1 <= len(said) <= 2, "not every time"
    assert "no reply for" in said[0] and "status 429: tier 1 allows 3 requests a day" in said[0]


def test_who_gets_replies_hears_of_no_waiting() -> None:
    from harness.backends.pace import Silence

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
        ({"message": "context too long", "code": 400}, 400),
        ({"message": "context too long", "code": "400"}, 400),
        ({"message": "context too long", "status": 422, "code": "x"}, 422),
    ],
)
def test_an_error_in_a_200_is_what_it_says(error: Any, status: int, tmp_path: Path) -> None:
    with RawServer(whole(200, {"error": error})) as server, pytest.raises(UserError) as stop:
        only(judge(server.base_url, tmp_path, retries=Retries()))
    assert f"(status {status}): context too long" in str(stop.value) and len(server.requests) == 1


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
    assert error_message(page, KEY) in (shown, "a web page without text")
    for status in (200, 524):
        with RawServer(whole(status, page.encode(), "content-type: text/html")) as server:
            failure = only(judge(server.base_url, tmp_path))
        assert isinstance(failure, CallFailure) and error_message(page, KEY) in failure.reason
        assert "<" not in failure.reason


def test_an_error_in_a_list_is_read() -> None:
    found = problem(429, '[{"error": {"message": "slow down", "code": 429, "status": "RESOURCE_EXHAUSTED"}}]', KEY)
    assert str(found) == "status 429: slow down" and found.may_pass


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
            served_models(JudgeReference("judge-1", server.base_url), 5.0)
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

"""What no proper Batch API says: the rows are failures, the calls are tried again, and nothing is a traceback."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.endpoints.batch.api import BatchApi
from harness.endpoints.batch.journal import Journal
from harness.endpoints.batch.judge import BatchJudge, Polling
from harness.endpoints.cost import Budget
from harness.endpoints.protocol import CallFailure, ChatReply, ChatRequest, Message
from harness.endpoints.reference import EndpointReference
from harness.endpoints.reply_cache import spending
from harness.endpoints.retries import Retries
from harness.engine.limits import Limits
from harness.errors import UserError
from tests.batch_routes import BatchFaults, BatchRoutes
from tests.chat_server import ChatServer, Request, Response
from tests.endpoints.test_odd_answers import KEY, MUTATIONS, SPELLINGS, deep, good_answer

RETRIES = Retries(attempts=2, first_delay=0.005, longest_delay=0.01, patience=0.3)
Replies = dict[int, ChatReply | CallFailure]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def questions(count: int) -> list[ChatRequest]:
    return [ChatRequest((Message("user", f"which one, {n}?"),), 1, 0.0, top_logprobs=5) for n in range(count)]


def ask(server: ChatServer, kept: Path, requests: list[ChatRequest], note: Callable[[str], None] = print) -> Replies:
    limits = Limits(batch=True, run_id="run", timeout_seconds=5.0)
    reference = EndpointReference("judge-1", server.base_url)
    return dict(BatchJudge(reference, limits, kept, Polling(0.01, 0.02), RETRIES, note).replies(requests))


def test_no_odd_row_of_an_output_is_more_than_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = MUTATIONS[::7]
    answers = iter([*odd, *[good_answer()] * 3])
    with ChatServer() as server:
        monkeypatch.setattr(server, "completion", lambda body, text=None: next(answers))
        BatchRoutes(server, at_once=True)
        replies = ask(server, tmp_path, questions(len(odd) + 3))
    assert len(replies) == len(odd) + 3
    assert sum(isinstance(reply, ChatReply) for reply in replies.values()) > 3


@pytest.mark.parametrize("response", [None, 5, "x", [], {"status_code": "200"}, {"status_code": 200, "body": [1]}, {}])
@pytest.mark.parametrize("error", [None, 5, "x", ["y"], {"message": [1]}])
def test_a_row_of_any_types_is_a_failure(response: Any, error: Any, tmp_path: Path) -> None:
    with ChatServer() as server:
        routes = BatchRoutes(server, at_once=True)
        rows = routes._file

        def odd(found: list[dict[str, Any]]) -> str | None:
            return rows([{**row, "response": response, "error": error} for row in found])

        routes._file = odd  # type: ignore[method-assign]
        (reply,) = ask(server, tmp_path, questions(1)).values()
    assert isinstance(reply, CallFailure) and "\n" not in reply.reason


@pytest.mark.parametrize(
    "body", [b"<html>hello</html>", b"3", b"[]", b"{}", b'{"id": 5}', b'{"id": ""}', b"[" * 100_000]
)
@pytest.mark.parametrize("path", ["/v1/files", "/v1/batches"])
def test_what_is_no_answer_of_a_batch_api_is_one_line(path: str, body: bytes, tmp_path: Path) -> None:
    async def odd(request: Request) -> Response:
        return Response(body=body)

    with ChatServer() as server:
        BatchRoutes(server)
        server.route("POST", path, odd)
        said: list[str] = []
        with pytest.raises(UserError, match="the Batch API cannot be reached") as stop:
            ask(server, tmp_path, questions(1), said.append)
    assert "\n" not in str(stop.value)


@pytest.mark.parametrize("spelling", ["json", "numbers"])
def test_the_key_in_an_output_reaches_no_file(
    spelling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = json.dumps({**good_answer(), "model": "KEY"}).replace('"content": "m"', '"content": "KEY"')
    spelt = answer.replace("KEY", SPELLINGS[spelling]).encode()
    with ChatServer() as server:
        routes = BatchRoutes(server, at_once=True)

        def file(rows: list[dict[str, Any]]) -> str | None:
            if rows:
                whole = json.dumps({**rows[0], "response": {"status_code": 200, "body": 0}}).encode()
                routes.files["odd"] = whole.replace(b'"body": 0', b'"body": ' + spelt) + b"\n"
            return "odd" if rows else None

        monkeypatch.setattr(routes, "_file", file)
        (reply,) = ask(server, tmp_path, questions(1)).values()
    assert isinstance(reply, ChatReply) and reply.text == "[OPENAI_API_KEY]"
    texts = [*capsys.readouterr(), *(path.read_text() for path in tmp_path.rglob("*.jsonl"))]
    assert not any(part in text for text in texts for part in (KEY, SPELLINGS[spelling], "0123456789abcdef"))


def test_counts_that_are_none_are_charged_at_the_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ChatServer(models=("gpt-4.1",)) as server:
        monkeypatch.setattr(
            server, "completion", lambda body, text=None: {**good_answer(), "usage": {"prompt_tokens": -1}}
        )
        BatchRoutes(server, at_once=True)
        reference = EndpointReference("gpt-4.1", server.base_url)
        judge = BatchJudge(reference, Limits(batch=True, run_id="run"), tmp_path, Polling(0.01), RETRIES)
        assert len(list(judge.replies(questions(3)))) == 3
        most = sum(map(Budget(reference, None, batch=True).most_usd, questions(3)))
    assert spending(tmp_path, "run").usd == pytest.approx(most)


def test_an_output_that_is_longer_than_any_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ChatServer() as server:
        routes = BatchRoutes(server, at_once=True)
        rows = routes._file

        def long(found: list[dict[str, Any]]) -> str | None:
            name = rows(found)
            if name:
                routes.files[name] += b" " * 3_000_000
            return name

        monkeypatch.setattr(routes, "_file", long)
        monkeypatch.setattr("harness.endpoints.batch.api._MAX_FILE_BYTES", 2_000_000)
        with pytest.raises(UserError, match="the answer is longer than any reply can be"):
            ask(server, tmp_path, questions(2))


def test_who_waits_for_the_batch_api_hears_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.endpoints import pacing
    from harness.endpoints.batch import api

    async def busy(request: Request) -> Response:
        return Response(429, {"error": {"message": "tier 1 is busy"}})

    monkeypatch.setattr(api, "Silence", lambda now: pacing.Silence(now, first=0.05))
    said: list[str] = []
    with ChatServer() as server:
        server.route("POST", "/v1/files", busy)
        with pytest.raises(UserError, match="tier 1 is busy"):
            ask(server, tmp_path, questions(1), said.append)
    assert said and "status 429: tier 1 is busy" in said[0]


def test_lines_of_a_journal_that_are_none_of_ours_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "x.batches.jsonl"
    journal = Journal(path)
    submission = journal.uploaded("file-1", ["a", "b"], "run", 0.5)
    odd = [5, [], None, {}, {"kind": 3}, {"kind": "uploaded", "file_id": []}, {"kind": "settled", "file_id": "file-1"}]
    odd += [{"kind": "uploaded", "file_id": "f", "keys": 3, "run_id": 1, "most_usd": "x"}, {"kind": []}]
    with path.open("ab") as file:
        file.writelines(json.dumps(line).encode() + b"\n" for line in [*odd, deep(400)])
        file.write(b"[" * 100_000 + b"\n")
    journal.created(submission, "batch-1")
    (found,) = journal.open_submissions()
    assert (found.batch_id, found.open) == ("batch-1", {"a", "b"})


@pytest.mark.parametrize("status", ["in_progress", "ended", "JOB_STATE_SUCCEEDED"])
def test_a_batch_that_never_ends_ends_the_run_and_is_kept(status: str, tmp_path: Path) -> None:
    with ChatServer() as server:
        routes = BatchRoutes(server, BatchFaults(end=status), at_once=True)
        reference = EndpointReference("judge-1", server.base_url)
        limits, polling = Limits(batch=True, run_id="run", timeout_seconds=5.0), Polling(0.01, 0.02, at_most=0.1)
        with pytest.raises(UserError, match=rf"has not ended within 0 hours \(status {status}\)"):
            dict(BatchJudge(reference, limits, tmp_path, polling, RETRIES).replies(questions(2)))
        (batch,) = routes.batches.values()
        batch.states = ["completed"]
        replies = dict(BatchJudge(reference, limits, tmp_path, polling, RETRIES).replies(questions(2)))
        assert all(isinstance(reply, ChatReply) for reply in replies.values()) and len(routes.batches) == 1


def test_a_list_of_batches_without_end_is_not_read_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.endpoints.batch import api

    monkeypatch.setattr(api, "_MAX_BATCHES", 10)
    with ChatServer() as server:
        routes = BatchRoutes(server, at_once=True)
        batch = {"id": "batch-0", "object": "batch", "input_file_id": "another", "status": "completed"}

        async def again(request: Request) -> Response:
            return Response(body={"object": "list", "data": [batch], "has_more": True})

        api = BatchApi(EndpointReference("judge-1", server.base_url), KEY, 5.0, RETRIES)
        file_id = api.upload(b"")
        server.route("GET", "/v1/batches", again)
        assert api.create(file_id, first_attempt=False) in routes.batches


def test_the_batch_api_is_a_client_that_is_bounded(tmp_path: Path) -> None:
    with ChatServer() as server:

        async def elsewhere(request: Request) -> Response:
            return Response(307, b"", {"location": "http://localhost:9/v1/files"})

        server.route("POST", "/v1/files", elsewhere)
        api = BatchApi(EndpointReference("judge-1", server.base_url), KEY, 5.0, RETRIES)
        with pytest.raises(UserError, match="redirects to http://localhost:9"):
            api.upload(b"{}")

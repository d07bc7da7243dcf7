"""The Batch API client against a server that loses, cuts, refuses and forgets."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from harness.endpoints import known_models
from harness.endpoints.batch import judge
from harness.endpoints.batch.api import BatchApi
from harness.endpoints.batch.judge import BatchJudge, Polling
from harness.endpoints.client import OpenAIJudge
from harness.endpoints.cost import Budget
from harness.endpoints.judges import load_judge
from harness.endpoints.known_models import Price
from harness.endpoints.protocol import CallFailure, ChatReply, ChatRequest, Message
from harness.endpoints.reference import EndpointReference
from harness.endpoints.retries import Retries
from harness.engine.limits import Limits
from harness.errors import UserError
from tests.batch_routes import BatchFaults, BatchRoutes
from tests.chat_server import ChatServer, Request, Response, error_response

POLLING = Polling(first=0.01, longest=0.02)
RETRIES = Retries(attempts=8, first_delay=0.005, longest_delay=0.02, patience=20.0)
KEY = "sk-planted-0123456789abcdef"

REQUESTS = [ChatRequest((Message("user", f"which one, {n}?"),), 1, 0.0, top_logprobs=5) for n in range(40)]


@pytest.fixture(autouse=True)
def planted_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer() as server:
        yield server


def batch_judge(server: ChatServer, kept: Path, limits: Limits | None = None, retries: Retries = RETRIES) -> BatchJudge:
    reference = EndpointReference("judge-1", server.base_url)
    return BatchJudge(reference, limits or Limits(batch=True, run_id="run"), kept, POLLING, retries)


def ask(
    judge: BatchJudge | OpenAIJudge, requests: Sequence[ChatRequest] = REQUESTS
) -> Mapping[int, ChatReply | CallFailure]:
    """The replies by position, each of which must come once."""
    replies: dict[int, ChatReply | CallFailure] = {}
    for position, reply in judge.replies(requests):
        assert position not in replies
        replies[position] = reply
    return replies


def ok(replies: Mapping[int, ChatReply | CallFailure]) -> set[int]:
    return {position for position, reply in replies.items() if isinstance(reply, ChatReply)}


def test_a_batch_gives_the_replies_of_the_synchronous_client(server: ChatServer, tmp_path: Path) -> None:
    routes = BatchRoutes(server)
    in_batch = ask(batch_judge(server, tmp_path / "batch"))
    one_by_one = ask(OpenAIJudge(EndpointReference("judge-1", server.base_url), Limits(), tmp_path / "sync"))
    assert in_batch == one_by_one
    assert set(in_batch) == set(range(40))
    assert len(routes.batches) == 1


def test_line_separators_in_replies_do_not_end_a_row(server: ChatServer, tmp_path: Path) -> None:
    server.answer = lambda body: "one\u2028two\x85three\nfour"
    BatchRoutes(server)
    replies = ask(batch_judge(server, tmp_path))
    assert {reply.text for reply in replies.values() if isinstance(reply, ChatReply)} == {"one\u2028two\x85three\nfour"}
    assert ok(replies) == set(range(40))


def test_the_batch_api_is_one_limit_away(tmp_path: Path) -> None:
    reference = EndpointReference("judge-1", "http://127.0.0.1:1/v1")
    assert isinstance(load_judge(reference, Limits(batch=True), tmp_path)._judge, BatchJudge)
    assert isinstance(load_judge(reference, Limits(), tmp_path)._judge, OpenAIJudge)


def test_an_endpoint_that_asks_to_wait_is_waited_for(server: ChatServer, tmp_path: Path) -> None:
    routes = BatchRoutes(server)
    came: list[float] = []

    async def later(request: Request) -> Response:
        came.append(time.monotonic())
        busy = error_response(429, "slow down", headers={"retry-after": "0.3"})
        return busy if len(came) == 1 else await routes._upload(request)

    server.route("POST", "/v1/files", later)
    assert ok(ask(batch_judge(server, tmp_path))) == set(range(40))
    assert came[1] - came[0] >= 0.3


def test_an_account_without_credit_is_not_asked_again(server: ChatServer, tmp_path: Path) -> None:
    async def no_credit(request: Request) -> Response:
        return error_response(429, "You exceeded your current quota", code="insufficient_quota")

    BatchRoutes(server)
    server.route("POST", "/v1/files", no_credit)
    with pytest.raises(UserError, match=r"refuses .*You exceeded your current quota"):
        ask(batch_judge(server, tmp_path))


def test_what_is_submitted_is_what_the_synchronous_client_sends(server: ChatServer, tmp_path: Path) -> None:
    routes = BatchRoutes(server)
    ask(batch_judge(server, tmp_path / "batch"))
    ask(OpenAIJudge(EndpointReference("judge-1", server.base_url), Limits(), tmp_path / "sync"))
    (batch,) = routes.batches.values()
    submitted = [row["body"] for row in routes.rows_of(batch.input_file_id)]
    assert sorted(map(json.dumps, submitted)) == sorted(map(json.dumps, server.bodies))


def test_equal_requests_are_submitted_once_and_repeats_apart(server: ChatServer, tmp_path: Path) -> None:
    routes = BatchRoutes(server)
    repeat = ChatRequest(REQUESTS[0].messages, 1, 0.0, top_logprobs=5, repeat=1)
    replies = ask(batch_judge(server, tmp_path), [REQUESTS[0], REQUESTS[0], repeat])
    assert ok(replies) == {0, 1, 2}
    (batch,) = routes.batches.values()
    assert len(routes.rows_of(batch.input_file_id)) == 2


def test_a_second_run_pays_for_what_is_new(server: ChatServer, tmp_path: Path) -> None:
    routes = BatchRoutes(server)
    ask(batch_judge(server, tmp_path), REQUESTS[:30])
    assert ok(ask(batch_judge(server, tmp_path))) == set(range(40))
    assert [len(routes.rows_of(batch.input_file_id)) for batch in routes.batches.values()] == [30, 10]
    assert max(server.served.values()) == 1


def test_what_is_recorded_needs_no_server(server: ChatServer, tmp_path: Path) -> None:
    BatchRoutes(server)
    ask(batch_judge(server, tmp_path))
    with ChatServer() as other:
        other.port, port = server.port, other.port
        assert ok(ask(batch_judge(other, tmp_path))) == set(range(40))
        other.port = port


@pytest.mark.parametrize("end", ["expired", "cancelled"])
def test_of_a_batch_that_ended_early_the_finished_rows_are_kept(server: ChatServer, tmp_path: Path, end: str) -> None:
    routes = BatchRoutes(server, BatchFaults(end=end, answered=0.6, seed=3))
    first = ask(batch_judge(server, tmp_path))
    (batch,) = routes.batches.values()
    assert 0 < len(ok(first)) == batch.completed < 40
    reasons = {reply.reason for reply in first.values() if isinstance(reply, CallFailure)}
    assert all(end in reason for reason in reasons), reasons
    routes.faults.end, routes.faults.answered = "completed", 1.0
    assert ok(ask(batch_judge(server, tmp_path))) == set(range(40))
    assert max(server.served.values()) == 1


def test_a_batch_that_was_not_accepted_ends_the_run_and_is_submitted_anew(server: ChatServer, tmp_path: Path) -> None:
    routes = BatchRoutes(server, BatchFaults(end="failed"))
    with pytest.raises(UserError, match=r"did not accept batch batch-2.*Enqueued token limit reached"):
        ask(batch_judge(server, tmp_path))
    routes.faults.end = "completed"
    assert ok(ask(batch_judge(server, tmp_path))) == set(range(40))
    assert len(routes.batches) == 2


def test_refused_and_lost_rows_are_failures_and_asked_again(server: ChatServer, tmp_path: Path) -> None:
    routes = BatchRoutes(server, BatchFaults(refused=0.3, lost=0.2, seed=1))
    first = ask(batch_judge(server, tmp_path))
    reasons = {reply.reason for reply in first.values() if isinstance(reply, CallFailure)}
    assert reasons == {
        "status 400: Unsupported parameter: 'temperature'",
        "the batch's output has no reply to it",
    }
    routes.faults.refused = routes.faults.lost = 0.0
    assert ok(ask(batch_judge(server, tmp_path))) == set(range(40))
    assert set(server.served.values()) == {1}


def test_a_batch_of_which_every_row_is_refused_ends_the_run(server: ChatServer, tmp_path: Path) -> None:
    BatchRoutes(server, BatchFaults(refused=1.0))
    with pytest.raises(UserError, match="refused every request of batch batch-2: status 400: Unsupported parameter"):
        ask(batch_judge(server, tmp_path))


@pytest.mark.parametrize("cut_files", [1, 2])
def test_an_output_that_comes_cut_short_is_loaded_again(server: ChatServer, tmp_path: Path, cut_files: int) -> None:
    routes = BatchRoutes(server, BatchFaults(cut_files=cut_files))
    assert ok(ask(batch_judge(server, tmp_path))) == set(range(40))
    assert routes.faults.cut_files == 0


def test_an_output_that_goes_on_coming_cut_short_is_left_to_the_next_run(server: ChatServer, tmp_path: Path) -> None:
    routes = BatchRoutes(server, BatchFaults(cut_files=RETRIES.attempts))
    first = ask(batch_judge(server, tmp_path))
    assert 0 < len(ok(first)) < 40
    reasons = {reply.reason for reply in first.values() if isinstance(reply, CallFailure)}
    assert reasons == {"the batch's output came cut short; the next run loads it again"}
    assert ok(ask(batch_judge(server, tmp_path))) == set(range(40))
    assert len(routes.batches) == 1  # nothing was paid for again


@pytest.mark.parametrize("seed", range(5))
def test_with_many_faults_every_verdict_arrives_once(server: ChatServer, tmp_path: Path, seed: int) -> None:
    faultless = ask(OpenAIJudge(EndpointReference("judge-1", server.base_url), Limits(), tmp_path / "sync"))
    server.served.clear()
    routes = BatchRoutes(server, BatchFaults(requests=0.3, cut_files=1, lose_created=2, seed=seed))
    assert ask(batch_judge(server, tmp_path)) == faultless
    assert len(routes.batches) == 1
    assert set(server.served.values()) == {1}


def test_many_requests_are_split_at_the_limits(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    routes = BatchRoutes(server)
    monkeypatch.setattr(judge, "MAX_REQUESTS", 15)
    assert ok(ask(batch_judge(server, tmp_path / "rows"))) == set(range(40))
    assert sorted(len(routes.rows_of(batch.input_file_id)) for batch in routes.batches.values()) == [10, 15, 15]
    monkeypatch.setattr(judge, "MAX_BYTES", 1000)
    routes.batches.clear()
    assert ok(ask(batch_judge(server, tmp_path / "bytes"))) == set(range(40))
    sizes = [len(routes.files[batch.input_file_id]) for batch in routes.batches.values()]
    assert max(sizes) <= 1000
    assert sum(sizes) > 5000


def test_a_rejected_reply_is_paid_for_again_by_the_next_run_only(server: ChatServer, tmp_path: Path) -> None:
    routes = BatchRoutes(server)
    judge = batch_judge(server, tmp_path)
    ask(judge)
    judge.reject(REQUESTS[7])
    ask(judge)
    assert len(routes.batches) == 1
    ask(batch_judge(server, tmp_path, Limits(run_id="next")))
    assert [len(routes.rows_of(batch.input_file_id)) for batch in routes.batches.values()] == [40, 1]


def run_to_be_killed(server: ChatServer, kept: Path) -> "subprocess.Popen[bytes]":
    code = (
        "import sys; from pathlib import Path; from tests.endpoints import test_judge as t\n"
        "from harness.endpoints.reference import EndpointReference; from harness.engine.limits import Limits\n"
        "judge = t.BatchJudge(EndpointReference('judge-1', sys.argv[1]), Limits(run_id='killed'), Path(sys.argv[2]),"
        " t.Polling(first=60.0), t.RETRIES)\n"
        "t.ask(judge)\n"
    )
    return subprocess.Popen([sys.executable, "-c", code, server.base_url, str(kept)], start_new_session=True)


@pytest.mark.parametrize("create_seconds", [0.0, 30.0])
def test_a_run_that_was_killed_leaves_its_batch_to_the_next(
    server: ChatServer, tmp_path: Path, create_seconds: float
) -> None:
    """Killed while it waits for the batch, and killed while the answer with the batch's id is on its way."""
    routes = BatchRoutes(server, BatchFaults(create_seconds=create_seconds))
    killed = run_to_be_killed(server, tmp_path)
    while not any(batch.asked_after or create_seconds for batch in routes.batches.values()):
        assert killed.poll() is None
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    routes.faults.create_seconds = 0.0
    assert ok(ask(batch_judge(server, tmp_path))) == set(range(40))
    assert len(routes.batches) == 1
    assert set(server.served.values()) == {1}


def test_an_input_file_whose_batch_never_came_to_be_gets_one(server: ChatServer, tmp_path: Path) -> None:
    routes = BatchRoutes(server)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BatchApi, "create", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ask(batch_judge(server, tmp_path))
    assert (len(routes.files), len(routes.batches)) == (1, 0)
    assert ok(ask(batch_judge(server, tmp_path))) == set(range(40))
    assert (len(routes.files), len(routes.batches)) == (2, 1)  # input and output


def test_an_interrupted_batch_serves_a_run_that_asks_for_less_and_then_one_that_asks_for_more(
    server: ChatServer, tmp_path: Path
) -> None:
    routes = BatchRoutes(server)
    submitted = batch_judge(server, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BatchJudge, "_ended", lambda *_: iter(()))
        ask(submitted)
    assert ok(ask(batch_judge(server, tmp_path), REQUESTS[:5])) == set(range(5))
    assert ok(ask(batch_judge(server, tmp_path))) == set(range(40))
    assert len(routes.batches) == 1


def test_a_journal_line_that_a_power_loss_cut_short_is_passed_over(server: ChatServer, tmp_path: Path) -> None:
    routes = BatchRoutes(server)
    ask(batch_judge(server, tmp_path), REQUESTS[:10])
    (journal,) = tmp_path.glob("*.batches.jsonl")
    with journal.open("ab") as file:
        file.write(b'\n{"kind": "uplo')
    ask(batch_judge(server, tmp_path))
    assert ok(ask(batch_judge(server, tmp_path))) == set(range(40))
    assert len(routes.batches) == 2


def test_a_batch_that_is_gone_can_be_struck_from_the_journal(server: ChatServer, tmp_path: Path) -> None:
    routes = BatchRoutes(server)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BatchJudge, "_ended", lambda *_: iter(()))
        ask(batch_judge(server, tmp_path))
    routes.batches.clear()
    with pytest.raises(UserError, match=r"no such batch.*delete its line from the run's \*\.batches\.jsonl"):
        ask(batch_judge(server, tmp_path))
    (journal,) = tmp_path.glob("*.batches.jsonl")
    journal.write_text("".join(line for line in journal.open() if '"uploaded"' not in line))
    assert ok(ask(batch_judge(server, tmp_path))) == set(range(40))


@pytest.fixture
def dear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asks a price of the local server."""
    price = Price(10.0, 30.0, source="local", batch=0.5)
    for module in (known_models, sys.modules["harness.endpoints.cost"]):
        monkeypatch.setattr(module, "price_of", lambda reference: price)


def most_usd(server: ChatServer, requests: Sequence[ChatRequest]) -> float:
    return sum(map(Budget(EndpointReference("judge-1", server.base_url), None, batch=True).most_usd, requests))


@pytest.mark.usefixtures("dear")
def test_a_batch_that_could_overrun_the_budget_is_not_submitted(server: ChatServer, tmp_path: Path) -> None:
    routes = BatchRoutes(server)
    limit = most_usd(server, REQUESTS[:10]) * 1.01
    with pytest.raises(UserError, match="enough for 10 of its 40 requests: nothing was submitted"):
        ask(batch_judge(server, tmp_path, Limits(run_id="run", max_usd=limit)))
    assert not routes.files
    assert ok(ask(batch_judge(server, tmp_path, Limits(run_id="run", max_usd=limit)), REQUESTS[:10])) == set(range(10))


@pytest.mark.usefixtures("dear")
def test_what_a_run_has_waiting_counts_against_its_budget(server: ChatServer, tmp_path: Path) -> None:
    BatchRoutes(server)
    limits = Limits(run_id="run", max_usd=most_usd(server, REQUESTS) * 1.01)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BatchJudge, "_ended", lambda *_: iter(()))
        ask(batch_judge(server, tmp_path, limits), REQUESTS[:30])
    with pytest.raises(UserError, match=r"enough for \d of its 20 requests"):
        others = [ChatRequest((Message("user", f"another step's question {n}?"),), 1, 0.0, 5) for n in range(20)]
        ask(batch_judge(server, tmp_path, limits), others * 2)
    assert ok(ask(batch_judge(server, tmp_path, limits))) == set(range(40))


@pytest.mark.usefixtures("dear")
def test_a_budget_holds_for_all_judges_of_a_run_together(server: ChatServer, tmp_path: Path) -> None:
    """Both for what the first one has waiting and for what it has been paid."""
    server.models = ("judge-1", "judge-2")
    BatchRoutes(server)
    limits = Limits(run_id="run", max_usd=most_usd(server, REQUESTS) * 1.01)
    other = BatchJudge(EndpointReference("judge-2", server.base_url), limits, tmp_path, POLLING, RETRIES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BatchJudge, "_ended", lambda *_: iter(()))
        ask(batch_judge(server, tmp_path, limits))
    with pytest.raises(UserError, match="enough for 0 of its 20 requests"):
        ask(other, REQUESTS[:20])
    assert ok(ask(batch_judge(server, tmp_path, limits))) == set(range(40))
    with pytest.raises(UserError, match="nothing was submitted"):
        ask(other)
    assert ok(ask(other, REQUESTS[:1])) == {0}


@pytest.mark.usefixtures("dear")
def test_replies_are_recorded_at_the_batch_price(server: ChatServer, tmp_path: Path) -> None:
    BatchRoutes(server)
    replies = ask(batch_judge(server, tmp_path))
    paid = [json.loads(line)["usd"] for file in tmp_path.glob("judge-1-*[0-9a-f].jsonl") for line in file.open()]
    used = [
        (reply.prompt_tokens, reply.completion_tokens) for reply in replies.values() if isinstance(reply, ChatReply)
    ]
    assert sum(paid) == pytest.approx(sum(prompt * 5 + completion * 15 for prompt, completion in used) / 1e6)


def test_an_endpoint_without_a_batch_api_is_one_line(server: ChatServer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"judge-1 at http.*refuses \(status 404: .*drop --batch"):
        ask(batch_judge(server, tmp_path))


def test_an_endpoint_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with ChatServer() as server:
        pass
    with pytest.raises(UserError, match=r"cannot be reached.*run again to go on"):
        ask(batch_judge(server, tmp_path))


def test_the_key_is_in_no_file_and_no_message(server: ChatServer, tmp_path: Path) -> None:
    """Even where the server sends it back."""
    server.answer = lambda body: f"your key is {KEY}"
    routes = BatchRoutes(server)
    shown = str(ask(batch_judge(server, tmp_path)))
    assert all(KEY in headers["authorization"] for headers in routes.headers)

    async def refuse(request: Request) -> Response:
        return error_response(401, f"Incorrect API key provided: {KEY}")

    server.route("POST", "/v1/files", refuse)
    with pytest.raises(UserError, match="check OPENAI_API_KEY") as refused:
        ask(batch_judge(server, tmp_path / "other"))
    shown += str(refused.value)
    shown += "".join(file.read_text() for file in tmp_path.rglob("*") if file.is_file())
    assert shown.count("[OPENAI_API_KEY]") > 80
    assert KEY not in shown

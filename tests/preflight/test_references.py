"""Models, data sets and endpoints: there, to be fetched, and not to be had."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.engine.limits import Limits
from harness.models.references import checkpoint_folder
from harness.preflight.references import check_answer, endpoint_checks, reference_checks
from harness.preflight.tokens import token_checks
from harness.recipes.scales import DataRole, JudgeRole, ModelRole, Scale
from tests.chat_server import ChatServer, Faults, error_response
from tests.hub_server import COMMIT, MODELS, HubServer, serving, use_hub, way_offline
from tests.preflight.conftest import MakeContext, by_name, llama_in

NAME = "maker/tiny"
PINNED = f"{NAME}@{COMMIT}"
KEY = "sk-planted-0123456789abcdef"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub that has the packaged Llama."""
    shutil.copytree(checkpoint_folder("mini:llama"), tmp_path / "hub" / MODELS / NAME)
    with serving(tmp_path / "hub") as server:
        use_hub(monkeypatch, server.url, tmp_path / "cache")
        yield server


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Keeps this process off the hub, until the test ends."""
    return way_offline(monkeypatch)


# Models and data sets


def test_what_is_here_is_named(make_context: MakeContext) -> None:
    found = by_name(reference_checks(make_context()))
    assert {check.state for check in found.values()} == {"ok"}
    assert list(found) == ["models", "data sets"]
    assert "mini:llama" in found["models"].detail
    assert "mini:alpaca_eval2_verbose" in found["data sets"].detail


def test_a_data_set_that_is_not_there_is_a_failure_of_its_own(make_context: MakeContext, tiny: Scale) -> None:
    context = make_context(data=replace(tiny.data, demonstrations=DataRole("gone.jsonl", 5)))
    found = by_name(reference_checks(context))
    assert found["data set gone.jsonl"].state == "failure"
    assert found["data set gone.jsonl"].detail.startswith("cannot read the data set gone.jsonl")
    assert found["data sets"].state == "ok" and "gone" not in found["data sets"].detail


def test_a_model_that_is_not_there_is_a_failure_and_said_once(make_context: MakeContext) -> None:
    context = make_context(models=llama_in("no/such/folder"))
    found = by_name([*reference_checks(context), *token_checks(context)])
    assert found["model no/such/folder"].state == "failure"
    assert found["tokenizer of llama"].state == "warning"
    assert found["tokenizer of llama"].detail == "not checked: no/such/folder is not available"


def test_a_model_of_the_hub_is_looked_at_without_its_weights(hub: HubServer, make_context: MakeContext) -> None:
    context = make_context(models=llama_in(PINNED))
    found = by_name([*reference_checks(context), *token_checks(context)])
    assert found["models"].state == "warning"
    assert f"{PINNED} (0.0 GB to fetch)" in found["models"].detail
    assert "the run fetches them, or `harness prefetch` before" in found["models"].detail
    assert found["tokenizer of llama"].state == "ok"
    assert not any("safetensors" in path for path in hub.downloads())


def test_a_model_of_the_hub_is_looked_at_in_the_format_that_the_run_gives_it(
    hub: HubServer, make_context: MakeContext
) -> None:
    role = ModelRole(PINNED, "", chat_template="chatml", closing_token="<|pad|>")
    found = by_name(token_checks(make_context(models={"llama": role})))
    assert "closing token '<|pad|>'" in found["tokenizer of llama"].detail
    assert not any("safetensors" in path for path in hub.downloads())


def test_a_fetched_model_is_at_hand_offline(
    hub: HubServer, make_context: MakeContext, offline: Callable[[], None]
) -> None:
    checkpoint_folder(PINNED)
    offline()
    found = by_name(reference_checks(make_context(models=llama_in(PINNED))))
    assert found["models"].state == "ok" and PINNED in found["models"].detail


def test_a_model_without_its_weights_is_a_failure_offline(
    hub: HubServer, make_context: MakeContext, offline: Callable[[], None]
) -> None:
    list(token_checks(make_context(models=llama_in(PINNED))))  # fetches all but the weights
    offline()
    found = by_name(reference_checks(make_context(models=llama_in(PINNED))))
    assert found[f"model {PINNED}"].state == "failure"
    assert "harness prefetch" in found[f"model {PINNED}"].detail


def test_a_hub_that_is_not_there_is_a_failure(
    tmp_path: Path, make_context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_hub(monkeypatch, "http://127.0.0.1:9", tmp_path / "cache")
    found = by_name(reference_checks(make_context(models=llama_in(PINNED))))
    assert found[f"model {PINNED}"].state == "failure"
    assert "cannot be asked" in found[f"model {PINNED}"].detail


# Endpoints


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ChatServer(answer=lambda body: "ready") as server:
        yield server


def judged_at(url: str, model: str = "judge-1") -> JudgeRole:
    return JudgeRole(model, url)


def test_the_embedded_world_asks_no_endpoint(make_context: MakeContext) -> None:
    found = by_name(endpoint_checks(make_context(), asks=True))
    assert {name: check.state for name, check in found.items()} == {"judge": "ok", "teacher": "ok"}


def test_a_judge_and_a_teacher_that_answer_pass(server: ChatServer, make_context: MakeContext) -> None:
    context = make_context(judge=judged_at(server.base_url), teacher=f"openai:judge-1@{server.base_url}")
    found = by_name(endpoint_checks(context, asks=True))
    assert list(found) == ["judge", "judge answers", "teacher", "teacher answers"]
    assert {check.state for check in found.values()} == {"ok"}
    assert found["judge"].detail == f"{server.base_url} serves judge-1"
    assert found["judge answers"].detail == "'ready'"
    assert {body["max_tokens"] for body in server.bodies} == {16}


def test_nothing_is_asked_where_nothing_may_be_paid(server: ChatServer, make_context: MakeContext) -> None:
    found = by_name(endpoint_checks(make_context(judge=judged_at(server.base_url)), asks=False))
    assert found["judge"].state == "ok" and "judge answers" not in found
    assert server.bodies == []


def test_a_model_that_is_not_served_fails(server: ChatServer, make_context: MakeContext) -> None:
    found = by_name(endpoint_checks(make_context(judge=judged_at(server.base_url, "judge-2")), asks=True))
    assert found["judge"].state == "failure"
    assert "does not serve 'judge-2'; did you mean 'judge-1'?" in found["judge"].detail
    assert server.bodies == []


def test_a_revoked_key_fails_and_is_not_shown(server: ChatServer, make_context: MakeContext) -> None:
    async def refuse(request: object) -> object:
        return error_response(401, f"wrong key {KEY}")

    server.route("GET", "/v1/models", refuse)  # type: ignore[arg-type]
    found = by_name(endpoint_checks(make_context(judge=judged_at(server.base_url)), asks=True))
    assert found["judge"].state == "failure"
    assert "refuses the key" in found["judge"].detail and "check OPENAI_API_KEY" in found["judge"].detail
    assert KEY not in str(found["judge"])
    assert server.bodies == []


def test_a_missing_key_fails(make_context: MakeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    found = by_name(endpoint_checks(make_context(judge=JudgeRole("gpt-4o")), asks=True))
    assert found["judge"].state == "failure"
    assert "needs a key: set OPENAI_API_KEY" in found["judge"].detail


def test_a_dead_endpoint_fails(make_context: MakeContext) -> None:
    with ChatServer() as server:
        pass
    teacher = f"openai:judge-1@{server.base_url}"
    found = by_name(endpoint_checks(make_context(judge=judged_at(server.base_url), teacher=teacher), asks=True))
    assert found["judge"].state == found["teacher"].state == "failure"
    assert "cannot be reached" in found["judge"].detail and "cannot be reached" in found["teacher"].detail


def test_an_endpoint_that_lists_and_does_not_answer_fails(
    server: ChatServer, make_context: MakeContext, tmp_path: Path
) -> None:
    server.faults = Faults(status=401)
    judge = judged_at(server.base_url).reference()
    found = check_answer("judge", judge, Limits(timeout_seconds=5), tmp_path)
    assert (found.state, found.what) == ("failure", "judge answers")
    assert KEY not in found.detail


@pytest.mark.parametrize(
    ("role", "advice"), [("judge", "--judge-without max_tokens"), ("teacher", "configs/judges.yaml")]
)
def test_an_endpoint_that_thinks_for_longer_than_a_word_is_warned_of(
    server: ChatServer, tmp_path: Path, role: str, advice: str
) -> None:
    whole = server.completion

    def thinks(body: Mapping[str, Any], text: str | None = None) -> dict[str, Any]:
        completion = whole(body, text)
        message = {"content": None, "reasoning_content": "The user wants"}
        completion["choices"][0] |= {"message": message, "finish_reason": "length"}
        return completion

    server.completion = thinks  # type: ignore[method-assign]
    found = check_answer(role, judged_at(server.base_url).reference(), Limits(timeout_seconds=5), tmp_path)
    assert found.state == "warning" and "cut off while thinking" in found.detail and advice in found.detail


def test_what_is_judged_already_needs_no_judge(server: ChatServer, make_context: MakeContext) -> None:
    context = make_context(judge=judged_at(server.base_url))
    context.__dict__["missing"] = ()
    assert by_name(endpoint_checks(context, asks=True))["judge"].detail == "no endpoint is asked"

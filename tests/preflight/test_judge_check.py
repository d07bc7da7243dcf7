"""`judge check` against servers that serve good judges, bad ones and other models."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any

import pytest

from harness.endpoints.known_models import OPENAI_URL
from harness.endpoints.reference import EndpointReference
from harness.engine.limits import Limits
from harness.errors import UserError
from harness.preflight.judge_check import OBVIOUS_PAIRS, PROTOCOLS, Check, check_judge
from harness.preflight.judge_check import _check_shutdown as check_shutdown
from tests.chat_server import ChatServer, Faults, Request, Response, error_response

KEY = "sk-planted-0123456789abcdef"
TODAY = date(2026, 11, 21)


@pytest.fixture(autouse=True)
def planted_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def verdict(body: Mapping[str, Any], first_is_better: bool) -> str:
    if body.get("max_tokens") == 1:
        return "m" if first_is_better else "M"
    return f"My final verdict is: [[{'A>>B' if first_is_better else 'B>A'}]]"


def good_judge(body: Mapping[str, Any]) -> str:
    """Knows the right answers."""
    text = body["messages"][-1]["content"]
    (pair,) = (pair for pair in OBVIOUS_PAIRS if pair.right in text and pair.wrong in text)
    return verdict(body, text.index(pair.right) < text.index(pair.wrong))


def verbose_judge(body: Mapping[str, Any]) -> str:
    """Prefers the longer answer."""
    text = body["messages"][-1]["content"]
    (pair,) = (pair for pair in OBVIOUS_PAIRS if pair.right in text and pair.wrong in text)
    return verdict(body, (text.index(pair.right) < text.index(pair.wrong)) == (len(pair.right) > len(pair.wrong)))


def first_come_judge(body: Mapping[str, Any]) -> str:
    return verdict(body, True)


def silent_judge(body: Mapping[str, Any]) -> str:
    return "I would rather not say."


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(answer=good_judge) as server:
        yield server


def check(server: ChatServer, model: str = "judge-1", without: tuple[str, ...] = ()) -> dict[str, Check]:
    reference = EndpointReference(model, server.base_url, without)
    return {check.what: check for check in check_judge(reference, Limits(), TODAY)}


def completions(server: ChatServer) -> int:
    return sum(server.calls.values())


def serve_models(server: ChatServer, respond: Callable[[Request], Response]) -> None:
    async def route(request: Request) -> Response:
        return respond(request)

    server.route("GET", "/v1/models", route)


def serve_list(server: ChatServer, *entries: Mapping[str, Any]) -> None:
    serve_models(server, lambda request: Response(body={"object": "list", "data": list(entries)}))


def test_a_good_judge_passes_every_check(server: ChatServer) -> None:
    checks = check(server)
    assert list(checks) == [
        "model",
        "shutdown",
        "alpaca_eval2 answers",
        "alpaca_eval2 log-probabilities",
        "alpaca_eval2 verdicts",
        "arena_hard answers",
        "arena_hard verdicts",
    ]
    assert {check.state for check in checks.values()} == {"ok"}
    assert "10 of 10 obvious verdicts right, 5 of 5 pairs alike" in checks["alpaca_eval2 verdicts"].detail
    assert "10 of 10 obvious verdicts right, 5 of 5 pairs alike" in checks["arena_hard verdicts"].detail
    assert completions(server) == 20


def test_a_check_is_one_line(server: ChatServer) -> None:
    lines = [str(check) for check in check(server).values()]
    assert all("\n" not in line for line in lines)
    assert lines[0] == f"ok       model: {server.base_url} serves judge-1"


def test_every_check_asks_anew(server: ChatServer) -> None:
    check(server)
    check(server)
    assert completions(server) == 40


@pytest.mark.parametrize(
    ("answer", "right", "alike"), [(verbose_judge, 4, 5), (first_come_judge, 5, 0), (silent_judge, 0, 0)]
)
def test_judges_that_do_not_judge_fail(
    server: ChatServer, answer: Callable[[Mapping[str, Any]], str], right: int, alike: int
) -> None:
    server.answer = answer
    checks = check(server, without=("logprobs",))
    for protocol in PROTOCOLS:
        found = checks[f"{protocol} verdicts"]
        assert found.state == "failure"
        assert found.detail.startswith(f"{right} of 10 obvious verdicts right, {alike} of 5 pairs alike")
        assert "choose a stronger judge" in found.detail


@pytest.mark.parametrize(("mistakes", "state"), [(1, "ok"), (2, "warning"), (3, "failure")])
def test_a_few_mistakes_are_weighed(server: ChatServer, mistakes: int, state: str) -> None:
    def mistaken(body: Mapping[str, Any]) -> str:
        text = body["messages"][-1]["content"]
        pairs = [
            pair for pair in OBVIOUS_PAIRS if pair.right in text and text.index(pair.right) < text.index(pair.wrong)
        ]
        wrong = pairs and OBVIOUS_PAIRS.index(pairs[0]) < mistakes
        return verdict(body, False) if wrong else good_judge(body)

    server.answer = mistaken
    assert check(server)["arena_hard verdicts"].state == state


def test_ties_decide_nothing(server: ChatServer) -> None:
    server.answer = lambda body: "m" if body.get("max_tokens") == 1 else "[[A=B]]"
    found = check(server)["arena_hard verdicts"]
    assert found.state == "failure"
    assert "0 of 10 obvious verdicts right, 0 of 5 pairs alike in both orders, 10 undecided" in found.detail


def test_a_model_that_is_not_served_costs_nothing(server: ChatServer) -> None:
    with pytest.raises(UserError, match=r"does not serve 'judge-2'; did you mean 'judge-1'\? \(it serves: judge-1\)"):
        check(server, model="judge-2")
    assert completions(server) == 0


def test_a_model_that_the_vendor_shut_down_is_said_to_be_so(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.preflight.judge_check.shutdown_date", lambda reference: date(2026, 10, 23))
    with pytest.raises(
        UserError, match=r"does not serve 'gpt-4' \(the vendor announced to shut it down on 2026-10-23\)"
    ):
        check(server, model="gpt-4")
    assert completions(server) == 0


def test_a_list_of_several_pages_is_read_to_its_end(server: ChatServer) -> None:
    server.models = tuple(f"judge-{number}" for number in range(7))

    def page(request: Request) -> Response:
        start = pages.pop(0)
        data = [{"id": model} for model in server.models[start : start + 3]]
        return Response(body={"data": data, "has_more": start + 3 < len(server.models)})

    pages = [0, 3, 6]
    serve_models(server, page)
    assert check(server, model="judge-6")["model"].state == "ok"
    pages = [0, 3, 6]
    with pytest.raises(UserError, match="does not serve 'other'"):
        check(server, model="other")


@pytest.mark.parametrize(
    "respond",
    [
        lambda request: error_response(404, "there is no such page"),
        lambda request: Response(body={"unexpected": True}),
        lambda request: Response(body=b'{"object": "li'),
        lambda request: Response(body=[]),
    ],
)
def test_a_server_without_a_list_is_warned_of_and_asked(
    server: ChatServer, respond: Callable[[Request], Response]
) -> None:
    serve_models(server, respond)
    checks = check(server)
    assert checks["model"].state == "warning"
    assert "cannot list its models" in checks["model"].detail
    assert checks["arena_hard verdicts"].state == "ok"


def test_a_refused_key_ends_the_check(server: ChatServer) -> None:
    serve_models(server, lambda request: error_response(401, f"wrong key: {KEY}"))
    with pytest.raises(UserError, match=r"refuses the key.*check OPENAI_API_KEY") as refused:
        check(server)
    assert KEY not in str(refused.value)
    assert completions(server) == 0


def test_a_server_that_is_not_there_ends_the_check() -> None:
    with ChatServer() as server:
        pass
    with pytest.raises(UserError, match="cannot be reached"):
        check(server)


@pytest.mark.parametrize(
    ("announced", "state"),
    [
        ("2026-11-21", "failure"),
        ("2026-11-22", "warning"),
        ("2027-01-20", "warning"),
        ("2027-01-21", "ok"),
        (None, "ok"),
    ],
)
def test_the_servers_own_shutdown_date_is_heeded(server: ChatServer, announced: str | None, state: str) -> None:
    serve_list(server, {"id": "judge-1", "shutdown_date": announced})
    found = check(server)["shutdown"]
    assert found.state == state
    assert (announced or "none is known") in found.detail


def test_the_servers_date_goes_before_the_tables() -> None:
    vendor = EndpointReference("gpt-4-1106-preview", OPENAI_URL)
    assert "2026-10-23" in check_shutdown(vendor, {}, TODAY).detail
    assert check_shutdown(vendor, {"shutdown_date": "2028-01-01"}, TODAY).state == "ok"
    assert check_shutdown(vendor, {"shutdown_date": None}, TODAY).state == "failure"


def test_the_vendors_date_only_warns_of_a_server_here_under_the_models_name() -> None:
    proxy = check_shutdown(EndpointReference("gpt-4-1106-preview", "http://localhost:8000/v1"), {}, TODAY)
    assert proxy.state == "warning"
    assert "2026-10-23" in proxy.detail and "proxy" in proxy.detail


def test_log_probabilities_that_do_not_come_are_a_failure_with_its_mend(server: ChatServer) -> None:
    server.completion = without_log_probabilities(server.completion)  # type: ignore[method-assign]
    checks = check(server)
    assert checks["alpaca_eval2 answers"].state == "failure"
    assert "no log-probabilities, which were asked for: pass --judge-without logprobs" in (
        checks["alpaca_eval2 answers"].detail
    )
    assert "alpaca_eval2 verdicts" not in checks, "no verdict can be read, whatever the judge thinks"
    assert checks["arena_hard verdicts"].state == "ok"
    assert check(server, without=("logprobs",))["alpaca_eval2 verdicts"].state == "ok"


@pytest.mark.parametrize(
    ("message", "finish_reason", "reason"),
    [
        ({"content": None, "reasoning_content": "Hm"}, "length", "cut off while thinking, before its first word: to"),
        ({"content": None, "reasoning_content": "[[A>B]]"}, "stop", "the model thought, and answered nothing"),
        ({"content": None, "tool_calls": [{"id": "c"}]}, "tool_calls", "the model called a tool"),
        ({"content": None, "refusal": "No."}, "stop", "the model refuses to answer: 'No.'"),
        ({"content": ""}, "stop", "the reply is empty"),
        ({"content": " \n"}, "length", "cut off while thinking"),
    ],
)
@pytest.mark.parametrize("has_logprobs", [True, False])
def test_a_reply_without_a_word_is_never_ok(
    server: ChatServer, message: Mapping[str, Any], finish_reason: str, reason: str, has_logprobs: bool
) -> None:
    whole = server.completion

    def wordless(body: Mapping[str, Any], text: str | None = None) -> dict[str, Any]:
        completion = whole(body if has_logprobs else {**body, "logprobs": False}, "m")
        completion["choices"][0] |= {"message": message, "finish_reason": finish_reason}
        return completion

    server.completion = wordless  # type: ignore[method-assign]
    checks = check(server)
    found = [checks[f"{protocol} answers"] for protocol in PROTOCOLS]
    assert {each.state for each in found} == {"failure"}
    assert reason in found[1].detail
    assert not any("verdicts" in what for what in checks) and completions(server) == 2


def test_a_refused_system_turn_is_said_with_its_mend(server: ChatServer) -> None:
    async def no_system(request: Request) -> Response:
        if request.json()["messages"][0]["role"] == "system":
            return error_response(400, "System role not supported")
        return await server._complete(request)

    server.route("POST", "/v1/chat/completions", no_system)
    with pytest.raises(UserError, match="pass --judge-without system"):
        check(server)
    assert {found.state for found in check(server, without=("system",)).values()} == {"ok"}


def without_log_probabilities(completion: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def plain(body: Mapping[str, Any], text: str | None = None) -> dict[str, Any]:
        return completion({**body, "logprobs": False}, text)

    return plain


def test_log_probabilities_that_the_model_refuses_are_not_asked_for(server: ChatServer) -> None:
    server.faults = Faults(refused=("logprobs",))
    found = check(server, without=("logprobs",))
    assert found["alpaca_eval2 log-probabilities"].state == "warning"
    assert found["alpaca_eval2 verdicts"].state == "ok"
    assert not any("logprobs" in body for body in server.bodies)


def test_without_alpaca_evals_prompt_the_rest_is_checked(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.steps.judge_prompt.find_spec", lambda name: None)
    checks = check(server)
    assert checks["alpaca_eval2"].state == "warning"
    assert "pip install alpaca-eval" in checks["alpaca_eval2"].detail
    assert checks["arena_hard verdicts"].state == "ok"


def test_the_embedded_judge_has_no_endpoint() -> None:
    with pytest.raises(UserError, match="no endpoint to check"):
        list(check_judge(EndpointReference("mini:judge"), Limits()))


def test_no_order_of_length_finds_the_right_answers() -> None:
    longer = [len(pair.right) > len(pair.wrong) for pair in OBVIOUS_PAIRS]
    assert sorted(longer) == [False, False, False, True, True]


def test_a_check_does_not_say_the_key(server: ChatServer) -> None:
    server.answer = lambda body: KEY
    assert KEY not in json.dumps([str(check) for check in check(server).values()])

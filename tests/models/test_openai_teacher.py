"""A teacher at an endpoint, against a real server on loopback."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.endpoints import client
from harness.endpoints.retries import Retries
from harness.engine.limits import Limits
from harness.errors import UserError
from harness.models.generator import Completion, Sampling
from harness.models.openai_teacher import NO_ANSWER, OpenAITeacher, teacher_endpoint
from harness.models.references import model_fingerprint
from harness.records import Message
from tests.chat_server import ChatServer, Faults, Request, Response, error_response

SAMPLING = Sampling(0.7, 0.9, 64)
DEAD = "http://127.0.0.1:9/v1"
QUESTIONS = tuple(f"question {number}" for number in range(6))


def echo(body: Mapping[str, Any]) -> str:
    return f"an answer to {body['messages'][-1]['content']}"


def ask(url: str, kept: Path, questions: Sequence[str] = QUESTIONS, limits: Limits | None = None) -> list[Completion]:
    teacher = OpenAITeacher(f"openai:judge-1@{url}", limits or Limits(), kept)
    said = [(Message("user", "before"), Message("assistant", "yes"), Message("user", text)) for text in questions]
    return teacher.complete(said, SAMPLING, range(len(questions)))


def test_each_conversation_gets_its_answer_drawn_as_asked(tmp_path: Path) -> None:
    with ChatServer(answer=echo) as server:
        completions = ask(server.base_url, tmp_path)
    assert [each.text for each in completions] == [f"an answer to {text}" for text in QUESTIONS]
    bodies = sorted(server.bodies, key=lambda body: body["seed"])
    for number, body in enumerate(bodies):
        assert {name: value for name, value in body.items() if name != "messages"} == {
            "model": "judge-1",
            "max_tokens": 64,
            "temperature": 0.7,
            "top_p": 0.9,
            "seed": number,
        }
        assert [message["content"] for message in body["messages"]] == ["before", "yes", QUESTIONS[number]]


def test_an_answer_is_paid_for_once(tmp_path: Path) -> None:
    with ChatServer(answer=echo) as server:
        first = ask(server.base_url, tmp_path, QUESTIONS[:4])
        assert ask(server.base_url, tmp_path)[:4] == first
        assert len(server.bodies) == len(QUESTIONS)


def test_an_answer_that_is_empty_or_filtered_is_none_and_is_paid_for_once(tmp_path: Path) -> None:
    said = {"question 0": ("half a", "content_filter"), "question 1": (" \n", "stop"), "question 2": ("", "length")}
    said["question 3"] = ("long", "length")

    class Filters(ChatServer):
        def completion(self, body: Mapping[str, Any], text: str | None = None) -> dict[str, Any]:
            text, reason = said.get(body["messages"][-1]["content"], ("whole", "stop"))
            whole = super().completion(body, text)
            whole["choices"][0]["finish_reason"] = reason
            return whole

    with Filters() as server:
        completions = ask(server.base_url, tmp_path)
        assert ask(server.base_url, tmp_path) == completions
        assert len(server.bodies) == len(QUESTIONS)
    assert [(each.text, each.finish_reason.partition(",")[0]) for each in completions] == [
        ("", f"{NO_ANSWER}the endpoint's content filter withheld the reply: 'half a'"),
        ("", f"{NO_ANSWER}the reply is empty"),
        ("", f"{NO_ANSWER}the reply was cut off while thinking"),
        ("long", "length"),
        *[("whole", "stop")] * 2,
    ]


def test_what_a_teacher_thinks_is_no_part_of_its_answer(tmp_path: Path) -> None:
    said = ["<think>\nhm\n</think>\n\nFour.", "hm\n</think>\nFour.", " Four, as <think> says.\n", "<think>hm</think>\n"]
    with ChatServer(answer=lambda body: said[int(body["messages"][-1]["content"].split()[1])]) as server:
        completions = ask(server.base_url, tmp_path, QUESTIONS[:4])
    assert [each.text for each in completions] == ["Four.", "Four.", " Four, as <think> says.\n", ""]
    assert completions[3].finish_reason == f"{NO_ANSWER}the reply has thinking in it and no answer"


def test_a_prompt_that_the_endpoint_refuses_leaves_the_others_their_answers(tmp_path: Path) -> None:
    refused = {
        "question 1": error_response(400, "no", code="content_filter"),
        "question 3": error_response(400, "This model's maximum context length is 8192 tokens"),
    }

    class Refuses(ChatServer):
        def _refusal(self, request: Request, body: Mapping[str, Any]) -> Response | None:
            return refused.get(body["messages"][-1]["content"]) or super()._refusal(request, body)

    with Refuses(answer=echo) as server:
        completions = ask(server.base_url, tmp_path)
        assert set(server.calls.values()) == {1}
    assert [each.text for each in completions if each.text] == [
        f"an answer to question {number}" for number in (0, 2, 4, 5)
    ]
    assert completions[1].finish_reason.startswith(f"{NO_ANSWER}the endpoint's content filter refuses the prompt")
    assert completions[3].finish_reason.startswith(f"{NO_ANSWER}the prompt is too long for the model")


def test_what_fails_costs_nothing_that_was_paid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "Retries", lambda: Retries(first_delay=0.001))
    with ChatServer(answer=echo) as server:
        ask(server.base_url, tmp_path, QUESTIONS[:4])
        server.faults = Faults({"null_content": 1.0})
        with pytest.raises(UserError) as error:
            ask(server.base_url, tmp_path, QUESTIONS[:5])
        server.faults, served = Faults(), server.served.total()
        assert len(ask(server.base_url, tmp_path)) == len(QUESTIONS)
        assert server.served.total() == served + 2
    assert "left 1 of 5 requests unanswered (the answer has no content (after 6 attempts))" in str(error.value)
    assert "the other answers are kept: run the same command again" in str(error.value)


@pytest.mark.parametrize("status", [401, 403])
def test_a_revoked_key_ends_it_with_one_line(tmp_path: Path, status: int) -> None:
    with ChatServer(answer=echo) as server:
        ask(server.base_url, tmp_path, QUESTIONS[:2])
        server.faults = Faults(status=status)
        with pytest.raises(UserError) as error:
            ask(server.base_url, tmp_path)
    line = str(error.value)
    assert f"refuses (status {status})" in line and "check OPENAI_API_KEY" in line
    assert "2 of 6 replies are recorded" in line


def test_a_dead_endpoint_says_which_option_named_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be reached .* check --teacher, and that its server runs; 0 of 6"):
        ask(DEAD, tmp_path)


def test_the_budget_holds_for_the_teacher_too(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--max-usd"):
        OpenAITeacher("openai:gpt-4-1106-preview@" + DEAD, Limits(max_usd=0.0), tmp_path).complete(
            [(Message("user", "hi"),)], SAMPLING, [0]
        )


@pytest.mark.parametrize(
    ("reference", "model", "url"),
    [
        ("openai:gpt-4o", "gpt-4o", "https://api.openai.com/v1"),
        ("openai:smollm2@http://127.0.0.1:8000/v1/", "smollm2", "http://127.0.0.1:8000/v1"),
        ("openai:@cf/meta/llama@https://host/v1", "@cf/meta/llama", "https://host/v1"),
    ],
)
def test_model_and_endpoint_are_read_from_the_reference(reference: str, model: str, url: str) -> None:
    found = teacher_endpoint(reference)
    assert (found.model, found.base_url) == (model, url)
    assert model_fingerprint(reference) == f"{model} at {url}"


@pytest.mark.parametrize(
    "reference", ["openai:model@secret.host:8000/v1", "openai:model@ftp://secret.host/v1", "openai:model@HTTPS:/secret"]
)
def test_an_endpoint_without_a_scheme_is_not_taken_for_a_model_of_the_openai_api(reference: str) -> None:
    with pytest.raises(UserError, match=r"is not a model of the OpenAI API.*starts with http:// or https://"):
        teacher_endpoint(reference)


@pytest.mark.parametrize("reference", ["openai:", "openai:model@http://user:secret@host/v1", "openai:model@http://"])
def test_a_reference_that_cannot_be_is_refused_without_its_secret(reference: str) -> None:
    with pytest.raises(UserError) as error:
        teacher_endpoint(reference)
    assert "secret" not in str(error.value)

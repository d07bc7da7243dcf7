"""`harness eval` with judges that refuse some prompts, give no log-probabilities, or ignore."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.records import Judgment, read_rows
from harness.steps import judge as judging
from tests.chat_server import ChatServer, Request, Response, error_response
from tests.command import Harness, Outcome

pytestmark = pytest.mark.usefixtures("in_this_process")

N = 12
FORBIDDEN = 5
FILTER = error_response(400, "The response was filtered", code="content_filter")
CONTEXT = error_response(400, "This model's maximum context length is 8192 tokens. You requested 30011 tokens")

Evaluate = Callable[..., Outcome]


@pytest.fixture
def evaluate(harness: Harness, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Evaluate:
    """`harness eval` in this process, in an empty folder, without a key."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return lambda *arguments: harness("eval", *arguments, "--run-dir", tmp_path / "run")


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[str | Path, ...]:
    """Two files of answers; one answer of the second has the word FORBIDDEN."""
    for name in ("base", "mine"):
        rows = [
            {
                "instruction": f"Question {number}: name a colour.",
                "output": f"{name} says {'FORBIDDEN' if (name, number) == ('mine', FORBIDDEN) else 'blue'}",
                "generator": name,
            }
            for number in range(N)
        ]
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    return ("--bench", "pairwise", "--data", tmp_path / "base.json", "--outputs", tmp_path / "mine.json")


class OddServer(ChatServer):
    """Answers prompts that hold the word FORBIDDEN, or all, with `refusal` or with `change` made to the answer."""

    def __init__(
        self,
        refusal: Response | None = None,
        change: Callable[[dict[str, Any]], object] | None = None,
        word: str = "FORBIDDEN",
        answer: Callable[[Mapping[str, Any]], str] = lambda body: "[[A>B]]",
    ) -> None:
        super().__init__(answer=answer)
        self.refusal, self.change, self.word = refusal, change, word

    def _is_odd(self, body: Mapping[str, Any]) -> bool:
        return self.word in body["messages"][-1]["content"]

    def completion(self, body: Mapping[str, Any], text: str | None = None) -> dict[str, Any]:
        whole = super().completion(body, text)
        if self.change and self._is_odd(body):
            self.change(whole["choices"][0])
        return whole

    def _refusal(self, request: Request, body: Mapping[str, Any]) -> Response | None:
        return self.refusal if self.refusal and self._is_odd(body) else super()._refusal(request, body)


def by(server: ChatServer, *more: str) -> tuple[str, ...]:
    return ("--judge-model", "judge-1", "--judge-base-url", server.base_url, *more)


def refuses(choice: dict[str, Any]) -> None:
    choice["message"] = {"role": "assistant", "content": None, "refusal": "I will not."}


def without_logprobs(choice: dict[str, Any]) -> None:
    choice["logprobs"] = None


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (OddServer(FILTER), "the endpoint's content filter refuses the prompt (status 400: The response was filtered)"),
        (OddServer(change=refuses), "the model refuses to answer: 'I will not.'"),
    ],
)
def test_a_prompt_that_fails_for_its_own_sake_is_named_and_the_rest_can_be_scored(
    evaluate: Evaluate, pairs: tuple[str | Path, ...], tmp_path: Path, server: OddServer, reason: str
) -> None:
    with server:
        outcome = evaluate(*pairs, *by(server), "--json", "--allow-missing")
    assert outcome.scores["win_rate"] == 50
    [line] = [line for line in outcome.err.splitlines() if "verdicts failed" in line]
    assert line.startswith(f"pairwise: 2 verdicts failed: {reason}")
    assert line.endswith(f"instruction {FORBIDDEN} ('Question {FORBIDDEN}: name a colour.')")
    [path] = (tmp_path / "run/store/judge_pairs").glob("*/rows.jsonl")
    failed = [row for row in read_rows(path, Judgment) if row.state != "ok"]
    assert [(row.state, row.prompt.id) for row in failed] == [("api_failed", str(FORBIDDEN))] * 2


def test_prompts_that_are_all_too_long_end_the_run_with_one_line(
    evaluate: Evaluate, pairs: tuple[str | Path, ...]
) -> None:
    with OddServer(CONTEXT, word="") as server:
        outcome = evaluate(*pairs, *by(server), "--allow-missing")
    assert outcome.exit_code == 2
    assert f"no verdict on any of {2 * N} questions" in outcome.err
    assert "the prompt is too long for the model" in outcome.err.splitlines()[-1]


def test_a_judge_without_system_turns_has_a_fingerprint_of_its_own(
    evaluate: Evaluate, pairs: tuple[str | Path, ...]
) -> None:
    with OddServer() as server:
        with_system = evaluate(*pairs, *by(server), "--json").scores
        without = evaluate(*pairs, *by(server, "--judge-without", "system"))
        assert {body["messages"][0]["role"] for body in server.bodies} == {"system", "user"}
    assert f"judged by judge-1 at {server.base_url} without system, fingerprint " in without.out
    assert with_system["judge_fingerprint"] not in without.out


@pytest.fixture
def alpaca(shared_data: Path) -> tuple[str | Path, ...]:
    folder = shared_data / "alpaca_eval2"
    outputs = folder / "model_outputs/claude-2.json"
    return ("--bench", "alpaca_eval2", "--outputs", outputs, "--data", folder, "--limit", str(N))


def test_a_score_never_mixes_probabilities_with_sampled_identifiers(
    evaluate: Evaluate, alpaca: tuple[str | Path, ...], tmp_path: Path
) -> None:
    with OddServer(change=without_logprobs, word="actors", answer=lambda body: "m") as server:
        scores = evaluate(*alpaca, *by(server), "--json", "--allow-missing").scores
        assert scores["n_missing"] > 0
        sampled = evaluate(*alpaca, *by(server, "--judge-without", "logprobs"), "--json").scores
    assert sampled["judge_fingerprint"] != scores["judge_fingerprint"]
    of_probabilities, of_identifiers = [], []
    for path in (tmp_path / "run/store/judge_pairs").glob("*/rows.jsonl"):
        preferences = [row.preference for row in read_rows(path, Judgment) if row.preference is not None]
        (of_identifiers if len(preferences) == N else of_probabilities).extend(preferences)
    assert of_probabilities and all(0 < preference < 1 for preference in of_probabilities)
    assert set(of_identifiers) == {0, 1}


def test_what_an_earlier_reader_made_of_missing_log_probabilities_is_not_used_on(
    evaluate: Evaluate, alpaca: tuple[str | Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with OddServer(word="", answer=lambda body: "m") as server:
        monkeypatch.setattr(judging, "PARSER_VERSION", 3)
        earlier = evaluate(*alpaca, *by(server), "--json").scores
        asked = server.calls.total()
        monkeypatch.undo()
        later = evaluate(*alpaca, *by(server), "--json").scores
        assert server.calls.total() == asked, "what was paid for is read anew"
    assert later["win_rate"] == earlier["win_rate"]
    assert later["judge_fingerprint"] != earlier["judge_fingerprint"]


def test_log_probabilities_of_a_thought_are_told_from_those_of_the_reply(
    evaluate: Evaluate, alpaca: tuple[str | Path, ...]
) -> None:
    def thinks(choice: dict[str, Any]) -> None:
        entries = [{"token": token, "logprob": -1.0} for token in ("Okay", "Let")]
        choice["logprobs"] = {"content": [{**entries[0], "top_logprobs": entries}]}

    with OddServer(change=thinks, word="", answer=lambda body: "m") as server:
        outcome = evaluate(*alpaca, *by(server, "--judge-without", "max_tokens"))
    assert outcome.exit_code == 2
    assert "of another token than the reply's" in outcome.err and "--judge-without logprobs" in outcome.err

"""The files that the score steps write in the official formats: what is in them beside the verdicts."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evals.alpaca_eval2.annotations import OfficialNames
from evals.alpaca_eval2.benchmark import score_alpaca_eval2
from evals.alpaca_eval2.instruction_set import official_dataset
from evals.arena_hard import benchmark as arena_hard_benchmark
from evals.arena_hard.benchmark import score_arena_hard
from evals.formats.outputs import instruction_key, read_model_outputs
from harness.engine.artifacts import Output, step
from harness.engine.store import Store
from harness.records import Judgment, Order, Prompt, Response
from harness.steps.judge_prompt import JudgePrompt
from tests.steps.given import given_responses, made

PROMPT = JudgePrompt(user="{request}|{first}|{second}", max_tokens=9, system="Judge.")
ORDERS: tuple[Order, Order] = ("baseline_first", "output_first")


@step()
def given_judgments(out: Output, *, rows: tuple[Judgment, ...]) -> None:
    """These `Judgment` rows."""
    out.write_rows(rows)


def baseline(prompt: Prompt) -> Response:
    return Response(prompt, "base", "baseline")


def arena_files(store: Store, output: str, *orders: Order) -> Path:
    """The files on one question, its games played in these orders."""
    question = Prompt("q", "Why?")
    rows = tuple(Judgment(question, "base", output, order, "[[A>B]]", "A>B", None, "ok") for order in orders)
    artifact = score_arena_hard(
        baselines=given_responses(rows=(baseline(question),)),
        judgments=[given_judgments(rows=rows)],
        name="mine",
        judge_name="judge-1",
        prompt=PROMPT,
        n_repeats=1,
        allow_missing=True,
        resamples=5,
    )
    return made(store, artifact).folder / "seed-0"


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("orders", [ORDERS, ORDERS[::-1]])
def test_each_game_of_arena_hard_holds_what_its_judge_was_asked(store: Store, orders: Sequence[Order]) -> None:
    [judgment] = lines(arena_files(store, "out", *orders) / "model_judgment.jsonl")
    assert [game["user_prompt"] for game in judgment["games"]] == ["Why?|base|out", "Why?|out|base"]


def test_answers_hold_their_length_in_tokens(store: Store) -> None:
    """Golden count: "How to count tokens with tiktoken", section 3 (github.com/openai/openai-cookbook)."""
    pytest.importorskip("rs_bpe")
    [answer] = lines(arena_files(store, "tiktoken is great!", *ORDERS) / "model_answer.jsonl")
    assert answer["choices"][0]["turns"] == [{"content": "tiktoken is great!", "token_len": 6}]


def test_without_the_tokenizer_answers_hold_none(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arena_hard_benchmark, "text_token_counter", lambda name: None)
    [answer] = lines(arena_files(store, "out", *ORDERS) / "model_answer.jsonl")
    assert answer["choices"][0]["turns"] == [{"content": "out"}]


def alpaca_datasets(store: Store, instructions: Sequence[str]) -> tuple[list[str], list[str]]:
    """The data sets in annotations.json and in model_outputs.json."""
    prompts = [Prompt(str(place), text) for place, text in enumerate(instructions)]
    rows = tuple(Judgment(prompt, "base", "out", ORDERS[0], "m", "m", 0.0, "ok") for prompt in prompts)
    artifact = score_alpaca_eval2(
        baselines=given_responses(rows=tuple(map(baseline, prompts))),
        calibration=None,
        judgments=[given_judgments(rows=rows)],
        names=OfficialNames(),
        allow_missing=True,
        resamples=5,
    )
    folder = made(store, artifact).folder / "seed-0"
    annotations, outputs = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("annotations", "model_outputs")
    )
    return [row["dataset"] for row in annotations], [row["dataset"] for row in outputs]


def test_official_instructions_keep_their_data_set(store: Store, shared_data: Path) -> None:
    official = read_model_outputs(shared_data / "alpaca_eval2/baseline_gpt4_1106_preview.json")
    datasets = [row.dataset for row in official]
    assert len(set(datasets)) == 5
    assert [official_dataset(instruction_key(row.instruction)) for row in official] == datasets
    few = official[100:700:100]
    expected = [row.dataset for row in few]
    assert alpaca_datasets(store, [row.instruction for row in few]) == (expected, expected)


def test_instructions_of_another_set_are_of_none_of_the_official_ones(store: Store) -> None:
    assert alpaca_datasets(store, ["Why?", "How?"]) == (["alpaca_eval2"] * 2, ["alpaca_eval2"] * 2)

"""What is wrong in data sets, and what training and evaluation share."""

from pathlib import Path

import pytest

from evals.base import BaselineOptions
from harness.engine.store import Store
from harness.experiments import Request, build_experiments
from harness.preflight.context import preflight_context
from harness.preflight.data import check_overlap, check_rows, data_checks, overlap
from harness.recipes.loading import load_recipe
from harness.recipes.recipe import Recipe
from harness.records import Message, PreferencePair, Prompt, Response
from harness.steps.data import DataRole
from tests.preflight.conftest import MakeContext, by_name, write_rows
from tests.tiny_harness import load_tiny_recipe

SENTENCE = "please tell me in a few words what the capital of france is called today"


def response(text: str, answer: str = "an answer", number: int = 0) -> Response:
    return Response(Prompt(str(number), text), answer, "someone")


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (SENTENCE, (1, 0)),
        (f"  {SENTENCE.upper()}\n", (1, 0)),
        (f"{SENTENCE} and why", (0, 1)),  # 8 sequences of 8 words, two of them new
        (SENTENCE.replace("capital", "river"), (0, 0)),  # one word, and no sequence is left but the last ones
        (SENTENCE + " and why it is so and not otherwise at all", (0, 0)),
        ("what is it ?", (0, 0)),
    ],
)
def test_the_same_and_nearly_the_same_prompts_are_found(prompt: str, expected: tuple[int, int]) -> None:
    assert overlap([prompt], [SENTENCE, "something else altogether"]) == expected


def test_pieces_from_several_training_prompts_are_no_copy() -> None:
    words = SENTENCE.split()
    pieces = [" ".join(words[start : start + 8]) for start in range(len(words) - 7)]
    assert overlap([SENTENCE], pieces) == (0, 0)
    assert overlap([SENTENCE], [*pieces, f"so {SENTENCE}"]) == (0, 1)


def test_short_prompts_are_compared_as_wholes() -> None:
    assert overlap(["what is it ?", "what is that ?"], ["What is it ?"]) == (1, 0)


def test_earlier_turns_count_as_training_prompts() -> None:
    later = Response(Prompt("1", "go on", (Message("user", SENTENCE), Message("assistant", "Paris"))), "well", "")
    found = check_overlap("bench", [response(SENTENCE)], {"demonstrations": [later]})
    assert found.state == "warning"
    assert "of 1 prompts the same and nearly the same: demonstrations 1 and 0" in found.detail


def test_no_overlap_is_ok() -> None:
    found = check_overlap("bench", [response(SENTENCE)], {"demonstrations": [response("hello")], "pairs": []})
    assert (found.state, found.what) == ("ok", "bench in training")
    assert found.detail.endswith("demonstrations 0 and 0, pairs 0 and 0")


@pytest.mark.parametrize(
    ("rows", "state", "reason"),
    [
        ([response("a"), response("b")], "ok", "2, none empty and none twice"),
        ([response("a"), response(" A")], "warning", "of 2, 1 repeat an earlier prompt, which weighs more in training"),
        ([response("a"), response("b", " ")], "failure", "1 of 2 answers are empty: remove their rows"),
        ([PreferencePair(Prompt("1", "a"), "", "x")], "failure", "1 of 1 answers are empty"),
        ([PreferencePair(Prompt("1", "a"), "x", "")], "warning", "of 1, 1 have an empty rejected answer"),
        ([PreferencePair(Prompt("1", "a"), "x", "x")], "warning", "of 1, 1 have the same answer chosen and rejected"),
        ([], "failure", "there are none"),
    ],
)
def test_what_is_wrong_in_a_data_set_is_said(rows: list[Response], state: str, reason: str) -> None:
    found = check_rows("demonstrations", rows, is_bench=False)
    assert found.state == state
    assert reason in found.detail


def test_the_same_request_after_another_history_is_not_the_same() -> None:
    rows = [
        Response(Prompt(str(number), "go on", (Message("user", said), Message("assistant", "so"))), "well", "")
        for number, said in enumerate(["one thing", "another"])
    ]
    assert check_rows("demonstrations", rows, is_bench=False).state == "ok"


def test_every_data_set_of_the_run_is_looked_at(make_context: MakeContext) -> None:
    found = by_name(data_checks(make_context()))
    assert list(found) == [
        "rows of demonstrations",
        "rows of improver_data",
        "rows of preference_data",
        "rows of alpaca_eval2",
        "rows of arena_hard",
        "alpaca_eval2 in training",
        "arena_hard in training",
    ]
    assert {check.state for check in found.values()} == {"ok"}


def test_a_data_role_that_nothing_learns_from_is_looked_at_as_an_evaluation_set(tmp_path: Path) -> None:
    request = Request(load_tiny_recipe("mini", paper="srpo"), (0,))
    run = build_experiments("srpo/fig1", request)
    found = by_name(data_checks(preflight_context(request, run, Store(tmp_path / "run"), Store(tmp_path / "aside"))))
    overlap_of_distant = found["summaries_distant in training"]
    assert (overlap_of_distant.state, "rows of summaries_distant" in found) == ("ok", True)
    assert overlap_of_distant.detail.endswith(": summaries 0 and 0, summary_pairs 0 and 0")


def test_a_run_that_trains_on_its_evaluation_is_warned_of(
    make_context: MakeContext, tiny: Recipe, tmp_path: Path
) -> None:
    rows = [{"instruction": f"{SENTENCE} {number}", "output": "paris"} for number in range(10)]
    seen = DataRole(write_rows(tmp_path / "train.jsonl", rows), 10)
    user_turns = DataRole(write_rows(tmp_path / "eval.jsonl", rows[:4]), 4)
    benches = {**tiny.benches, "arena_hard": BaselineOptions(baselines=user_turns)}
    found = by_name(data_checks(make_context(data={**tiny.data, "demonstrations": seen}, benches=benches)))
    warned = found["arena_hard in training"]
    assert warned.state == "warning"
    assert "of 4 prompts the same and nearly the same: demonstrations 4 and 0" in warned.detail
    assert found["alpaca_eval2 in training"].state == "ok"


def test_a_row_without_an_answer_is_a_failure_of_its_data_set_alone(
    make_context: MakeContext, tiny: Recipe, tmp_path: Path
) -> None:
    rows = [{"instruction": "hello", "output": "hello"}, {"instruction": "hello"}]
    broken = DataRole(write_rows(tmp_path / "train.jsonl", rows), 2)
    found = by_name(data_checks(make_context(data={**tiny.data, "improver_data": broken})))
    assert found["rows of improver_data"].state == "failure"
    assert "train.jsonl:2" in found["rows of improver_data"].detail
    assert found["alpaca_eval2 in training"].state == "ok"


def test_a_data_set_with_too_few_rows_fails(make_context: MakeContext, tiny: Recipe, tmp_path: Path) -> None:
    short = DataRole(write_rows(tmp_path / "train.jsonl", [{"instruction": "hello", "output": "hello"}]), 5)
    found = by_name(data_checks(make_context(data={**tiny.data, "improver_data": short})))
    assert found["rows of improver_data"].state == "failure"
    assert "has 1 rows, not 5" in found["rows of improver_data"].detail


def test_an_evaluation_set_among_the_data_is_no_training_set(tmp_path: Path) -> None:
    """SRPO's panels are data roles that nothing learns from; two have the rows of benches."""
    request = Request(load_recipe("mini", fast=True, paper="srpo"), (0,))
    experiments = build_experiments("srpo/fig5", request)
    run = preflight_context(request, experiments, Store(tmp_path / "store"), Store(tmp_path / "aside"))
    assert set(run.training_data()) == {"demonstrations", "preference_data"}
    assert {"arena_hard", "pairwise"} <= set(run.evaluation_data())

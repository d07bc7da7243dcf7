"""`harness compare RUN --methods`: which method of a run is better, over its benchmarks, prompts and seeds."""

from pathlib import Path
from typing import Any

import pytest

from evals.scoring import compare
from harness.regress.compare import results_of
from harness.regress.runs import read_run
from tests.command import Harness
from tests.stored_runs import Skill, without_prompts, write_run

METHODS = {"sft": Skill(-2.0), "dpo": Skill(0.0), "mine": Skill(0.02)}
SEEDS = (0, 1, 2, 3, 4)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of three methods with five training seeds, of which the first is far below the others."""
    return write_run(tmp_path_factory.mktemp("runs") / "mini/sgpo/table3", METHODS, seeds=SEEDS)


def compared(harness: Harness, run: Path, methods: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = harness("compare", run, "--methods", methods, "--json").scores["comparisons"]
    return found


def test_the_first_method_is_tested_against_each_other_on_every_metric(harness: Harness, run: Path) -> None:
    found = compared(harness, run, "dpo,sft,mine")
    assert [(each["other"], each["bench"]) for each in found] == [
        ("sft", "alpaca_eval2"), ("sft", "arena_hard"), ("mine", "alpaca_eval2"), ("mine", "arena_hard"),
    ]  # fmt: skip
    assert [each["verdict"] for each in found] == ["better", "better", "undecided", "undecided"]
    assert {each["on"] for each in found} == {"methods"}
    assert all(each["difference"] > 10 for each in found[:2]) and found[2]["minimum_detectable_effect"] > 0


def test_a_difference_is_that_of_the_one_comparison(harness: Harness, run: Path) -> None:
    [alpaca, _] = compared(harness, run, "dpo,sft")
    cells = read_run(run).cells
    sets = results_of("alpaca_eval2", [cells["llama", name, "alpaca_eval2"] for name in ("dpo", "sft")])
    alone = compare(sets[:5], sets[5:], "win_rate")
    assert (alpaca["difference"], alpaca["ci95"]) == (alone["difference"], alone["ci95"])


def test_more_comparisons_make_one_larger_family(harness: Harness, run: Path) -> None:
    alone, among = compared(harness, run, "mine,dpo"), compared(harness, run, "mine,dpo,sft")
    assert [each["ci95"] for each in among[:2]] == [each["ci95"] for each in alone]
    assert harness("compare", run, "--methods", "mine,dpo,sft", "--json").scores["n_tests"] == 4
    assert all(each["p_holm"] >= each["p_value"] for each in among)


def test_exchanging_two_methods_changes_the_sign(harness: Harness, run: Path) -> None:
    there, back = compared(harness, run, "sft,dpo"), compared(harness, run, "dpo,sft")
    assert [-each["difference"] for each in there] == pytest.approx([each["difference"] for each in back])
    assert [each["verdict"] for each in there] == ["worse", "worse"]


def test_the_terminal_begins_with_the_answer(harness: Harness, run: Path) -> None:
    lines = harness("compare", run, "--methods", "dpo,sft,mine").out.splitlines()
    assert lines[:3] == [
        "dpo against sft: better in 2 of 2",
        "dpo against mine: undecided in 2 of 2",
        "5 training seeds, paired by prompt; Holm over 4 tests",
    ]
    assert max(map(len, lines)) <= 80


def test_of_few_seeds_verdicts_are_on_checkpoints(harness: Harness, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", METHODS, seeds=(0,))
    outcome = harness("compare", run, "--methods", "dpo,sft")
    assert "Verdicts are on these checkpoints" in outcome.out


def test_a_test_without_enough_verdicts_is_withheld(harness: Harness, tmp_path: Path) -> None:
    fails = without_prompts(10)
    run = write_run(
        tmp_path / "run",
        METHODS,
        seeds=SEEDS,
        change=lambda bench, seed, rows: rows if seed else fails(bench, seed, rows),
    )
    alpaca, arena = compared(harness, run, "dpo,sft")
    assert "share 50 of 60 prompts" in alpaca["withheld"] and "verdict" not in alpaca
    assert arena["verdict"] == "better"
    assert "dpo against sft: better in 1, withheld in 1 of 2" in harness("compare", run, "--methods", "dpo,sft").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--methods", "dpo"), "name two"),
        (("--methods", "dpo,stf"), "did you mean 'sft'?"),
        (("--methods", "dpo,sft", "--bench", "arena_hard"), "--bench goes with files of verdicts"),
        (("--methods", "dpo,sft", "--allow-missing"), "--allow-missing goes with files of verdicts"),
        (("other.json", "--methods", "dpo,sft"), "give one folder"),
        ((), "give RUN and --methods"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    harness: Harness, run: Path, arguments: tuple[str, ...], message: str
) -> None:
    outcome = harness("compare", run, *arguments)
    assert outcome.exit_code == 2 and message in outcome.err and len(outcome.err.splitlines()) == 1

"""Which rows of a table are tested against each other, beside what the paper claims."""

from dataclasses import replace
from typing import Any

import pytest

from harness.errors import UserError
from harness.experiments import Request, build_experiments
from harness.experiments.row_pairs import row_pairs
from harness.run.options import Choice
from tests.experiments.exhibits import SCALE

TABLE = ("sft", "dpo", "spin", "sgpo-unshared", "sgpo-teacher-only", "sgpo", "improver")


def pairs(*methods: str, recipe: Any = SCALE, **asked: Any) -> list[tuple[str, str]]:
    """Those that are tested on each of Table 3's benches."""
    [experiment] = build_experiments("table3", Request(recipe, (0,), ("llama",), methods, **asked))
    by_bench: dict[str, list[tuple[str, str]]] = {}
    for _, first, second, bench in experiment.row_tests:
        by_bench.setdefault(bench, []).append((first, second))
    assert len({tuple(each) for each in by_bench.values()}) <= 1
    assert set(experiment.row_tests.values()) <= set(experiment.targets())
    return next(iter(by_bench.values()), [])


def test_the_papers_own_rows_are_tested_by_its_claims_alone() -> None:
    assert pairs() == []
    assert pairs("sft", "dpo", "improver") == []


def test_a_row_with_another_setting_is_tested_against_the_papers_method_and_its_own() -> None:
    row = "dpo:beta=0.5"
    assert pairs("sft", "dpo", "sgpo", row) == [(row, "sgpo"), (row, "dpo")]
    assert pairs("sgpo", "sgpo:rounds=2") == [("sgpo:rounds=2", "sgpo")]


def test_nothing_is_run_that_was_not_asked_for() -> None:
    assert pairs("dpo:beta=0.5") == []


def test_a_variant_is_tested_against_the_method_that_it_is_of() -> None:
    variant = {"method": "dpo", "loss": {"beta": 0.5}}
    recipe = replace(SCALE, variants={**SCALE.variants, "gentle": variant})
    assert pairs("sft", "dpo", "gentle", recipe=recipe) == [("gentle", "dpo")]


def test_another_method_is_tested_against_the_one_whose_checkpoint_it_starts_from() -> None:
    asked = Request(SCALE, (0,), ("llama",), added=("dpo", "sgpo"))
    rows = ("sft", "dpo", "sgpo")
    checkpoints = {("llama", row, 0): asked.checkpoint("llama", row, 0) for row in rows}
    assert row_pairs(asked, rows, checkpoints) == [("dpo", "sgpo"), ("dpo", "sft"), ("sgpo", "sft")]


def test_against_runs_the_methods_and_tests_all_others() -> None:
    assert pairs("sft", "sgpo", against=("dpo",)) == [("sft", "dpo"), ("sgpo", "dpo")]
    assert pairs(against=("dpo",)) == [(row, "dpo") for row in TABLE if row != "dpo"]
    assert pairs("sft", against=("dpo:beta=0.5",)) == [("sft", "dpo:beta=0.5")]


def test_a_sweep_tests_its_values_against_each_other() -> None:
    rows = ("sft", "dpo:beta=0.5", "dpo:beta=0.1")
    assert pairs(*rows, sweep="beta") == [("dpo:beta=0.5", "dpo:beta=0.1")]


def test_a_figure_has_no_rows_to_test() -> None:
    with pytest.raises(UserError, match="--against tests rows of score tables, and fig5 is none"):
        build_experiments("fig5", Choice("mini", against=("dpo",)).request())

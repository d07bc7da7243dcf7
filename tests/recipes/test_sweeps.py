"""Sweeps over one setting: which one it is, its points, and the pairs that are tested."""

import pytest

from harness.errors import UserError
from harness.recipes.sweeps import sweep_of, swept_pairs, swept_setting
from harness.results.row_comparisons import SweepPoint
from harness.run.options import Choice

BETAS = ("dpo:beta=0.5", "dpo:beta=0.01", "dpo:beta=0.1")


@pytest.mark.parametrize(
    ("rows", "setting"),
    [
        (BETAS, "beta"),
        (("sft", *BETAS), "beta"),
        (("dpo:beta=0.1:training.epochs=1", "dpo:beta=0.1:training.epochs=2"), "training.epochs"),
        (("dpo:beta=0.1", "spin:beta=0.2", "dpo:beta=0.3"), "beta"),
    ],
)
def test_the_setting_is_the_one_that_rows_of_a_method_differ_in(rows: tuple[str, ...], setting: str) -> None:
    assert swept_setting(rows) == setting


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("sft", "dpo"), "no setting has two values"),
        (("dpo:beta=0.1", "spin:beta=0.2"), "no setting has two values"),
        (("sgpo:rounds=1:beta=0.1", "sgpo:rounds=2:beta=0.2"), "these rows differ in beta, rounds"),
    ],
)
def test_what_is_no_sweep_is_an_error(rows: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        swept_setting(rows)


def test_points_stand_in_the_order_of_the_axis_line_by_line() -> None:
    rows = ("sft", *BETAS, "sgpo:rounds=2:beta=0.5", "sgpo:rounds=2:beta=0.1")
    assert sweep_of("beta", rows).points == (
        SweepPoint("dpo:beta=0.01", "dpo", 0.01),
        SweepPoint("dpo:beta=0.1", "dpo", 0.1),
        SweepPoint("dpo:beta=0.5", "dpo", 0.5),
        SweepPoint("sgpo:rounds=2:beta=0.1", "sgpo:rounds=2", 0.1),
        SweepPoint("sgpo:rounds=2:beta=0.5", "sgpo:rounds=2", 0.5),
    )


def test_each_pair_of_a_line_is_tested_once() -> None:
    points = sweep_of("beta", (*BETAS, "sgpo:beta=0.1")).points
    assert swept_pairs(points) == [
        ("dpo:beta=0.1", "dpo:beta=0.01"),
        ("dpo:beta=0.5", "dpo:beta=0.01"),
        ("dpo:beta=0.5", "dpo:beta=0.1"),
    ]


def test_a_setting_that_is_no_number_has_no_place_on_the_axis() -> None:
    points = sweep_of("chosen", ("sgpo:chosen=reference", "sgpo:chosen=improved")).points
    assert [point.value for point in points] == [None, None]


def test_rows_that_a_shell_wrote_out_join_the_others() -> None:
    choice = Choice("mini", methods=("sft", "dpo:beta=0.1")).swept(["sft", "dpo:beta=0.5"])
    assert (choice.methods, choice.sweep) == (("sft", "dpo:beta=0.1", "dpo:beta=0.5"), "beta")

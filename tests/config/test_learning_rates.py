"""The rule for learning rates as a pure function, and the file that its choices are kept in."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.config.learning_rates import (
    RULE,
    RateTable,
    Sensitivity,
    Trial,
    allowed_tokens,
    choose,
    grid,
    held_out,
    read_rate_table,
    write_rate_table,
)
from harness.errors import UserError

GOOD = Trial(rate=1.0, cut_off=0.0, tokens=20.0, allowed=(16.0, 36.0), log_probability=-10.0)


def trials(*changes: dict[str, float]) -> list[Trial]:
    """Trials at rates 1, 2, 4, ..., good but for the changes."""
    return [replace(GOOD, **{"rate": 2.0**place, **change}) for place, change in enumerate(changes)]  # type: ignore[arg-type]


def test_the_largest_rate_is_taken_where_all_pass() -> None:
    choice = choose(trials({}, {}, {}))
    assert (choice.rate, choice.passed) == (4.0, True)
    assert all(line.meets.passes for line in choice.grid)


@pytest.mark.parametrize(
    ("failing", "criterion"),
    [
        ({"cut_off": 0.0201}, "ends"),
        ({"tokens": 15.9}, "length"),
        ({"tokens": 36.1}, "length"),
        ({"log_probability": -10.001}, "likelihood"),
    ],
)
def test_each_criterion_alone_fails_a_rate(failing: dict[str, float], criterion: str) -> None:
    choice = choose(trials({}, {}, failing))
    assert (choice.rate, choice.passed) == (2.0, True)
    met = choice.grid[2].meets
    assert {name for name in ("ends", "length", "likelihood") if not getattr(met, name)} == {criterion}


def test_bounds_belong_to_what_passes() -> None:
    assert choose(trials({}, {"cut_off": 0.02, "tokens": 36.0}, {"tokens": 16.0})).rate == 4.0


def test_a_larger_rate_may_pass_where_a_smaller_one_fails() -> None:
    choice = choose(trials({}, {"cut_off": 0.5}, {}))
    assert (choice.rate, choice.passed) == (4.0, True)
    assert not choice.grid[1].meets.passes


def test_the_likelihood_is_held_against_every_smaller_rate_even_one_that_fails() -> None:
    choice = choose(trials({"log_probability": -12.0}, {"log_probability": -9.0, "cut_off": 0.5}, {}))
    assert choice.rate == 1.0
    assert [line.meets.likelihood for line in choice.grid] == [True, True, False]


def test_the_smallest_is_taken_and_said_where_none_passes() -> None:
    choice = choose(trials({"tokens": 99.0}, {"cut_off": 1.0}, {"log_probability": -11.0}))
    assert (choice.rate, choice.passed) == (1.0, False)


def test_the_order_of_trials_does_not_matter() -> None:
    some = trials({"log_probability": -12.0}, {}, {"log_probability": -11.0})
    assert choose(some[::-1]) == choose(some)
    assert choose(some).rate == 2.0


def test_the_grid_has_the_papers_ratio_and_five_rates_at_least() -> None:
    assert grid(5e-4) == (6.25e-6, 1.25e-5, 2.5e-5, 5e-5, 1e-4, 2e-4)
    assert 5e-7 in grid(2e-5)


def test_the_range_of_lengths_is_of_the_two_sides() -> None:
    assert allowed_tokens(30.0, 20.0) == allowed_tokens(20.0, 30.0) == (16.0, 36.0)


@pytest.mark.parametrize(("rows", "held"), [(2000, 200), (800, 200), (480, 120), (120, 30), (3, 0)])
def test_how_many_rows_are_held_out(rows: int, held: int) -> None:
    assert held_out(rows) == held


def table() -> RateTable:
    return RateTable(
        scale="mini",
        rule=RULE,
        seed=1000,
        commit="abc",
        held_out=200,
        trained_on=1800,
        models={"llama": {"sgpo": choose(trials({}, {"cut_off": 0.1}))}},
    )


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "mini.yaml"
    write_rate_table(path, table())
    assert read_rate_table(path) == table()
    assert "sensitivity" not in path.read_text(encoding="utf-8")
    scored = replace(
        table(), sensitivity={"llama": {"sgpo": (Sensitivity(0.5, 0.5, {"arena_hard/score": 12.5, "a/b": None}),)}}
    )
    write_rate_table(path, scored)
    assert read_rate_table(path) == scored
    assert (read_rate_table(path).rates("llama"), read_rate_table(path).rates("qwen")) == ({"sgpo": 1.0}, {})


def test_a_damaged_table_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "mini.yaml"
    write_rate_table(path, table())
    path.write_text(path.read_text(encoding="utf-8").replace("passed:", "pased:"), encoding="utf-8")
    with pytest.raises(UserError, match=r"mini\.yaml: models\.llama\.sgpo: unknown key 'pased'; did you mean 'passed'"):
        read_rate_table(path)


def test_the_documentation_states_the_rule() -> None:
    words = " ".join(
        (Path(__file__).parents[2] / "docs/rates.md").read_text(encoding="utf-8").replace("- (", "(").split()
    )
    assert RULE in words

"""The simulation that the test of claims was chosen by: it decides by the very functions that decide a report."""

import numpy as np
import pytest

from benchmarks.claim_errors import USED, Run, Setting, cells_of, orderings, p_values_by_rule, simulate, table3
from evals.stats.comparison import family_tests


def test_the_rule_that_is_used_is_that_of_the_family_tests() -> None:
    exhibit = table3()
    names = orderings(exhibit.claims)
    run = Run(Setting(5, 1.0, largest=4.0), exhibit, np.random.default_rng(0))
    cells = [((*name[:3], name[3]), (*name[:3], name[4])) for name in names]
    differences = [run.difference(*pair) for pair in cells]
    expected = [test.p_value for test in family_tests(differences, cells)]
    assert p_values_by_rule(differences, names)[USED] == pytest.approx(expected)
    assert len(names) == 54


def test_nothing_is_true_of_a_null_and_the_reports_means_are_read() -> None:
    exhibit = table3()
    assert {cell.mean for cell in cells_of(Setting(3, None), exhibit).values()} == {0.0}
    reported = cells_of(Setting(3, None, is_null=False), exhibit)
    assert reported["llama", "arena_hard", "score", "sgpo"].mean == 25.9


def test_large_effects_are_decided_and_few_nulls_are() -> None:
    """Thirty families tell a broken test from one that keeps 5 %; the measurement is in docs/statistics.md."""
    null = simulate(Setting(5, 1.0), families=30, seed=1)["rules"][USED]
    report = simulate(Setting(5, None, is_null=False), families=5, seed=1)["rules"][USED]
    assert null["false_families"] <= 0.2
    assert report["orderings_decided"] > 25

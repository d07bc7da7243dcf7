"""The simulation that the test of claims was chosen by: it decides by the very functions that decide a report."""

import numpy as np
import pytest

from benchmarks import paper_claim_errors
from benchmarks.claim_errors import USED, Cell, Run, Setting, cells_of, orderings, p_values_by_rule, simulate, table3
from evals.stats.comparison import family_tests
from harness.papers.loading import load_exhibits
from harness.run.claims import Families


def test_the_rule_that_is_used_is_that_of_the_family_tests() -> None:
    exhibit = table3()
    names = orderings(exhibit.claims)
    setting = Setting(5, 1.0, largest=4.0)
    run = Run(setting, cells_of(setting, exhibit), np.random.default_rng(0))
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


def test_a_whole_paper_is_simulated_with_all_its_orderings_and_decided_where_methods_differ() -> None:
    """The families of the simulation are those that a report's verdicts come from."""
    exhibits = [exhibit for exhibit in load_exhibits("sgpo") if exhibit.claims]
    setting = Setting(5, 1.0)
    families, decided = Families.of("sgpo"), 0
    n_orderings = 0
    for exhibit in exhibits:
        cells = paper_claim_errors.cells_of(exhibit, setting)
        apart = {name: Cell(100.0 * place, 1.0, 1.0) for place, name in enumerate(cells, start=1)}
        run = Run(setting, apart, np.random.default_rng(0))
        n_orderings += len(paper_claim_errors.tested(exhibit, run)) // 2
        decided += paper_claim_errors.is_decided(exhibit, families, setting, np.random.default_rng(0))
        assert all(p_value < 1e-4 for p_value, _ in paper_claim_errors.tested(exhibit, run).values())
    assert n_orderings == families.orderings
    assert decided <= 2  # the seeds are fixed: of equal methods hardly anything is decided


def test_a_reversed_ordering_has_the_same_p_value_and_the_other_sign() -> None:
    exhibit = next(each for each in load_exhibits("sgpo") if each.name == "table5")
    setting = Setting(5, 1.0)
    run = Run(setting, paper_claim_errors.cells_of(exhibit, setting), np.random.default_rng(0))
    tests = paper_claim_errors.tested(exhibit, run)
    for (model, bench, metric, first, second), (p_value, difference) in tests.items():
        assert tests[model, bench, metric, second, first] == (p_value, -difference)

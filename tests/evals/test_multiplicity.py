from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.stats.multiplicity import SIGNIFICANCE, evidence, holm, level_left, partial_conjunction

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def naive_holm(p_values: list[float]) -> list[float]:
    """By closed testing with Bonferroni: a p-value's largest adjusted one over all sets of tests it belongs to.

    (Marcus, Peritz and Gabriel 1976; that Holm is its short cut is what the test checks.)
    """
    m = len(p_values)
    subsets = [[i for i in range(m) if bits >> i & 1] for bits in range(1, 2**m)]
    return [max(min(1, len(s) * min(p_values[j] for j in s)) for s in subsets if i in s) for i in range(m)]


@given(p_values=st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_equals_closed_testing_with_bonferroni(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(naive_holm(p_values))


def test_worked_example_of_the_definition() -> None:
    """Sorted: 4 · 0.005, 3 · 0.01, 2 · 0.03 and 1 · 0.04, the last raised to the one before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(p_values=P_VALUES)
def test_adjusted_values_lie_between_the_raw_and_bonferroni(p_values: list[float]) -> None:
    for raw, adjusted in zip(p_values, holm(p_values), strict=True):
        assert raw <= adjusted <= min(1, len(p_values) * raw)


@given(p_values=P_VALUES, seed=st.integers(0, 1000))
def test_the_order_of_tests_does_not_matter(p_values: list[float], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(p_values))
    adjusted = holm(p_values)
    assert holm([p_values[place] for place in order]) == [adjusted[place] for place in order]


@given(p_values=P_VALUES)
def test_a_larger_p_value_never_becomes_the_smaller(p_values: list[float]) -> None:
    adjusted = holm(sorted(p_values))
    assert adjusted == sorted(adjusted)


def test_one_test_and_none_are_left_alone() -> None:
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_what_is_no_p_value_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="p-values"):
        holm([0.5, bad])


def test_the_family_has_a_false_call_as_rarely_as_claimed() -> None:
    """Nine tests of nothing: some raw p-value is below 0.05 in 1 - 0.95⁹ = 37 % of families, an adjusted one in 5 %."""
    families = np.random.default_rng(0).random((4000, 9))
    raw = np.mean(families.min(axis=1) < 0.05)
    adjusted = np.mean([min(holm(family.tolist())) < 0.05 for family in families])
    assert raw == pytest.approx(0.37, abs=0.03)
    assert adjusted == pytest.approx(0.05, abs=0.015)


@given(p_values=P_VALUES, others=P_VALUES)
def test_a_part_of_a_family_is_decided_whatever_the_other_parts_say(p_values: list[float], others: list[float]) -> None:
    """And not more often than Bonferroni's share allows: both parts together keep 5 %."""
    size = len(p_values) + len(others)
    adjusted = holm(p_values, size)
    assert all(each >= min(1, p) for each, p in zip(adjusted, p_values, strict=True))
    assert min(adjusted) == pytest.approx(min(1, size * min(p_values)))
    assert holm(p_values, len(p_values)) == holm(p_values)


@given(p_values=P_VALUES, size=st.integers(12, 40))
def test_the_level_left_is_where_the_first_undecided_test_would_be_decided(p_values: list[float], size: int) -> None:
    adjusted = holm(p_values, size)
    level = level_left(adjusted, size)
    undecided = [p for p, each in zip(p_values, adjusted, strict=True) if each >= SIGNIFICANCE]
    assert all(p >= level * (1 - 1e-12) for p in undecided)


@given(p_values=P_VALUES, data=st.data())
def test_a_partial_conjunction_is_the_worst_of_all_global_nulls(p_values: list[float], data: st.DataObject) -> None:
    """Benjamini and Heller 2008, theorem 1: the largest Bonferroni p-value over all sets of n - u + 1 of the tests."""
    at_least = data.draw(st.integers(1, len(p_values)))
    size = len(p_values) - at_least + 1
    worst = max(min(1, size * min(each)) for each in combinations(p_values, size))
    assert partial_conjunction(p_values, at_least) == pytest.approx(worst)


def test_all_must_hold_or_any_is_reversed() -> None:
    assert evidence([0.01, 0.02, 0.03], [True, True, True], at_least=3) == (0.03, 1.0)
    assert evidence([0.01, 0.02, 0.03], [True, False, True], at_least=3) == (1.0, pytest.approx(0.06))


def test_most_must_hold_or_half_are_reversed() -> None:
    held, reversed_ = evidence([0.01, 0.02, 0.03, 0.5], [True, True, True, False], at_least=3)
    assert (held, reversed_) == (pytest.approx(0.06), 1.0)
    held, reversed_ = evidence([0.01, 0.02, 0.03, 0.5], [False, False, True, True], at_least=3)
    assert (held, reversed_) == (1.0, pytest.approx(3 * 0.02))


@pytest.mark.parametrize("at_least", [0, 3])
def test_more_than_there_are_cannot_hold(at_least: int) -> None:
    with pytest.raises(ValueError, match="of 2 tests"):
        partial_conjunction([0.1, 0.2], at_least)

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from evals.stats.agreement import agreement_statistic, kappa_statistic, kendall, outcome_tables, spearman
from evals.stats.bootstrap import resample_counts

PREFERENCES = st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0, math.nan])


def tables_of_two(n: int) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    one = st.lists(st.lists(PREFERENCES, min_size=n, max_size=n), min_size=2, max_size=2).map(np.array)
    return st.tuples(one, one)


def outcomes(first: Sequence[float], second: Sequence[float]) -> list[tuple[int, int]]:
    """Naive: who wins by each judge, where both judged."""
    known = [pair for pair in zip(first, second, strict=True) if not any(map(math.isnan, pair))]
    return [(_winner(a), _winner(b)) for a, b in known]


def _winner(preference: float) -> int:
    return 0 if preference == 0.5 else (1 if preference > 0.5 else -1)


@given(both=tables_of_two(7))
def test_agreement_and_kappa_equal_naive_counts(both: tuple[np.ndarray, np.ndarray]) -> None:
    pairs = outcomes(both[0].ravel(), both[1].ravel())
    tables = outcome_tables(*both)
    agreement, kappa = agreement_statistic(tables).value, kappa_statistic(tables).value
    if not pairs:
        assert math.isnan(agreement) and math.isnan(kappa)
        return
    assert agreement == pytest.approx(100 * sum(a == b for a, b in pairs) / len(pairs))
    if len({outcome for pair in pairs for outcome in pair}) > 1:
        assert kappa == pytest.approx(cohen_kappa_score(*zip(*pairs, strict=True)))
    else:
        assert math.isnan(kappa)


@given(both=tables_of_two(6), seed=st.integers(0, 100))
def test_resampled_prompts_keep_all_their_verdicts(both: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    counts = resample_counts(6, 5, seed)
    tables = outcome_tables(*both)
    resampled = agreement_statistic(tables).resample(counts), kappa_statistic(tables).resample(counts)
    for row, agreement, kappa in zip(counts.astype(int), *resampled, strict=True):
        drawn = np.repeat(np.arange(6), row)
        again = outcome_tables(both[0][:, drawn], both[1][:, drawn])
        assert agreement == pytest.approx(agreement_statistic(again).value, nan_ok=True)
        assert kappa == pytest.approx(kappa_statistic(again).value, nan_ok=True)


@given(both=tables_of_two(8))
def test_agreement_is_symmetric_and_whole_with_oneself(both: tuple[np.ndarray, np.ndarray]) -> None:
    forth, back = outcome_tables(*both), outcome_tables(*reversed(both))
    assert agreement_statistic(forth).value == pytest.approx(agreement_statistic(back).value, nan_ok=True)
    assert kappa_statistic(forth).value == pytest.approx(kappa_statistic(back).value, nan_ok=True)
    with_oneself = outcome_tables(both[0], both[0])
    assert np.isnan(both[0]).all() or agreement_statistic(with_oneself).value == 100


VALUES = st.lists(st.tuples(st.sampled_from([1.0, 2.0, 2.5, 4.0, 7.0]), st.floats(-9, 9)), min_size=2, max_size=25)


def test_rank_correlations_share_mean_ranks_and_need_ranks() -> None:
    first, second = np.array([1.0, 2.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0, 4.0])
    assert spearman(first, second) == pytest.approx(0.9487, abs=1e-4)  # 4.5 / sqrt(4.5 * 5)
    assert kendall(first, second) == pytest.approx(5 / 30**0.5)
    assert math.isnan(spearman(first, np.ones(4))) and math.isnan(kendall(np.ones(4), second))


@given(values=VALUES)
def test_rank_correlations_see_ranks_alone(values: list[tuple[float, float]]) -> None:
    first, second = np.array(values).T
    second = np.round(second, 3)  # so that the cube keeps apart what is apart
    for correlation in (spearman, kendall):
        assert correlation(first, second) == pytest.approx(correlation(second, first), nan_ok=True)
        assert correlation(first, second) == pytest.approx(-correlation(-first, second), nan_ok=True)
        assert correlation(first, second) == pytest.approx(correlation(np.exp(first), second**3), nan_ok=True)


def test_tables_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        outcome_tables(np.zeros((1, 3)), np.zeros((2, 3)))

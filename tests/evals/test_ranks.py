from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evals.stats.bootstrap import FloatArray, resample_counts
from evals.stats.ranks import alike_runs, rank_intervals

N_PROMPTS, RESAMPLES = 200, 400


def drawn(abilities: FloatArray, seed: int, n_prompts: int = N_PROMPTS) -> tuple[FloatArray, FloatArray]:
    """Scores, and their values on resampled prompts, of models that find the same prompts hard."""
    rng = np.random.default_rng(seed)
    logits = abilities[:, None] + rng.normal(size=n_prompts) + rng.normal(size=(len(abilities), n_prompts))
    wins = (logits > 0).astype(float)
    return wins.mean(axis=1), wins @ resample_counts(n_prompts, RESAMPLES, seed).T / n_prompts


def naive_bound(scores: FloatArray, values: FloatArray, apart: set[tuple[int, int]], n_prompts: int) -> float:
    """The bound of one step, pair by pair."""
    largest = np.zeros(values.shape[1])
    for first, second in ((a, b) for a in range(len(scores)) for b in range(len(scores)) if a != b):
        if (first, second) not in apart:
            difference = values[first] - values[second]
            moved = (difference - difference.mean()) / difference.std(ddof=1)
            largest = np.maximum(largest, moved)
    freedom = 1 / (1 / (n_prompts - 1) + 1 / (len(largest) - 1))
    quantile = sorted(largest)[int(np.ceil(0.95 * (len(largest) + 1))) - 1]
    return float(stats.t.ppf(stats.norm.cdf(quantile), freedom))


def naive_above(scores: FloatArray, values: FloatArray, n_prompts: int) -> set[tuple[int, int]]:
    """Who is told apart as better than whom, step by step."""
    apart: set[tuple[int, int]] = set()
    while True:
        bound, found = naive_bound(scores, values, apart, n_prompts), set(apart)
        for first in range(len(scores)):
            for second in range(len(scores)):
                error = (values[first] - values[second]).std(ddof=1) * np.sqrt(n_prompts / (n_prompts - 1))
                if first != second and (scores[first] - scores[second]) / error > bound:
                    found.add((first, second))
        if found == apart:
            return apart
        apart = found


@pytest.mark.parametrize("seed", range(3))
def test_the_intervals_are_those_of_a_naive_computation(seed: int) -> None:
    scores, values = drawn(np.linspace(-1, 1, 7), seed)
    expected = naive_above(scores, values, N_PROMPTS)
    found = rank_intervals(scores, values, N_PROMPTS)
    assert expected, "nothing to be told apart"
    assert {(int(a), int(b)) for a, b in zip(*np.nonzero(found.above), strict=True)} == expected
    for model in range(7):
        assert found.low[model] == 1 + sum(second == model for _, second in expected)
        assert found.high[model] == 7 - sum(first == model for first, _ in expected)


def test_all_true_ranks_are_covered_at_once() -> None:
    """Equal models, the worst case: at 95 %, of 200 simulations 180 or fewer cover in one of a thousand."""
    covered = 0
    for seed in range(200):
        found = rank_intervals(*drawn(np.zeros(12), 100 + seed), N_PROMPTS)
        covered += not found.above.any()
    assert 180 < covered < 200


def test_the_order_of_models_is_of_no_account() -> None:
    scores, values = drawn(np.linspace(-1, 1, 9), 4)
    shuffled = np.random.default_rng(0).permutation(9)
    found, again = (
        rank_intervals(scores, values, N_PROMPTS),
        rank_intervals(scores[shuffled], values[shuffled], N_PROMPTS),
    )
    assert (again.low == found.low[shuffled]).all() and (again.high == found.high[shuffled]).all()


def test_a_model_and_its_copy_have_one_interval_and_share_it() -> None:
    scores, values = drawn(np.array([0.0, 1.0, -1.0]), 5)
    found = rank_intervals(scores[[0, 0, 1, 2]], values[[0, 0, 1, 2]], N_PROMPTS)
    assert not found.above[0, 1] and not found.above[1, 0]
    assert (found.low[0], found.high[0]) == (found.low[1], found.high[1])


@pytest.mark.parametrize(("n_prompts", "is_apart"), [(4, False), (30, True)])
def test_models_that_never_vary_are_told_apart_by_a_sign_test(n_prompts: int, is_apart: bool) -> None:
    values = np.repeat([[1.0], [0.0]], 50, axis=1)
    assert rank_intervals(np.array([1.0, 0.0]), values, n_prompts).above[0, 1] == is_apart


@pytest.mark.parametrize(("models", "resamples"), [(1, 50), (3, 1)])
def test_what_has_no_rank_intervals(models: int, resamples: int) -> None:
    with pytest.raises(ValueError, match="have no rank intervals"):
        rank_intervals(np.zeros(models), np.zeros((models, resamples)), 10)


@given(st.integers(1, 8), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_groups_are_the_longest_runs_without_two_that_are_told_apart(models: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    above = np.triu(rng.random((models, models)) < 0.3, 1)
    order = rng.permutation(models)

    def is_alike(first: int, last: int) -> bool:
        run = order[first : last + 1]
        return not any(above[a, b] or above[b, a] for a, b in combinations(run, 2))

    runs = [(a, b) for a in range(models) for b in range(a, models) if is_alike(a, b)]
    longest = [
        run for run in runs if not any(run != other and other[0] <= run[0] <= run[1] <= other[1] for other in runs)
    ]
    assert alike_runs(above, order) == longest

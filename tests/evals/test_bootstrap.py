import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from evals.stats.bootstrap import (
    bootstrap_interval,
    percentile_interval,
    ratio_statistic,
    resample_counts,
    resample_training_seeds,
    score_interval,
    training_seed_variance,
    two_sided_p_value,
)


@given(n=st.integers(1, 50), resamples=st.integers(1, 50), seed=st.integers(0, 2**32))
def test_every_resample_draws_as_many_prompts_as_there_are(n: int, resamples: int, seed: int) -> None:
    counts = resample_counts(n, resamples, seed)
    assert counts.shape == (resamples, n)
    assert (counts >= 0).all() and (counts.sum(axis=1) == n).all()
    assert np.array_equal(counts, resample_counts(n, resamples, seed))


def test_prompts_are_drawn_equally_often_and_seeds_differ() -> None:
    counts = resample_counts(10, 20_000, seed=1)
    assert np.allclose(counts.mean(axis=0), 1, atol=0.03)
    assert np.allclose(counts.var(axis=0), 0.9, atol=0.03)
    assert not np.array_equal(counts, resample_counts(10, 20_000, seed=2))


@pytest.mark.parametrize(("n", "resamples"), [(0, 10), (10, 0)])
def test_nothing_to_draw_is_refused(n: int, resamples: int) -> None:
    with pytest.raises(ValueError, match="cannot draw"):
        resample_counts(n, resamples, seed=0)


def test_ratio_statistic_equals_the_naive_loop() -> None:
    rng = np.random.default_rng(0)
    numerator, denominator = rng.random(20), rng.integers(0, 4, size=20).astype(float)
    counts = resample_counts(20, 30, seed=3)
    statistic = ratio_statistic(numerator, denominator)
    naive = []
    for row in counts.astype(int):
        drawn = np.repeat(np.arange(20), row)
        naive.append(100 * numerator[drawn].sum() / denominator[drawn].sum())
    assert np.allclose(statistic.resample(counts), naive)
    assert statistic.value == pytest.approx(100 * numerator.sum() / denominator.sum())


def test_ratio_statistic_without_a_verdict_is_nan_and_left_out_of_the_interval() -> None:
    statistic = ratio_statistic(np.array([1.0, 0.0]), np.array([1.0, 0.0]))
    values = statistic.resample(np.array([[2.0, 0.0], [0.0, 2.0]]))
    assert values[0] == 100 and np.isnan(values[1])
    assert percentile_interval(values) == (100, 100)


def test_a_statistic_finds_its_prompts_on_a_longer_axis() -> None:
    statistic = ratio_statistic(np.array([1.0, 0.0]), np.ones(2))
    counts = resample_counts(5, 40, seed=0)
    assert np.array_equal(
        statistic.at(np.array([4, 1])).resample(counts), statistic.resample(counts[:, [4, 1]]), equal_nan=True
    )


def test_the_interval_of_a_mean_has_the_width_that_theory_gives() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.1, size=400)
    lower, upper = bootstrap_interval([ratio_statistic(values, np.ones(400))], 400, resamples=4000, seed=0)
    assert upper - lower == pytest.approx(2 * 1.96 * 100 * values.std() / 20, rel=0.05)


def test_p_value_counts_both_tails_and_is_never_zero() -> None:
    assert two_sided_p_value(np.full(999, 1.0)) == pytest.approx(2 / 1000)
    assert two_sided_p_value(np.full(999, -1.0)) == pytest.approx(2 / 1000)
    assert two_sided_p_value(np.zeros(999)) == 1
    assert two_sided_p_value(np.array([-1.0] * 9 + [1.0] * 90)) == pytest.approx(2 * 10 / 100)


@given(values=st.lists(st.floats(-5, 5), min_size=40, max_size=80))
@settings(deadline=None)
def test_a_significant_p_value_means_that_the_interval_excludes_zero(values: list[float]) -> None:
    differences = np.asarray(values) + 4
    if two_sided_p_value(differences) < 0.05:
        lower, upper = percentile_interval(differences)
        assert lower > 0 or upper < 0


def test_one_training_seed_is_left_alone() -> None:
    values = np.random.default_rng(0).random((1, 30))
    assert np.array_equal(resample_training_seeds(values, seed=0), values[0])


@pytest.mark.parametrize(("n_seeds", "t"), [(2, 12.706), (3, 4.303), (5, 2.776)])
def test_without_variation_between_prompts_the_interval_is_students(n_seeds: int, t: float) -> None:
    """Quantiles of Student's t (97.5 %) from printed tables."""
    scores = np.random.default_rng(n_seeds).normal(size=n_seeds)
    values = np.tile(scores[:, None], (1, 100_000))
    lower, upper = percentile_interval(resample_training_seeds(values, seed=0))
    half = t * scores.std(ddof=1) / np.sqrt(n_seeds)
    assert (lower, upper) == pytest.approx((scores.mean() - half, scores.mean() + half), rel=0.04, abs=0.03 * half)


@given(seed=st.integers(0, 1000), n_seeds=st.integers(2, 4))
def test_values_of_opposite_sign_give_results_of_opposite_sign(seed: int, n_seeds: int) -> None:
    values = np.random.default_rng(seed).normal(size=(n_seeds, 20))
    assert np.array_equal(resample_training_seeds(-values, seed), -resample_training_seeds(values, seed))


def test_training_seeds_that_differ_by_their_answers_alone_have_no_variance_of_their_own() -> None:
    """On average over simulations: 300 prompts that each seed answers in its own way, the same true score for all."""
    rng = np.random.default_rng(0)
    own, from_prompts = [], []
    for _ in range(200):
        scores = rng.normal(size=(3, 300))
        values = np.stack([ratio_statistic(row, np.ones(300)).resample(resample_counts(300, 200, 0)) for row in scores])
        own.append(training_seed_variance(values))
        from_prompts.append(values.mean(axis=0).var())
    assert np.mean(own) < 0.5 * np.mean(from_prompts)
    shifted = values + 1000 * np.array([[0.0], [1.0], [2.0]])
    assert training_seed_variance(shifted) == pytest.approx(1000**2 / 3, rel=0.05)


@pytest.mark.parametrize("n_prompts", [2, 20, 805])
def test_prompts_that_all_agree_leave_room_for_others_that_do_not(n_prompts: int) -> None:
    """The exact binomial interval, as scipy has it."""
    exact = binomtest(0, n_prompts).proportion_ci(0.95, method="exact")
    assert score_interval(np.zeros(50), n_prompts) == pytest.approx((0, 100 * exact.high))
    assert score_interval(np.full(50, 100.0), n_prompts) == pytest.approx((100 - 100 * exact.high, 100))
    assert score_interval(np.full(50, 50.0), n_prompts) == (50, 50)  # a baseline against itself


def test_the_interval_of_a_score_ends_at_0_and_100() -> None:
    """A few training seeds that differ much would have it go on."""
    assert score_interval(np.linspace(-5, 105, 111), 20) == (0, 100)

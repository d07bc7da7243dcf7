import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from evals.stats import bootstrap
from evals.stats.bootstrap import (
    percentile_interval,
    ratio_statistic,
    resample_counts,
    resampled,
    score_interval,
    within_bounds,
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
    counts = resample_counts(400, 4000, seed=0)
    lower, upper = score_interval(ratio_statistic(values, np.ones(400)).resample(counts), 400)
    assert upper - lower == pytest.approx(2 * 1.96 * 100 * values.std() / 20, rel=0.05)


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
    assert within_bounds((-3.0, 40.0), 20) == (0, 40)
    assert within_bounds((60.0, 103.0), 20) == (60, 100)
    assert within_bounds((20.0, 40.0), 20) == (20, 40)


@pytest.mark.parametrize("at_once", [1, 7, 400, 12_000])
def test_blocks_of_resamples_are_the_resamples(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """Whatever is drawn and evaluated at once, the draws and so the values are the same."""
    statistics = [ratio_statistic(np.random.default_rng(k).random(20), np.ones(20)) for k in range(2)]
    counts = resample_counts(20, 30, seed=3)
    whole = np.stack([statistic.resample(counts) for statistic in statistics])
    monkeypatch.setattr(bootstrap, "_COUNTS_AT_ONCE", at_once)
    assert np.allclose(resampled(statistics, 20, 30, seed=3), whole, rtol=1e-14)
    monkeypatch.setattr(bootstrap, "_DRAWN_AT_ONCE", at_once)
    assert np.array_equal(resample_counts(20, 30, seed=3), counts)


@pytest.mark.slow
def test_a_million_verdicts_are_resampled_within_two_gibibytes() -> None:
    code = (
        "import resource, numpy as np\n"
        "from evals import scoring\n"
        "from evals.base import Metric\n"
        "from evals.stats.win_rate import win_rate_statistic\n"
        "statistic = win_rate_statistic(np.random.default_rng(0).random(10**6))\n"
        "[lower, upper] = scoring.intervals({Metric('w'): statistic}, 10**6, resamples=1000, seed=0)['w']\n"
        "assert lower < statistic.value < upper < lower + 0.2\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.stats.bootstrap import Statistic
from evals.stats.paired import paired_difference
from evals.stats.win_rate import win_rate_statistic

N = 60


def statistics(seed: int, n_seeds: int, shift: float = 0.0) -> list[Statistic]:
    rng = np.random.default_rng(seed)
    hardness = rng.random(N)
    noise = rng.normal(0, 0.05, size=(n_seeds, N))
    return [win_rate_statistic(hardness + shift + row) for row in noise]


@given(seed=st.integers(0, 1000), first=st.integers(1, 4), second=st.integers(1, 4), shift=st.floats(-0.1, 0.1))
@settings(deadline=None, max_examples=30)
def test_exchanging_the_models_changes_the_sign_and_nothing_else(
    seed: int, first: int, second: int, shift: float
) -> None:
    a, b = statistics(seed, first, shift), statistics(seed + 1, second)
    forward = paired_difference(a, b, N, resamples=200, seed=seed)
    backward = paired_difference(b, a, N, resamples=200, seed=seed)
    assert forward.difference == pytest.approx(-backward.difference)
    assert forward.ci95 == pytest.approx([-end for end in reversed(backward.ci95)])
    assert forward.p_value == pytest.approx(backward.p_value)
    opposite = {"better": "worse", "worse": "better", "undecided": "undecided"}
    assert forward.verdict == opposite[backward.verdict]


@given(seed=st.integers(0, 1000), n_seeds=st.integers(1, 4))
@settings(deadline=None, max_examples=20)
def test_identical_models_do_not_differ(seed: int, n_seeds: int) -> None:
    models = statistics(seed, n_seeds)
    result = paired_difference(models, models, N, resamples=100, seed=seed)
    assert result.difference == 0
    assert result.ci95 == (0, 0)
    assert result.p_value == 1
    assert result.verdict == "undecided"


@pytest.mark.parametrize(("shift", "verdict"), [(0.05, "better"), (-0.05, "worse")])
def test_a_constant_shift_far_below_the_spread_of_prompts_is_detected(shift: float, verdict: str) -> None:
    hardness = np.random.default_rng(0).random(N)
    result = paired_difference(
        [win_rate_statistic(hardness + shift)], [win_rate_statistic(hardness)], N, resamples=1000, seed=0
    )
    assert result.difference == pytest.approx(100 * shift)
    assert result.ci95 == pytest.approx((100 * shift, 100 * shift))
    assert result.p_value == pytest.approx(2 / 1001)
    assert result.verdict == verdict


def test_variation_between_training_seeds_widens_the_interval() -> None:
    hardness = np.random.default_rng(0).random(N)
    steady = [win_rate_statistic(hardness + 0.05) for _ in range(3)]
    shaky = [win_rate_statistic(hardness + shift) for shift in (-0.05, 0.05, 0.15)]
    baseline = [win_rate_statistic(hardness) for _ in range(3)]
    assert paired_difference(steady, baseline, N).verdict == "better"
    assert paired_difference(shaky, baseline, N).verdict == "undecided"


def test_the_difference_of_unrelated_models_is_covered_as_often_as_claimed() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(400):
        difference = rng.normal(size=(2, 50))
        result = paired_difference(
            [win_rate_statistic(difference[0])], [win_rate_statistic(difference[1])], 50, resamples=400, seed=trial
        )
        covered += result.ci95[0] <= 0 <= result.ci95[1]
    assert 0.90 <= covered / 400 <= 0.98

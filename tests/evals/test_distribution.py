import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.stats import distribution as module
from evals.stats.distribution import distribution, estimates


def test_intervals_have_the_width_that_theory_gives() -> None:
    values = np.random.default_rng(0).normal(size=2000)
    found = distribution(values, resamples=4000)
    widths = {name: np.ptp(found[name]["ci95"]) for name in ("mean", "median", "first_quartile")}
    error = 2 * 1.96 / np.sqrt(2000)
    assert widths["mean"] == pytest.approx(error, rel=0.1)
    # Asymptotic error of a quantile: sqrt(p (1 - p)) over the density there.
    assert widths["median"] == pytest.approx(error * 0.5 / 0.3989, rel=0.15)
    assert widths["first_quartile"] == pytest.approx(error * np.sqrt(0.1875) / 0.3178, rel=0.15)


def test_the_interval_of_a_mean_covers_it_in_95_of_100_samples() -> None:
    samples = np.random.default_rng(1).exponential(size=(400, 80))
    intervals = [distribution(values, resamples=400, seed=seed)["mean"]["ci95"] for seed, values in enumerate(samples)]
    covered = sum(interval[0] <= 1 <= interval[1] for interval in intervals if interval)
    assert 0.90 <= covered / len(samples) <= 0.97  # skewed: a little under 0.95


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_points_are_those_of_the_sample_and_lie_in_its_range(values: list[float]) -> None:
    found = distribution(np.array(values), resamples=20)
    assert found["mean"]["value"] == pytest.approx(np.mean(values), rel=1e-9, abs=1e-6)
    assert found["median"]["value"] == pytest.approx(np.median(values), rel=1e-9, abs=1e-6)
    for name in ("first_quartile", "median", "third_quartile"):
        interval = found[name]["ci95"]
        assert interval is None or min(values) - 1e-6 <= interval[0] <= interval[1] <= max(values) + 1e-6
        assert (interval is None) == (len(values) == 1)


def test_resamples_are_drawn_in_blocks_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAWN_AT_ONCE", 70)
    sizes = []

    def mean(drawn: np.ndarray) -> np.ndarray:
        sizes.append(len(drawn))
        return drawn.mean(axis=1)[None, :]

    estimates(10, mean, resamples=23)
    assert sizes == [1, 7, 7, 7, 2]  # the point estimate, then the blocks


def test_nothing_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        distribution(np.array([]), resamples=1)

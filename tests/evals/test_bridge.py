import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import LinearRegression

from evals.stats.bridge import fit_line, logits, scores


@given(score=st.floats(0, 100), n=st.integers(1, 1000))
def test_scores_as_logits_and_back(score: float, n: int) -> None:
    logit = logits(np.array([score]), n)
    assert np.isfinite(logit).all()
    assert scores(logit, n) == pytest.approx([score], abs=1e-6)
    assert logits(np.array([100 - score]), n) == pytest.approx(-logit, abs=1e-6)


def test_line_and_interval_equal_the_textbook() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=9)
    y = 0.3 + 0.8 * x + rng.normal(0, 0.2, size=9)
    line = fit_line(x, y)
    fitted = LinearRegression().fit(x[:, None], y)
    assert (line.slope, line.intercept) == pytest.approx((fitted.coef_[0], fitted.intercept_))
    design = np.column_stack([np.ones(9), x])
    residuals = y - fitted.predict(x[:, None])
    error = np.sqrt(residuals @ residuals / 7)
    at = np.array([1.0, 2.5])
    reach = stats.t.ppf(0.975, 7) * error * np.sqrt(1 + at @ np.linalg.inv(design.T @ design) @ at)
    centre = fitted.predict([[2.5]])[0]
    assert line.interval(2.5) == pytest.approx((centre - reach, centre + reach))
    slope = stats.linregress(x, y)
    reach = stats.t.ppf(0.975, 7) * slope.stderr
    assert line.slope_interval() == pytest.approx((slope.slope - reach, slope.slope + reach))


@pytest.mark.parametrize("n_models", [3, 5, 12])
def test_intervals_hold_a_new_model_in_95_of_100_cases(n_models: int) -> None:
    rng = np.random.default_rng(n_models)
    held = []
    for _ in range(2000):
        x = rng.normal(size=n_models + 1)
        y = -0.5 + 1.4 * x + rng.normal(0, 0.3, size=n_models + 1)
        low, high = fit_line(x[:-1], y[:-1]).interval(x[-1])
        held.append(low <= y[-1] <= high)
    assert np.mean(held) == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / 2000))


def test_a_judge_that_gives_all_the_same_leaves_the_mean() -> None:
    y = np.array([1.0, 2.0, 4.0, 5.0])
    line = fit_line(np.full(4, 0.7), y)
    assert line.estimate(0.7) == pytest.approx(3)
    reach = stats.t.ppf(0.975, 3) * y.std(ddof=1) * np.sqrt(1 + 1 / 4)
    assert line.interval(0.7) == pytest.approx((3 - reach, 3 + reach))
    assert line.slope_interval() == (-np.inf, np.inf)


def test_two_models_make_no_bridge() -> None:
    with pytest.raises(ValueError, match="needs 3 models"):
        fit_line(np.array([0.0, 1.0]), np.array([0.0, 1.0]))

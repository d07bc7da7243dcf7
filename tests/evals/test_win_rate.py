import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.stats.win_rate import discrete_win_rate_statistic, win_rate, win_rate_statistic

PREFERENCES = st.lists(st.floats(0, 1), min_size=2, max_size=40)


@given(preferences=PREFERENCES)
def test_summary_equals_the_naive_count(preferences: list[float]) -> None:
    summary = win_rate(np.array(preferences))
    n = len(preferences)
    assert summary["n_total"] == n
    assert summary["n_wins"] == sum(p > 0.5 for p in preferences)
    assert summary["n_draws"] == sum(p == 0.5 for p in preferences)
    assert summary["n_wins"] + summary["n_wins_base"] + summary["n_draws"] == n
    mean = math.fsum(preferences) / n
    error = math.sqrt(math.fsum((p - mean) ** 2 for p in preferences) / (n - 1) / n)
    assert summary["win_rate"] == pytest.approx(100 * mean)
    assert summary["standard_error"] == pytest.approx(100 * error, abs=1e-6)
    assert summary["discrete_win_rate"] == pytest.approx(100 * (summary["n_wins"] + summary["n_draws"] / 2) / n)


@given(preferences=PREFERENCES)
def test_statistics_have_the_value_of_the_summary(preferences: list[float]) -> None:
    values = np.array(preferences)
    assert win_rate_statistic(values).value == pytest.approx(win_rate(values)["win_rate"])
    assert discrete_win_rate_statistic(values).value == pytest.approx(win_rate(values)["discrete_win_rate"])


@given(preferences=PREFERENCES)
def test_exchanging_model_and_baseline_mirrors_the_rates(preferences: list[float]) -> None:
    forward, backward = win_rate(np.array(preferences)), win_rate(1 - np.array(preferences))
    assert forward["win_rate"] == pytest.approx(100 - backward["win_rate"])
    assert forward["standard_error"] == pytest.approx(backward["standard_error"], abs=1e-6)


def test_one_verdict_has_no_standard_error() -> None:
    assert math.isnan(win_rate(np.array([1.0]))["standard_error"])

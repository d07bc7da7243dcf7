"""Results that are computed once: known again by the content of their arguments, arrays and all."""

from typing import Any

import numpy as np
import pytest

from evals.stats import length_control
from evals.stats.bootstrap import FloatArray, mean_statistic
from evals.stats.remembered import remembered


def test_a_result_is_known_by_the_content_of_its_arguments() -> None:
    asked: list[float] = []

    @remembered
    def total(values: FloatArray, scale: float) -> float:
        asked.append(scale)
        return scale * float(values.sum())

    values = np.arange(3.0)
    assert [total(values, 1.0), total(values.copy(), 1.0), total(values, 2.0)] == [3.0, 3.0, 6.0]
    values[0] = 1.0
    assert total(values, 1.0) == 4.0
    assert asked == [1.0, 2.0, 1.0]


def test_the_oldest_result_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evals.stats.remembered.KEPT", 2)
    asked: list[int] = []

    @remembered
    def same(number: int) -> int:
        asked.append(number)
        return number

    for number in (1, 2, 3, 3, 2, 1):
        assert same(number) == number
    assert asked == [1, 2, 3, 1]


def test_a_statistic_among_more_prompts_resamples_as_it_does_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scoring a method alone and comparing it then fit the same resamples, of which the second time costs nothing."""
    fits: list[int] = []
    minimize = length_control.minimize_l1

    def counted(*args: Any) -> FloatArray:
        fits.append(1)
        return minimize(*args)

    monkeypatch.setattr(length_control, "minimize_l1", counted)
    rng = np.random.default_rng(0)
    model = length_control.ModelVerdicts(rng.random(40), rng.normal(0, 300, 40), rng.normal(0, 1, 40))
    gamed = length_control.GamedBaselines(
        rng.random(20), rng.normal(0, 1, 20), rng.normal(0, 1, 20), np.zeros(20, bool), 2
    )
    statistic = length_control.length_controlled_statistic(model, gamed)
    counts = np.asarray(rng.multinomial(40, [1 / 40] * 40, size=8), float)
    alone = statistic.resample(counts)
    again = length_control.length_controlled_statistic(model, gamed).at(np.arange(40)).resample(counts)
    assert alone.tolist() == again.tolist()
    assert len(fits) == 1


def test_positions_choose_the_prompts_of_a_statistic() -> None:
    counts = np.array([[1.0, 0.0, 2.0]])
    assert mean_statistic(np.array([1.0, 10.0])).at(np.array([2, 0])).resample(counts).tolist() == [6.0]

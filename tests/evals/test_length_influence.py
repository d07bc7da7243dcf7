import numpy as np
import pytest

from evals.alpaca_eval2.annotations import Annotations
from evals.alpaca_eval2.scores import LENGTH_CONTROLLED, WIN_RATE, Verdicts, _gamed_baselines, _model_verdicts
from evals.stats.bootstrap import resampled
from evals.stats.length_control import LengthControlledFit, fit, length_controlled_statistic, minimize_l1
from evals.stats.length_control import _log_loss as log_loss
from evals.stats.length_influence import linear_length_controlled_statistic, prompt_influence
from tests.evals import simulated

N = 300


def verdicts(**given: float) -> Verdicts:
    return Verdicts(simulated.annotations(N, length_bias=0.8, **given), simulated.calibration(N, length_bias=0.8))  # type: ignore[arg-type]


@pytest.mark.parametrize("ability", [-1.5, 0.3])
def test_an_influence_is_the_derivative_in_the_count_of_a_prompt(ability: float) -> None:
    of = verdicts(ability=ability, longer_by=150)
    assert of.calibration
    model, gamed = _model_verdicts(of.annotations, of.calibration), _gamed_baselines(of.calibration)
    point = fit(model, gamed)
    # The exact minimum, where alpaca_eval's solver stops early.
    loss = log_loss(np.ones((1, N)), model, gamed)
    exact = minimize_l1(loss, point.coefficients[None], 1 / point.inverse_penalty, tolerance=1e-10)[0]
    converged = LengthControlledFit(point.win_rate, point.standard_error, exact, point.inverse_penalty)
    statistic = length_controlled_statistic(model, gamed, converged)
    moved = np.ones((3, N))
    moved[0, 7] += 0.01
    moved[0] *= N / moved[0].sum()
    moved[1, 100] += 0.01
    moved[1] *= N / moved[1].sum()
    values = statistic.resample(moved)
    influence = prompt_influence(model, gamed, converged)
    for row, prompt in ((0, 7), (1, 100)):
        assert (values[row] - values[2]) / 0.01 == pytest.approx(influence[prompt], rel=0.02, abs=1e-4)


def test_resamples_are_close_to_those_of_refitted_models() -> None:
    of = verdicts(ability=-0.5, longer_by=100)
    exact, quick = of.statistic(LENGTH_CONTROLLED.name, of.items), of.quick_statistic(LENGTH_CONTROLLED.name, of.items)
    values = resampled([exact, quick], N, 300, 0)
    assert quick.value == exact.value
    assert np.corrcoef(values)[0, 1] > 0.99
    assert values[1].std() == pytest.approx(values[0].std(), rel=0.05)


def test_the_baseline_itself_scores_50_whatever_is_drawn() -> None:
    same = Annotations("baseline", tuple(range(N)), (1.5,) * N, (10,) * N, (10,) * N, "baseline.csv")
    calibration = simulated.calibration(N)
    statistic = linear_length_controlled_statistic(_model_verdicts(same, calibration), _gamed_baselines(calibration))
    assert (resampled([statistic], N, 5, 0) == 50).all()


def test_other_metrics_are_as_they_are() -> None:
    of = verdicts()
    exact, quick = of.statistic(WIN_RATE.name, of.items), of.quick_statistic(WIN_RATE.name, of.items)
    assert (resampled([exact], N, 5, 0) == resampled([quick], N, 5, 0)).all()

"""The length-controlled win rate as a linear statistic: many models, without a fit for each resample.

A prompt's influence is the derivative of the score in how often the prompt is drawn (the infinitesimal jackknife;
Jaeckel 1972, Efron 1982, chapter 6). A resample then moves the score by the sum of its prompts' influences. The fit
itself, the scale of the lengths and the mean over prompts all depend on the draw, and so all have a part in it.
"""

import numpy as np

from evals.stats.bootstrap import FloatArray, Statistic
from evals.stats.length_control import GamedBaselines, LengthControlledFit, ModelVerdicts, fit


def linear_length_controlled_statistic(model: ModelVerdicts, gamed: GamedBaselines) -> Statistic:
    """Return the length-controlled win rate with resamples to first order in the draw of prompts.

    Held fixed is what `evals.stats.length_control.length_controlled_statistic` holds fixed.
    """
    fitted = fit(model, gamed)
    influence = prompt_influence(model, gamed, fitted)
    return Statistic(fitted.win_rate, lambda counts: fitted.win_rate + (counts - 1) @ influence)


def prompt_influence(model: ModelVerdicts, gamed: GamedBaselines, fitted: LengthControlledFit) -> FloatArray:
    """Return d score / d count of each prompt [prompts], in points, their number as a whole being fixed.

    A coefficient that the penalty holds at 0 stays there. A model that is the baseline has no influence of any prompt.
    """
    n = len(model.preference)
    active = fitted.coefficients != 0
    if n < 2 or not active.any():
        return np.zeros(n)
    change = np.zeros((n, 3))
    change[:, active] = _change_of_fit(model, gamed, fitted.coefficients, active)
    difficulty = model.difficulty
    wins = _sigmoid(fitted.coefficients[1] * difficulty + fitted.coefficients[2])
    slopes = wins * (1 - wins)
    by_fit = change[:, 1] * (slopes @ difficulty) + change[:, 2] * slopes.sum()
    influence: FloatArray = 100 * (wins - wins.mean() + by_fit) / n
    return influence - influence.mean()


def _change_of_fit(
    model: ModelVerdicts, gamed: GamedBaselines, coefficients: FloatArray, active: np.ndarray
) -> FloatArray:
    """Return d coefficient / d count [prompts, active coefficients], by the implicit function theorem."""
    lengths, by_scale, scale_change = _lengths(model.length_difference)
    features = np.column_stack([lengths, model.difficulty, np.ones_like(lengths)])
    chance = _sigmoid(features @ coefficients)
    residual, curvature = chance - model.preference, chance * (1 - chance)
    of_scale = features.T @ (curvature * coefficients[0] * by_scale)
    of_scale[0] += residual @ by_scale
    gradients = residual[:, None] * features + np.outer(scale_change, of_scale)
    hessian = (features * curvature[:, None]).T @ features + _gamed_hessian(gamed, coefficients)
    solved: FloatArray = np.linalg.solve(hessian[np.ix_(active, active)], gradients[:, active].T)
    return -solved.T


def _gamed_hessian(gamed: GamedBaselines, coefficients: FloatArray) -> FloatArray:
    """Return the second derivative [3, 3] of the gamed baselines' part of the loss."""
    features = gamed.features()
    chance = _sigmoid(features @ coefficients)
    hessian: FloatArray = (features * (gamed.weights() * chance * (1 - chance))[:, None]).T @ features
    return hessian


def _lengths(difference: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return tanh(Δ / sd) and its derivative in sd, and the derivative of sd in each prompt's count: all [prompts]."""
    variance = difference.var(ddof=1)
    if variance <= 0:
        return np.zeros_like(difference), np.zeros_like(difference), np.zeros_like(difference)
    deviation = np.sqrt(variance)
    lengths = np.tanh(difference / deviation)
    by_scale = -(1 - lengths**2) * difference / variance
    scale_change = ((difference - difference.mean()) ** 2 - variance) / (len(difference) - 1) / (2 * deviation)
    return lengths, by_scale, scale_change


def _sigmoid(logits: FloatArray) -> FloatArray:
    chance: FloatArray = 0.5 * (1 + np.tanh(0.5 * logits))
    return chance

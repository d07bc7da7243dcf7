"""From one judge's scores to another's: what would the reference judge say of a model that only this judge has seen?

The scores that both judges gave to the calibration models are regressed on each other, reference on judge, in logits:

    logit(score by the reference) = intercept + slope · logit(score by the judge) + error of the model.

The estimate for a new model is its point on the line, its error the prediction interval of the regression (Draper and
Smith 1998, "Applied Regression Analysis"; Osborne 1991, "Statistical Calibration: A Review", on this direction of
regression). It takes the new model for one more of the kind that the calibration models are. The interval widens with
what the judge leaves open, with the distance from the calibration models, and with their being few: of three models it
is hardly of use. Where the judge tells nothing, it comes down to the spread of the calibration models' scores.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from evals.stats.bootstrap import FloatArray

MIN_MODELS = 3  # a line through two points leaves no error to learn from
FLAT = 1e-12  # a sum of squares that only rounding makes differ from 0


@dataclass(frozen=True)
class Line:
    """Least squares through `n_models` points (by the judge, by the reference), in logits.

    `error` is the residual standard deviation, `degrees_of_freedom` what it rests on; `centre` and `spread` are mean
    and sum of squares of the judge's scores.
    """

    intercept: float
    slope: float
    error: float
    degrees_of_freedom: int
    n_models: int
    centre: float
    spread: float

    def _quantile(self) -> float:
        """Return the 97.5 % quantile of Student's t."""
        return float(stats.t.ppf(0.975, self.degrees_of_freedom))

    def estimate(self, by_judge: float) -> float:
        """Return the logit that the reference judge would give where the judge gives the logit `by_judge`."""
        return self.intercept + self.slope * by_judge

    def interval(self, by_judge: float) -> tuple[float, float]:
        """Return the 95 % prediction interval of that logit, for one new model."""
        leverage = (by_judge - self.centre) ** 2 / self.spread if self.spread > FLAT else 0.0
        reach = self._quantile() * self.error * np.sqrt(1 + 1 / self.n_models + leverage)
        return float(self.estimate(by_judge) - reach), float(self.estimate(by_judge) + reach)

    def slope_interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the slope: one that holds 0 cannot be told from a judge that tells nothing."""
        if self.spread <= FLAT:
            return -np.inf, np.inf
        reach = self._quantile() * self.error / np.sqrt(self.spread)
        return float(self.slope - reach), float(self.slope + reach)


def fit_line(by_judge: FloatArray, by_reference: FloatArray) -> Line:
    """Return the line through the calibration models' scores, both [models] in logits.

    Where the judge gives all models the same score there is nothing to regress on: the slope is 0, and the estimate the
    mean of the reference's scores. Raises ValueError for fewer than `MIN_MODELS`.
    """
    n = len(by_judge)
    if n < MIN_MODELS:
        raise ValueError(f"a bridge needs {MIN_MODELS} models that both judges scored, not {n}")
    centre = float(by_judge.mean())
    spread = float(np.sum((by_judge - centre) ** 2))
    slope = float(np.sum((by_judge - centre) * by_reference)) / spread if spread > FLAT else 0.0
    intercept = float(by_reference.mean()) - slope * centre
    residuals = by_reference - intercept - slope * by_judge
    degrees_of_freedom = n - 2 if spread > FLAT else n - 1
    error = float(np.sqrt(residuals @ residuals / degrees_of_freedom))
    return Line(intercept, slope, error, degrees_of_freedom, n, centre, spread)


def logits(scores: FloatArray, n_prompts: FloatArray | float) -> FloatArray:
    """Return scores in per cent as logits, half a verdict added on either side so that 0 and 100 stay finite."""
    won = scores / 100 * n_prompts
    found: FloatArray = np.log((won + 0.5) / (n_prompts - won + 0.5))
    return found


def scores(logits: FloatArray | float, n_prompts: float) -> FloatArray:
    """Return the inverse of `logits`, kept within 0 and 100 per cent."""
    won = (n_prompts + 1) / (1 + np.exp(-np.asarray(logits, dtype=np.float64))) - 0.5
    return np.clip(100 * won / n_prompts, 0, 100)

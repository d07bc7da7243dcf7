"""Many variances, each known from few observations: what they have in common tells more of each.

The empirical Bayes of Smyth (2004), "Linear Models and Empirical Bayes Methods for Assessing Differential Expression in
Microarray Experiments", section 6.2. A variance s² with d degrees of freedom is taken as σ² · χ²(d) / d, and 1/σ² as
drawn from a common distribution, χ²(d₀) / (d₀ s₀²). Mean and variance of log s² over the family give s₀² and d₀.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST_VARIANCES = 4
"""Of fewer, how much variances differ among themselves is hardly known: of three, false alarms were too many."""

_SMALLEST_SHARE = 1e-5
"""Of the median: what stands in for a variance of 0, which has no logarithm."""


@dataclass(frozen=True)
class Prior:
    """What is known of a variance before it is observed: as much as `degrees_of_freedom` observations of `variance`."""

    variance: float
    degrees_of_freedom: float


UNKNOWN = Prior(1.0, 0.0)
"""Nothing is known beforehand."""


def fit_prior(variances: Sequence[float], degrees_of_freedom: Sequence[float]) -> Prior:
    """The common distribution of variances, all in units that make them comparable; `UNKNOWN` for too few of them.

    Where they differ no more than chance makes them, its degrees of freedom are infinite.
    """
    observed, d = np.asarray(variances, dtype=np.float64), np.asarray(degrees_of_freedom, dtype=np.float64)
    if len(observed) < FEWEST_VARIANCES or not np.median(observed) > 0:
        return UNKNOWN
    observed = np.maximum(observed, _SMALLEST_SHARE * np.median(observed))
    logs = np.log(observed) + np.array([_log_bias(each) for each in d])
    by_chance = float(np.mean([trigamma(each / 2) for each in d]))
    differences = float(logs.var(ddof=1)) - by_chance
    if differences <= 0:
        return Prior(float(d @ observed / d.sum()), math.inf)
    d0 = 2 * inverse_trigamma(differences)
    return Prior(math.exp(float(logs.mean()) - _log_bias(d0)), d0)


def _log_bias(degrees_of_freedom: float) -> float:
    """How far log s² lies below log σ² in the mean."""
    return math.log(degrees_of_freedom / 2) - digamma(degrees_of_freedom / 2)


def digamma(x: float) -> float:
    """The derivative of log Γ at x > 0, by recurrence and its asymptotic series (Abramowitz and Stegun, 6.3.18)."""
    value = 0.0
    while x < 10:
        value -= 1 / x
        x += 1
    square = 1 / (x * x)
    series = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square * (1 / 240 - square / 132))))
    return value + math.log(x) - 1 / (2 * x) - series


def trigamma(x: float) -> float:
    """The second derivative of log Γ at x > 0, by recurrence and its asymptotic series (6.4.12)."""
    value = 0.0
    while x < 10:
        value += 1 / (x * x)
        x += 1
    square = 1 / (x * x)
    series = square * (1 / 6 - square * (1 / 30 - square * (1 / 42 - square * (1 / 30 - square * 5 / 66))))
    return value + (1 + series) / x + square / 2


def inverse_trigamma(value: float) -> float:
    """The x > 0 whose trigamma is `value` > 0, by bisection of its logarithm: trigamma falls from ∞ to 0."""
    low, high = -60.0, 60.0
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if trigamma(math.exp(middle)) > value else (low, middle)
    return math.exp((low + high) / 2)

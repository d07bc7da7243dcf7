"""Many variances, each known from few observations: what they have in common tells more of each.

The empirical Bayes of Smyth (2004), "Linear Models and Empirical Bayes Methods for Assessing Differential Expression in
Microarray Experiments", section 6.2. A variance s² with d degrees of freedom is taken as σ² · χ²(d) / d, and 1/σ² as
drawn from a common distribution, χ²(d₀) / (d₀ s₀²). Mean and variance of log s² over the family give s₀² and d₀.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

MIN_VARIANCES = 4
"""Of fewer, how much variances differ among themselves is hardly known: of three, false alarms were too many."""

_SMALLEST_SHARE = 1e-5
"""Of the median: what stands in for a variance of 0, which has no logarithm."""


@dataclass(frozen=True)
class Prior:
    """The prior knowledge of a variance: as much as `degrees_of_freedom` observations of `variance`."""

    variance: float
    degrees_of_freedom: float


UNKNOWN = Prior(1.0, 0.0)
"""Nothing is known beforehand."""


def fit_prior(variances: Sequence[float], degrees_of_freedom: Sequence[float]) -> Prior:
    """Return the common distribution of variances, all in units that make them comparable; `UNKNOWN` for too few of
    them.

    Where they differ no more than chance makes them, its degrees of freedom are infinite.
    """
    observed, d = np.asarray(variances, dtype=np.float64), np.asarray(degrees_of_freedom, dtype=np.float64)
    if len(observed) < MIN_VARIANCES or not np.median(observed) > 0:
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
    """Return how far log s² lies below log σ² in the mean."""
    return math.log(degrees_of_freedom / 2) - float(special.digamma(degrees_of_freedom / 2))


def trigamma(x: float) -> float:
    """Return the second derivative of log Γ at x > 0."""
    return float(special.polygamma(1, x))


def inverse_trigamma(value: float) -> float:
    """Return the x > 0 whose trigamma is `value` > 0, by its logarithm: trigamma falls from ∞ to 0."""
    return math.exp(optimize.brentq(lambda log_x: trigamma(math.exp(log_x)) - value, -60.0, 60.0, xtol=1e-12))

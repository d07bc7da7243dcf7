"""Student's t distribution, for any degrees of freedom above 0, whole or not.

Its tails are an incomplete beta function (Abramowitz and Stegun 1964, "Handbook of Mathematical Functions", 26.7.1),
which is evaluated by its continued fraction (26.5.8).
"""

import math
from functools import cache
from statistics import NormalDist

_SMALLEST = 1e-300
_PRECISION = 1e-15


def two_sided_tail(t: float, degrees_of_freedom: float) -> float:
    """P(|T| ≥ |t|): the p-value of a two-sided test. 0 for an infinite t."""
    if math.isinf(t):
        return 0.0
    return _incomplete_beta(degrees_of_freedom / (degrees_of_freedom + t * t), degrees_of_freedom / 2, 0.5)


@cache
def quantile(probability: float, degrees_of_freedom: float) -> float:
    """The t below which T lies with this probability. Raises ValueError for one that is not between 0 and 1."""
    if not 0 < probability < 1:
        raise ValueError(f"a quantile needs a probability between 0 and 1, not {probability}")
    if probability < 0.5:
        return -quantile(1 - probability, degrees_of_freedom)
    tails = 2 * (1 - probability)
    low, high = 0.0, 1.0
    while two_sided_tail(high, degrees_of_freedom) > tails:
        low, high = high, 2 * high
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if two_sided_tail(middle, degrees_of_freedom) > tails else (low, middle)
    return (low + high) / 2


def detectable(significance: float, power: float, degrees_of_freedom: float) -> float:
    """How many standard errors a true difference must be for a two-sided t test to decide it with this power.

    By the normal approximation to noncentral t (Abramowitz and Stegun, 26.7.10), whose power is within 0.02 of the one
    asked for. It takes in that the standard error is itself an estimate.
    """
    limit = quantile(1 - significance / 2, degrees_of_freedom)
    spread = math.sqrt(1 + limit * limit / (2 * degrees_of_freedom))
    return limit * (1 - 1 / (4 * degrees_of_freedom)) + NormalDist().inv_cdf(power) * spread


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularized incomplete beta function I_x(a, b)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side
        return 1 - _incomplete_beta(1 - x, b, a)
    log_factor = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_factor) / (a * _continued_fraction(x, a, b))


def _continued_fraction(x: float, a: float, b: float) -> float:
    """1 + d₁/(1 + d₂/(1 + …)), evaluated from the front by ratios of its convergents (Lentz 1976)."""
    value, numerators, denominators = 1.0, 1.0, 0.0
    for place in range(1, 10_000):
        half = place // 2
        if place % 2:
            term = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            term = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        denominators = 1 / _apart_from_zero(1 + term * denominators)
        numerators = _apart_from_zero(1 + term / numerators)
        change = numerators * denominators
        value *= change
        if abs(change - 1) < _PRECISION:
            break
    return value


def _apart_from_zero(value: float) -> float:
    return value if abs(value) > _SMALLEST else _SMALLEST

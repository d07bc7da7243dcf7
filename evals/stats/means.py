"""Plain means as statistics on prompts, in the unit of the values."""

import numpy as np

from evals.stats.bootstrap import FloatArray, Statistic


def mean_statistic(values: FloatArray) -> Statistic:
    """The mean of `values` [prompts]."""
    return Statistic(float(values.mean()), lambda counts: counts @ values / len(values))


def constant_statistic(value: float) -> Statistic:
    """`value`, whichever prompts are drawn: what a score is compared with in a test of one sample."""
    return Statistic(value, lambda counts: np.full(len(counts), value))

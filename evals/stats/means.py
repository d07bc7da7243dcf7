"""Plain means as statistics on prompts, in the unit of the values."""

from evals.stats.bootstrap import FloatArray, Statistic


def mean_statistic(values: FloatArray) -> Statistic:
    """Return the mean of `values` [prompts]."""
    return Statistic(float(values.mean()), lambda counts: counts @ values / len(values))

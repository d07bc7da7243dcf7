"""The distribution of a measurement: mean and quartiles, with bootstrap intervals (Efron 1979).

Unlike win rates, measurements come by the ten thousand: resamples are drawn in blocks, so that memory is bounded
whatever the number of values.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from evals.stats.bootstrap import FloatArray, IntArray, percentile_interval

DRAWN_AT_ONCE = 2**20  # positions: 8 MiB
QUARTILES = (0.25, 0.5, 0.75)

PointEstimate = dict[str, Any]
"""A `value` with its 95 % interval, `ci95`: None for one observation alone."""


def distribution(values: FloatArray, *, resamples: int, seed: int = 0) -> dict[str, PointEstimate]:
    """Return mean and quartiles, by linear interpolation, of `values` [n], one a prompt.

    Raises ValueError where there are none.
    """

    def statistics(drawn: IntArray) -> FloatArray:
        sample = values[drawn]
        return np.vstack([sample.mean(axis=1), np.quantile(sample, QUARTILES, axis=1)])

    found = estimates(len(values), statistics, resamples=resamples, seed=seed)
    return dict(zip(("mean", "first_quartile", "median", "third_quartile"), found, strict=True))


def estimates(
    n: int, statistics: Callable[[IntArray], FloatArray], *, resamples: int, seed: int = 0
) -> list[PointEstimate]:
    """Return the statistics of `n` prompts, each with its percentile interval.

    `statistics` maps positions of drawn prompts [resamples, n] to values [statistics, resamples]. Raises ValueError
    where there is no prompt.
    """
    if n < 1:
        raise ValueError("nothing was measured; there is no distribution")
    points = statistics(np.arange(n)[None, :])[:, 0]
    if n == 1:
        return [{"value": float(point), "ci95": None} for point in points]
    rng = np.random.default_rng([seed, n])
    block = max(1, DRAWN_AT_ONCE // n)
    sizes = [min(block, resamples - start) for start in range(0, resamples, block)]
    resampled = np.hstack([statistics(rng.integers(0, n, size=(size, n))) for size in sizes])
    return [
        {"value": float(point), "ci95": percentile_interval(row)} for point, row in zip(points, resampled, strict=True)
    ]

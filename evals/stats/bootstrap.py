"""Bootstrap intervals clustered by prompt (Efron 1979; Efron and Tibshirani 1993, chapters 8 and 13).

The prompts of a benchmark are the sampling unit: all verdicts on one prompt (two orders of the answers, several
training seeds, several models) are kept together when prompts are drawn with replacement. A resample is a row of
counts, how often each prompt was drawn, so that a statistic is evaluated on many resamples at once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_DRAWN_AT_ONCE = 2**16  # positions, so that they stay in the processor's cache
_COUNTS_AT_ONCE = 2**24  # that statistics are evaluated on at once: 128 MiB, all resamples of up to 16,777 prompts
_PROMPT_STREAM = 0


@dataclass(frozen=True)
class Statistic:
    """A score on prompts, with the way to compute it again on resampled prompts.

    `value` is the score on the prompts as they are; `resample` maps counts [resamples, prompts] to scores [resamples].
    """

    value: float
    resample: Callable[[FloatArray], FloatArray]

    def at(self, positions: IntArray) -> "Statistic":
        """Return the same statistic among more prompts: its own prompts are the `positions` of a longer prompt axis."""
        return Statistic(self.value, lambda counts: self.resample(counts.take(positions, axis=1)))


def average_statistic(statistics: Sequence[Statistic]) -> Statistic:
    """Return the mean of statistics on the same prompts, each with the same weight."""

    def resample(counts: FloatArray) -> FloatArray:
        mean: FloatArray = np.mean([each.resample(counts) for each in statistics], axis=0)
        return mean

    return Statistic(float(np.mean([each.value for each in statistics])), resample)


def ratio_statistic(numerator: FloatArray, denominator: FloatArray) -> Statistic:
    """Return 100 · Σᵢ numeratorᵢ / Σᵢ denominatorᵢ over prompts i, for example a mean: the denominator is then all
    ones.

    A resample with an empty denominator (only prompts without a verdict) is NaN.
    """
    total = denominator.sum()
    value = 100 * float(numerator.sum() / total) if total else float("nan")

    def resample(counts: FloatArray) -> FloatArray:
        totals = counts @ denominator
        ratios: FloatArray = np.divide(counts @ numerator, totals, out=np.full(len(counts), np.nan), where=totals > 0)
        return 100 * ratios

    return Statistic(value, resample)


def mean_over_groups(total: FloatArray, number: FloatArray) -> Statistic:
    """Return Σᵢ totalᵢ / Σᵢ numberᵢ over prompts i: the mean of all values, of which a prompt has any number.

    A resample without any value is NaN, like a set without any.
    """
    value = float(total.sum() / number.sum()) if number.sum() else float("nan")

    def resample(counts: FloatArray) -> FloatArray:
        numbers = counts @ number
        means: FloatArray = np.divide(counts @ total, numbers, out=np.full(len(counts), np.nan), where=numbers > 0)
        return means

    return Statistic(value, resample)


def mean_statistic(values: FloatArray) -> Statistic:
    """Return the mean of `values` [prompts], in their unit."""
    return Statistic(float(values.mean()), lambda counts: counts @ values / len(values))


def resample_counts(n_prompts: int, resamples: int, seed: int) -> FloatArray:
    """Count how often each prompt is drawn when `n_prompts` prompts are drawn with replacement: [resamples,
    n_prompts].

    Every row sums to `n_prompts`. Raises ValueError when there is nothing to draw from.
    """
    [counts] = _blocks_of_counts(n_prompts, resamples, seed, max(1, resamples))
    return counts


def resampled(statistics: Sequence[Statistic], n_prompts: int, resamples: int, seed: int) -> FloatArray:
    """Return the values of `statistics` on the same resampled prompts: [statistics, resamples].

    The draws are those of `resample_counts`, made and used in blocks, so that memory does not grow with the resamples.
    Raises ValueError when there is nothing to draw from.
    """
    block = max(1, _COUNTS_AT_ONCE // max(1, n_prompts))
    values = [
        np.stack([statistic.resample(counts) for statistic in statistics])
        for counts in _blocks_of_counts(n_prompts, resamples, seed, block)
    ]
    return np.concatenate(values, axis=1)


def _blocks_of_counts(n_prompts: int, resamples: int, seed: int, block: int) -> Iterator[FloatArray]:
    """Yield the rows of `resample_counts`, `block` of them at a time."""
    if n_prompts < 1 or resamples < 1:
        raise ValueError(f"cannot draw {resamples} resamples of {n_prompts} prompts")
    rng = np.random.default_rng([seed, _PROMPT_STREAM])
    batch_size = max(1, _DRAWN_AT_ONCE // n_prompts)
    for first in range(0, resamples, block):
        counts: FloatArray = np.empty((min(block, resamples - first), n_prompts))
        for start in range(0, len(counts), batch_size):
            rows = counts[start : start + batch_size]
            drawn = rng.integers(0, n_prompts, size=rows.shape)
            drawn += n_prompts * np.arange(len(rows))[:, None]
            rows[:] = np.bincount(drawn.ravel(), minlength=rows.size).reshape(rows.shape)
        yield counts


def percentile_interval(values: FloatArray, level: float = 0.95) -> tuple[float, float]:
    """Return the central `level` interval of resampled values (percentile method); NaN resamples are left out."""
    tail = (1 - level) / 2
    lower, upper = np.nanquantile(values, [tail, 1 - tail])
    return float(lower), float(upper)


def score_interval(scores: FloatArray, n_prompts: int) -> tuple[float, float]:
    """Return the 95 % interval of a score in per cent from its values on resampled prompts; see `within_bounds`."""
    return within_bounds(percentile_interval(scores), n_prompts)


def within_bounds(interval: tuple[float, float], n_prompts: int) -> tuple[float, float]:
    """Return the interval of a score in per cent, ended at 0 and 100.

    Where it is 0, or 100, alone, the prompts agree, and nothing of them can show that others might not: the exact
    binomial interval of `n_prompts` alike outcomes stands in for it (Clopper and Pearson 1934).
    """
    lower, upper = interval
    excluded = 100 * (1 - 0.025 ** (1 / n_prompts))
    if lower == upper == 0:
        return 0.0, excluded
    if lower == upper == 100:
        return 100 - excluded, 100.0
    return max(0.0, lower), min(100.0, upper)

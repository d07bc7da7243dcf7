"""Bootstrap intervals clustered by prompt (Efron 1979; Efron and Tibshirani 1993, chapters 8, 13 and 16).

The prompts of a benchmark are the sampling unit: all verdicts on one prompt (two orders of the answers, several
training seeds, several models) are kept together when prompts are drawn with replacement. A resample is a row of
counts, how often each prompt was drawn, so that a statistic is evaluated on many resamples at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_PROMPT_STREAM = 0  # streams >= 2 draw training seeds, one stream for each number of training seeds


@dataclass(frozen=True)
class Statistic:
    """A score on prompts, with the way to compute it again on resampled prompts.

    `value` is the score on the prompts as they are; `resample` maps counts [resamples, prompts] to scores [resamples].
    """

    value: float
    resample: Callable[[FloatArray], FloatArray]

    def at(self, positions: IntArray) -> "Statistic":
        """The same statistic among more prompts: its own prompts are the `positions` of a longer prompt axis."""
        return Statistic(self.value, lambda counts: self.resample(counts[:, positions]))


def ratio_statistic(numerator: FloatArray, denominator: FloatArray) -> Statistic:
    """100 · Σᵢ numeratorᵢ / Σᵢ denominatorᵢ over prompts i, for example a mean: the denominator is then all ones.

    A resample with an empty denominator (only prompts without a verdict) is NaN.
    """
    total = denominator.sum()
    value = 100 * float(numerator.sum() / total) if total else float("nan")

    def resample(counts: FloatArray) -> FloatArray:
        totals = counts @ denominator
        ratios: FloatArray = np.divide(counts @ numerator, totals, out=np.full(len(counts), np.nan), where=totals > 0)
        return 100 * ratios

    return Statistic(value, resample)


def mean_statistic(statistics: Sequence[Statistic]) -> Statistic:
    """The mean of scores on the same prompts, such as those by repeated verdicts: a prompt's repeats stay together."""
    value = sum(statistic.value for statistic in statistics) / len(statistics)
    return Statistic(value, lambda counts: np.mean([statistic.resample(counts) for statistic in statistics], axis=0))


def resample_counts(n_prompts: int, resamples: int, seed: int) -> FloatArray:
    """How often each prompt is drawn when `n_prompts` prompts are drawn with replacement: [resamples, n_prompts].

    Every row sums to `n_prompts`. Raises ValueError when there is nothing to draw from.
    """
    if n_prompts < 1 or resamples < 1:
        raise ValueError(f"cannot draw {resamples} resamples of {n_prompts} prompts")
    rng = np.random.default_rng([seed, _PROMPT_STREAM])
    drawn = rng.integers(0, n_prompts, size=(resamples, n_prompts))
    drawn += n_prompts * np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=resamples * n_prompts)
    return counts.reshape(resamples, n_prompts).astype(np.float64)


def percentile_interval(values: FloatArray, level: float = 0.95) -> tuple[float, float]:
    """The central `level` interval of resampled values (percentile method); NaN resamples are left out."""
    tail = (1 - level) / 2
    lower, upper = np.nanquantile(values, [tail, 1 - tail])
    return float(lower), float(upper)


def two_sided_p_value(differences: FloatArray) -> float:
    """Bootstrap p-value of "no difference" from resampled differences (Efron and Tibshirani 1993, section 15.4, 16.4).

    p = min(1, 2 · (1 + min(#{d ≤ 0}, #{d ≥ 0})) / (1 + resamples)), which is never 0: with B resamples nothing smaller
    than 2/(B + 1) can be claimed. p < 0.05 implies that the 95 % percentile interval excludes 0.
    """
    not_above, not_below = np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0)
    return float(min(1.0, 2 * (1 + min(not_above, not_below)) / (1 + len(differences))))


def resample_training_seeds(values: FloatArray, seed: int) -> FloatArray:
    """Mean over training seeds of `values` [training seeds, resamples], with the seeds drawn anew in each resample.

    Drawing K seeds with replacement understates the variance between seeds by (K - 1)/K, a third of it at K = 3; the
    deviation from the plain mean is therefore stretched by √(K/(K - 1)). One training seed says nothing about the
    variation between seeds: its values are returned unchanged.
    """
    n_seeds, resamples = values.shape
    if n_seeds == 1:
        return values[0]
    rng = np.random.default_rng([seed, n_seeds])
    drawn = rng.integers(0, n_seeds, size=(n_seeds, resamples))
    mean: FloatArray = values.mean(axis=0)
    drawn_mean = np.take_along_axis(values, drawn, axis=0).mean(axis=0)
    stretched: FloatArray = mean + np.sqrt(n_seeds / (n_seeds - 1)) * (drawn_mean - mean)
    return stretched


def bootstrap_interval(
    statistics: Sequence[Statistic], n_prompts: int, *, resamples: int, seed: int
) -> tuple[float, float]:
    """95 % interval of the mean of `statistics`, one for each training seed, all on the same `n_prompts` prompts.

    Prompts are resampled once for all training seeds; with more than one, the training seeds are resampled too.
    """
    counts = resample_counts(n_prompts, resamples, seed)
    values = np.stack([statistic.resample(counts) for statistic in statistics])
    return percentile_interval(resample_training_seeds(values, seed))

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

_ROWS_AT_ONCE = 64  # resamples drawn at once, so that they stay in the processor's cache
_PROMPT_STREAM = 0  # streams >= 2 are of training seeds, one stream for each number of them


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


def resample_counts(n_prompts: int, resamples: int, seed: int) -> FloatArray:
    """How often each prompt is drawn when `n_prompts` prompts are drawn with replacement: [resamples, n_prompts].

    Every row sums to `n_prompts`. Raises ValueError when there is nothing to draw from.
    """
    if n_prompts < 1 or resamples < 1:
        raise ValueError(f"cannot draw {resamples} resamples of {n_prompts} prompts")
    rng = np.random.default_rng([seed, _PROMPT_STREAM])
    counts: FloatArray = np.empty((resamples, n_prompts))
    for start in range(0, resamples, _ROWS_AT_ONCE):
        rows = counts[start : start + _ROWS_AT_ONCE]
        drawn = rng.integers(0, n_prompts, size=rows.shape)
        drawn += n_prompts * np.arange(len(rows))[:, None]
        rows[:] = np.bincount(drawn.ravel(), minlength=rows.size).reshape(rows.shape)
    return counts


def percentile_interval(values: FloatArray, level: float = 0.95) -> tuple[float, float]:
    """The central `level` interval of resampled values (percentile method); NaN resamples are left out."""
    tail = (1 - level) / 2
    lower, upper = np.nanquantile(values, [tail, 1 - tail])
    return float(lower), float(upper)


def score_interval(scores: FloatArray, n_prompts: int) -> tuple[float, float]:
    """95 % interval of a score in per cent from its values on resampled prompts.

    It ends at 0 and 100, which the draw of few training seeds might pass. Where the score is 0, or 100, on all of them,
    the prompts agree, and resampling cannot show that others might not: the exact binomial interval of `n_prompts`
    alike outcomes stands in for it (Clopper and Pearson 1934).
    """
    lower, upper = percentile_interval(scores)
    excluded = 100 * (1 - 0.025 ** (1 / n_prompts))
    if lower == upper == 0:
        return 0.0, excluded
    if lower == upper == 100:
        return 100 - excluded, 100.0
    return max(0.0, lower), min(100.0, upper)


def two_sided_p_value(differences: FloatArray) -> float:
    """Bootstrap p-value of "no difference" from resampled differences (Efron and Tibshirani 1993, section 15.4, 16.4).

    p = min(1, 2 · (1 + min(#{d ≤ 0}, #{d ≥ 0})) / (1 + resamples)), which is never 0: with B resamples nothing smaller
    than 2/(B + 1) can be claimed. p < 0.05 implies that the 95 % percentile interval excludes 0.
    """
    not_above, not_below = np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0)
    return float(min(1.0, 2 * (1 + min(not_above, not_below)) / (1 + len(differences))))


def training_seed_variance(values: FloatArray) -> float:
    """Variance of the mean over training seeds by their draw, from `values` [training seeds, resamples of prompts].

    Seeds also differ on a finite set of prompts because each answers every prompt in its own way and is judged with its
    own noise. That much is in the draw of prompts already and is subtracted (method of moments); what is left, cut at
    0, is how their scores would differ on endlessly many prompts.
    """
    n_seeds = len(values)
    values = values[:, ~np.isnan(values).any(axis=0)]
    between = float(values.mean(axis=1).var(ddof=1))
    by_prompts = float((values - values.mean(axis=0)).var(axis=1, ddof=1).sum()) / (n_seeds - 1)
    return max(0.0, between - by_prompts) / n_seeds


def resample_training_seeds(values: FloatArray, seed: int) -> FloatArray:
    """Mean over training seeds of `values` [training seeds, resamples of prompts], with the draw of seeds added.

    Two or three seeds are too few to be resampled themselves. Added is Student's t with one degree of freedom less than
    there are seeds, times the standard error of `training_seed_variance`: for a score without any variation between
    prompts, the percentile interval is the t interval of the mean over seeds. Values of opposite sign give results of
    opposite sign. One training seed says nothing about the variation between seeds: its values are returned unchanged.
    """
    n_seeds, resamples = values.shape
    if n_seeds == 1:
        return values[0]
    mean: FloatArray = values.mean(axis=0)
    variance = training_seed_variance(values)
    if variance == 0:
        return mean
    scores = np.nanmean(values, axis=1)
    deviations = scores - scores.mean()
    rng = np.random.default_rng([seed, n_seeds])
    normal = rng.normal(size=(resamples, n_seeds)) @ (deviations / np.linalg.norm(deviations))
    student = normal / np.sqrt(rng.chisquare(n_seeds - 1, size=resamples) / (n_seeds - 1))
    drawn: FloatArray = mean + np.sqrt(variance) * student
    return drawn


def bootstrap_interval(
    statistics: Sequence[Statistic], n_prompts: int, *, resamples: int, seed: int
) -> tuple[float, float]:
    """95 % interval of the mean of `statistics`, one for each training seed, all on the same `n_prompts` prompts.

    Prompts are resampled once for all training seeds; with more than one, the draw of seeds is added.
    """
    counts = resample_counts(n_prompts, resamples, seed)
    values = np.stack([statistic.resample(counts) for statistic in statistics])
    return score_interval(resample_training_seeds(values, seed), n_prompts)

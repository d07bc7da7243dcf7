"""The components of a score's uncertainty: the draw of prompts, the judge's own noise, the draw of training seeds.

For scores x of training seed s, prompt p and repeated verdict r the model is that of a crossed analysis of variance
(Searle, Casella and McCulloch 1992, "Variance Components", chapter 4),

    x = mean + prompt + seed + (prompt and seed) + noise,

and the parts are found by the method of moments. Scores that are no means over prompts (length-controlled win rate,
Bradley-Terry) have no x of a single prompt. What stands in for it is how scores move together when prompts are
resampled: in the difference between two repeats on the same resampled prompts, all that belongs to prompt and seed
cancels, and its variance over resamples is that of the judge's noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evals.stats.bootstrap import FloatArray, Statistic, resampled


@dataclass(frozen=True)
class UncertaintyComponents:
    """Standard errors of a score's mean over training seeds and repeats, in the score's unit (points).

    `prompts`: other prompts of the same kind; with one verdict a prompt and order the judge's noise is in it.
    `judge`: other verdicts on the same answers; None without repeats.
    `training_seeds`: other training runs, measured on endlessly many prompts; None with one training seed.
    `total`: all of them, as the root of the sum of squares.
    """

    prompts: float
    judge: float | None
    training_seeds: float | None
    total: float


def uncertainty_components(
    statistics: Sequence[Sequence[Statistic]], n_prompts: int, *, resamples: int, seed: int = 0
) -> UncertaintyComponents:
    """Take apart the uncertainty of the mean of `statistics` [training seeds][repeats].

    Each statistic is the score of one training seed by one whole set of verdicts (the r-th verdict on every prompt and
    order), all on the same `n_prompts` prompts, all seeds with equally many repeats. Parts that come out negative,
    as differences of estimates do when a part is small, are 0.
    """
    of_all = resampled([each for repeats in statistics for each in repeats], n_prompts, resamples, seed)
    values = of_all.reshape(len(statistics), len(statistics[0]), resamples)
    values = values[:, :, ~np.isnan(values).any(axis=(0, 1))]
    judge = _judge_variance(values)
    seeds = training_seed_variance(values.mean(axis=1)) if len(values) > 1 else None
    prompts = max(0.0, float(values.mean(axis=(0, 1)).var(ddof=1)) - (judge or 0.0))
    return UncertaintyComponents(
        prompts=float(np.sqrt(prompts)),
        judge=None if judge is None else float(np.sqrt(judge)),
        training_seeds=None if seeds is None else float(np.sqrt(seeds)),
        total=float(np.sqrt(prompts + (judge or 0.0) + (seeds or 0.0))),
    )


def training_seed_variance(values: FloatArray) -> float:
    """Estimate the variance of the mean over training seeds by their draw, of `values` [training seeds, resamples].

    Seeds also differ on a finite set of prompts because each answers every prompt in its own way and is judged with its
    own noise. That much is in the draw of prompts already and is subtracted (method of moments); what is left, cut at
    0, is how their scores would differ on endlessly many prompts. It describes; no test rests on it.
    """
    n_seeds = len(values)
    values = values[:, ~np.isnan(values).any(axis=0)]
    between = float(values.mean(axis=1).var(ddof=1))
    by_prompts = float((values - values.mean(axis=0)).var(axis=1, ddof=1).sum()) / (n_seeds - 1)
    return max(0.0, between - by_prompts) / n_seeds


def _judge_variance(values: FloatArray) -> float | None:
    """Return the variance of the mean score by judge noise, from values [training seeds, repeats, resamples]."""
    n_seeds, n_repeats, _ = values.shape
    if n_repeats == 1:
        return None
    deviations = values - values.mean(axis=1, keepdims=True)
    of_one_repeat = deviations.var(axis=2, ddof=1).sum(axis=1) / (n_repeats - 1)
    return float(of_one_repeat.mean()) / (n_seeds * n_repeats)

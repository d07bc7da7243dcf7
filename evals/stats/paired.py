"""Paired comparison of two models on the same prompts: is the difference more than the draw of prompts?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evals.stats.bootstrap import (
    FloatArray,
    Statistic,
    percentile_interval,
    resample_counts,
    resample_training_seeds,
    training_seed_variance,
    two_sided_p_value,
)
from evals.stats.power import SIGNIFICANCE, minimum_detectable_effect, prompts_needed


@dataclass(frozen=True)
class PairedDifference:
    """First model minus second: the difference in the statistic's unit, its 95 % interval, p-value and verdict.

    `prompt_error` and `seed_error` are the difference's standard errors by the draw of prompts (judge noise included)
    and of training seeds. `minimum_detectable_effect` is the true difference that such a comparison decides in 80 % of
    repeats, None where they all say the same. `n_needed` is how many prompts would decide one of the observed size in
    80 % of repeats; None where no number of prompts would or none can be told (see `evals.stats.power`).
    """

    difference: float
    ci95: tuple[float, float]
    p_value: float
    verdict: Literal["better", "worse", "undecided"]
    prompt_error: float
    seed_error: float
    minimum_detectable_effect: float | None
    n_needed: int | None


def paired_difference(
    first: Sequence[Statistic], second: Sequence[Statistic], n_prompts: int, *, resamples: int = 1000, seed: int = 0
) -> PairedDifference:
    """Compare the mean of `first` with the mean of `second`, one statistic a training seed, by a clustered bootstrap.

    All statistics must be on the same prompt axis of length `n_prompts`: both models see the same resampled prompts, so
    that what makes a prompt hard or easy for both cancels. Equal numbers of training seeds are taken as pairs (the k-th
    of each share data and initialisation); otherwise each model's are drawn apart. The verdict is "better" or "worse"
    when the two-sided bootstrap p-value is below 0.05. Exchanging the models changes the sign and nothing else.
    """
    counts = resample_counts(n_prompts, resamples, seed)
    first_values = np.stack([statistic.resample(counts) for statistic in first])
    second_values = np.stack([statistic.resample(counts) for statistic in second])
    # Each source has training seeds of its own to draw.
    sources = [first_values - second_values] if len(first) == len(second) else [first_values, -second_values]
    differences = np.sum([resample_training_seeds(values, seed) for values in sources], axis=0)
    differences = differences[~np.isnan(differences)]
    value = _mean(first) - _mean(second)
    p_value = two_sided_p_value(differences)
    prompt_error = float(np.nanstd(first_values.mean(axis=0) - second_values.mean(axis=0)))
    seed_error = math.sqrt(sum(training_seed_variance(values) for values in sources if len(values) > 1))
    return PairedDifference(
        difference=value,
        ci95=percentile_interval(differences),
        p_value=p_value,
        verdict=_verdict(differences, p_value),
        prompt_error=prompt_error,
        seed_error=seed_error,
        minimum_detectable_effect=minimum_detectable_effect(math.hypot(prompt_error, seed_error)),
        n_needed=prompts_needed(value, n_prompts, prompt_error=prompt_error, seed_error=seed_error),
    )


def _mean(statistics: Sequence[Statistic]) -> float:
    return sum(statistic.value for statistic in statistics) / len(statistics)


def _verdict(differences: FloatArray, p_value: float) -> Literal["better", "worse", "undecided"]:
    if p_value >= SIGNIFICANCE:
        return "undecided"
    return "better" if float(np.median(differences)) > 0 else "worse"

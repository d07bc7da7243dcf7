"""The power of an undecided comparison, and what would decide it: more prompts, or more training seeds.

By the t quantiles of the very test that is undecided, at its own level (Cohen 1988, "Statistical Power Analysis",
chapter 2; for evaluations: Card et al. 2020, "With Little Power Comes Great Responsibility"; Miller 2024, "Adding Error
Bars to Evals", section 5).
"""

import math
from bisect import bisect_left
from dataclasses import dataclass
from statistics import NormalDist

from scipy import stats

from evals.stats.comparison import PairedDifference, TTest
from evals.stats.multiplicity import SIGNIFICANCE

POWER = 0.8
MAX_SEEDS, MAX_PROMPTS = 1000, 1_000_000
"""More than anybody would train, and judge."""


def detectable(significance: float, degrees_of_freedom: float) -> float:
    """Return the true difference, in standard errors, that a two-sided t test decides in 80 % of repeats.

    By the normal approximation to noncentral t (Abramowitz and Stegun 1964, "Handbook of Mathematical Functions",
    26.7.10), whose power is within 0.02 of that. It takes in that the standard error is itself an estimate. It is never
    below the test's own quantile: a larger difference is decided.
    """
    limit = float(stats.t.isf(significance / 2, degrees_of_freedom))
    spread = math.sqrt(1 + limit * limit / (2 * degrees_of_freedom))
    return max(limit, limit * (1 - 1 / (4 * degrees_of_freedom)) + NormalDist().inv_cdf(POWER) * spread)


@dataclass(frozen=True, slots=True)
class Power:
    """The power of an undecided test, and what would decide a difference of the size observed.

    `minimum_detectable_effect` is the true difference that the test decides in 80 % of repeats, in the score's unit;
    None where nothing varies, and where it is the sign test that sets the p-value, of whose power nothing is told.
    `prompts_needed` and `seeds_needed` (a side) are what would decide the observed one in 80 % of repeats with the
    other as it is: more than there were, or None where no number would do or none can be told.
    """

    minimum_detectable_effect: float | None
    prompts_needed: int | None
    seeds_needed: int | None
    needed: str
    """The smaller of both, as a multiple of what there was: ``2,500 prompts``, ``9 seeds``; empty where none can be
    told."""


def power(difference: PairedDifference, test: TTest, significance: float = SIGNIFICANCE) -> Power:
    """Work out, by the quantiles of `test` itself at `significance`, what it could have found.

    A test that is undecided at `significance` has an effect above the observed difference, and needs more than it had.
    """
    if not test.standard_error or test.is_bounded:
        return Power(None, None, None, "")
    effect = detectable(significance, test.degrees_of_freedom) * test.standard_error
    is_undecided = test.p_value >= significance
    assert not is_undecided or abs(difference.difference) <= effect * (1 + 1e-9), "undecided above what is detectable"
    prompts = _prompts_needed(difference, test, effect)
    seeds = _seeds_needed(difference, test, significance)
    return Power(effect, prompts, seeds, _needed(difference, prompts, seeds))


def _needed(difference: PairedDifference, prompts: int | None, seeds: int | None) -> str:
    if not difference.difference:
        return ""
    n_seeds = min(side.n_seeds for side in difference.sides)
    if prompts and (not seeds or prompts / difference.n_prompts <= seeds / n_seeds):
        return f"{prompts:,} prompts" if prompts <= MAX_PROMPTS else f"> {MAX_PROMPTS:,} prompts"
    return f"{seeds:,} seeds" if seeds else "more prompts and seeds"


def _prompts_needed(difference: PairedDifference, test: TTest, effect: float) -> int | None:
    """Find how many prompts decide it: their part of the variance falls with their number, the rest stays."""
    total = test.standard_error**2
    by_prompts = min(total, difference.by_prompts)
    wanted = total * (difference.difference / effect) ** 2
    left = wanted - (total - by_prompts)
    if left <= 0 or not by_prompts:
        return None
    needed = difference.n_prompts * by_prompts / left
    return max(difference.n_prompts + 1, math.ceil(needed)) if math.isfinite(needed) else None


def _seeds_needed(difference: PairedDifference, test: TTest, significance: float) -> int | None:
    """Find how many training seeds decide it: with more, their part of the variance falls, and is known better."""
    if not difference.difference or not difference.covers_training_seeds:
        return None
    had = min(side.n_seeds for side in difference.sides)
    by_seeds = test.standard_error**2 - difference.prompts_alone

    def decides(n_seeds: int) -> bool:
        error = math.sqrt(by_seeds * had / n_seeds + difference.prompts_alone)
        freedom = test.degrees_of_freedom * (n_seeds - 1) / max(1, had - 1)
        return detectable(significance, freedom) * error <= abs(difference.difference)

    numbers = range(had + 1, MAX_SEEDS + 1)
    place = bisect_left(numbers, True, key=decides)
    return numbers[place] if place < len(numbers) else None

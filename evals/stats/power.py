"""What a paired comparison could have found: its minimum detectable effect, and the prompts that a decision takes.

Both take the difference's estimate as normal with the standard error that the bootstrap found, in a two-sided test at
5 %, or at what a family of tests leaves to it (Cohen 1988, "Statistical Power Analysis", chapter 2; for evaluations:
Card et al. 2020, "With Little Power Comes Great Responsibility"; Miller 2024, "Adding Error Bars to Evals", section 5).
With two or three training seeds that differ much this is optimistic, since their spread is then hardly known.
"""

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

SIGNIFICANCE = 0.05
POWER = 0.8


def minimum_detectable_effect(standard_error: float, significance: float = SIGNIFICANCE) -> float | None:
    """The true difference that a comparison with this standard error decides in 80 % of repeats; in the same unit.

    None for an error of 0: prompts that all say the same do not tell how far others would differ.
    """
    return _standard_errors(significance) * standard_error if standard_error else None


def prompts_needed(
    difference: float,
    n_prompts: int,
    *,
    prompt_error: float,
    seed_error: float = 0.0,
    significance: float = SIGNIFICANCE,
) -> int | None:
    """How many prompts decide a true difference of this size in 80 % of repeats.

    `prompt_error` is the standard error from the draw of `n_prompts` prompts, judge noise included; it is taken to
    shrink with the square root of their number, so further prompts must be like those seen. `seed_error`, from the draw
    of training seeds, does not shrink with prompts. None for no difference, for a `prompt_error` of 0, of which nothing
    can be told, and where the training seeds alone leave too much open: then more prompts do not help, more training
    seeds do.
    """
    if not prompt_error:
        return None
    left_for_prompts = (difference / _standard_errors(significance)) ** 2 - seed_error**2
    if left_for_prompts <= 0:
        return None
    needed = n_prompts * prompt_error**2 / left_for_prompts
    return math.ceil(needed) if math.isfinite(needed) else None


def power(comparison: Mapping[str, Any], significance: float) -> dict[str, Any]:
    """`minimum_detectable_effect` and `n_needed` of a paired comparison, when it is tested at `significance`.

    Of the comparison its `difference`, `n_prompts`, `prompt_error` and `seed_error` are read.
    """
    errors = {name: comparison[name] for name in ("prompt_error", "seed_error")}
    needed = prompts_needed(comparison["difference"], comparison["n_prompts"], **errors, significance=significance)
    return {
        "minimum_detectable_effect": minimum_detectable_effect(math.hypot(*errors.values()), significance),
        "n_needed": needed,
    }


def _standard_errors(significance: float) -> float:
    """How many standard errors a difference must be to be decided in 80 % of repeats: 2.80 at 5 %."""
    return NormalDist().inv_cdf(1 - significance / 2) + NormalDist().inv_cdf(POWER)

"""What all judged evaluations say alike: intervals, scores over training seeds, comparisons, parts of the uncertainty.

Every metric comes as a `Statistic` on the same prompts; the results are JSON values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evals.stats.bootstrap import Statistic
    from evals.stats.comparison import PairedDifference


@dataclass(frozen=True)
class SharedPrompts:
    """A metric of several sets of verdicts as `statistics`, all on the `n_prompts` prompts that every set has verdicts
    on. Where these are too few there are no statistics, and `withheld` says why.
    """

    statistics: tuple[Statistic, ...]
    n_prompts: int
    withheld: str | None = None


def intervals(
    statistics: Mapping[str, Statistic], n_prompts: int, *, resamples: int, seed: int
) -> dict[str, list[float] | None]:
    """95 % interval of each score by a bootstrap over prompts; None for a single prompt.

    Raises ValueError where there is no prompt.
    """
    from evals.stats.bootstrap import resampled, score_interval

    if n_prompts == 1:
        return dict.fromkeys(statistics)
    values = resampled(list(statistics.values()), n_prompts, resamples, seed)
    return {name: list(score_interval(each, n_prompts)) for name, each in zip(statistics, values, strict=True)}


def over_training_seeds(
    statistics: Mapping[str, Sequence[Statistic]],
    n_prompts: int,
    *,
    asked: int,
    missing: Sequence[int],
    withheld: str | None,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Scores of one method trained with several seeds: `per_seed` (lists), `mean` and `ci95`, each by metric.

    `statistics` holds one a training seed; a metric without any is None, as all are where `withheld` says why. The
    interval is that of the mean, over prompts and, with more than one training seed, over training seeds
    (`comparison.mean_interval`). Of each seed `asked` verdicts were wanted, and
    `missing` (by seed) are not there: `n_asked` and `n_missing` add up.
    """
    from evals.stats.comparison import mean_interval

    shown = {metric: each for metric, each in statistics.items() if each and not withheld}
    per_seed = {metric: [statistic.value for statistic in each] for metric, each in shown.items()}
    mean = {metric: sum(values) / len(values) for metric, values in per_seed.items()}
    ci95 = {
        metric: list(mean_interval(each, n_prompts, resamples=resamples, seed=seed)) for metric, each in shown.items()
    }
    none = dict.fromkeys(statistics)
    return {
        "per_seed": {**none, **per_seed},
        "mean": {**none, **mean},
        "ci95": {**none, **ci95},
        "n_training_seeds": len(missing),
        "n_asked": asked * len(missing),
        "n_missing": sum(missing),
        "withheld": withheld,
        "resamples": resamples,
        "seed": seed,
    }


def comparison(
    metric: str,
    first: Sequence[Statistic],
    second: Sequence[Statistic] | float,
    n_prompts: int,
    *,
    resamples: int,
    seed: int,
    least_p_value: float = 0.0,
) -> dict[str, Any]:
    """The difference of two methods, one statistic a training seed, or of a method and a constant, by itself.

    `difference`, `ci95` and `p_value` are of this comparison alone; `measured` holds the `PairedDifference` that a
    family of comparisons is tested from (`measured_difference`).
    """
    from evals.stats.comparison import interval, paired_difference, welch_test

    measured = paired_difference(first, second, n_prompts, resamples=resamples, seed=seed)
    measured = replace(measured, least_p_value=least_p_value)
    return {
        "metric": metric,
        "difference": measured.difference,
        "ci95": list(interval(measured)),
        "p_value": welch_test(measured).p_value,
        "n_prompts": n_prompts,
        "measured": asdict(measured),
        "resamples": resamples,
        "seed": seed,
    }


def measured_difference(result: Mapping[str, Any]) -> PairedDifference:
    """The `PairedDifference` of what `comparison` returned."""
    from evals.stats.comparison import PairedDifference, SeedSpread

    measured = dict(result["measured"])
    second = measured.pop("second")
    return PairedDifference(
        **{**measured, "first": SeedSpread(**measured["first"])}, second=SeedSpread(**second) if second else None
    )


def no_comparison(metric: str, reason: str, n_prompts: int) -> dict[str, Any]:
    """What stands in the place of a comparison that is `withheld` for a reason."""
    return {"metric": metric, "withheld": reason, "n_prompts": n_prompts}


def has_parts(sets: Sequence[Sequence[Any]]) -> bool:
    """Whether the uncertainty of sets of verdicts [training seeds][repeats] can be taken apart: not that of one set."""
    return len(sets) > 1 or len(sets[0]) > 1


def uncertainty(
    statistics: Mapping[str, Sequence[Sequence[Statistic]]], n_prompts: int, *, resamples: int, seed: int
) -> dict[str, Any]:
    """`UncertaintyComponents` by metric, in points, from statistics [training seeds][repeats]."""
    from evals.stats.noise import uncertainty_components

    return {
        metric: asdict(uncertainty_components(nested, n_prompts, resamples=resamples, seed=seed))
        for metric, nested in statistics.items()
    }

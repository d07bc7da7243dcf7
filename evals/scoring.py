"""The scores and comparisons of all benchmarks: over training seeds, on shared items, withheld where too few are there.

What a benchmark adds is its `ItemResults`: each metric as a `Statistic` on items. The results are JSON values. Failed
and absent results are counted, never scored.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from evals.base import RESAMPLES, ItemResults, Metric
from evals.withholding import ASK_AGAIN, comparison_withheld, withheld
from harness.errors import unknown

if TYPE_CHECKING:
    from evals.stats.bootstrap import FloatArray, Statistic
    from evals.stats.comparison import PairedDifference
    from harness.engine.output import Output

# Items


def shared_items(sets: Sequence[ItemResults]) -> list[Any]:
    """Return the items that every set has a result on, sorted."""
    return sorted(set.intersection(*(set(each.items) for each in sets)))


def all_items(sets: Sequence[ItemResults]) -> list[Any]:
    """Return the items that any set has a result on, sorted."""
    return sorted({item for each in sets for item in each.items})


def fewest(sets: Sequence[ItemResults]) -> ItemResults:
    """Return the set with the fewest results."""
    return min(sets, key=lambda each: each.n_results)


# One set, and one a training seed


def intervals(
    statistics: Mapping[Metric, Statistic], n_items: int, *, resamples: int, seed: int = 0
) -> dict[str, list[float] | None]:
    """Return the 95 % interval of each score, by name, by a bootstrap over items; None for a single item.

    Raises ValueError where there is no item.
    """
    from evals.stats.bootstrap import resampled

    if n_items == 1:
        return {metric.name: None for metric in statistics}
    values = resampled(list(statistics.values()), n_items, resamples, seed)
    of = zip(statistics, values, strict=True)
    return {metric.name: resampled_interval(metric, each, n_items) for metric, each in of}


def resampled_interval(metric: Metric, values: FloatArray, n_items: int) -> list[float]:
    """Return the 95 % interval of a score from its values on resampled items [resamples]."""
    from evals.stats.bootstrap import percentile_interval, score_interval

    return list(score_interval(values, n_items) if metric.is_share else percentile_interval(values))


def score(
    sets: Sequence[ItemResults],
    *,
    asked: int,
    items: Sequence[Any] | None = None,
    metrics: Sequence[Metric] = (),
    allow_missing: bool = False,
    mend: str = ASK_AGAIN,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Score one method, one set of results a training seed: `per_seed` (lists), `mean` and `ci95`, each by metric.

    `asked` results are wanted of each seed. Below 99 % of them in one seed all is None and `withheld` says why, unless
    `allow_missing`; a metric that a benchmark withholds by itself is None. The interval is that of the mean, over items
    and, with more than one training seed, over training seeds. Statistics are on `items`, by default those that all
    sets share, and of `metrics`, by default all. `n_asked` and `n_missing` add up over the seeds.
    """
    items = shared_items(sets) if items is None else items
    metrics = metrics or sets[0].metrics
    missing = [asked - each.n_results for each in sets]
    too_few = withheld(asked - max(missing), asked, allow_missing=allow_missing, mend=mend)
    nested = {} if too_few or not items else _statistics([sets], items, metrics, allow_missing)
    by_metric = {metric: statistics for metric, [statistics] in nested.items()}
    none = {metric.name: None for metric in metrics}
    per_seed = {metric.name: [each.value for each in of] for metric, of in by_metric.items()}
    ci95 = {metric.name: _mean_interval(metric, of, len(items), resamples, seed) for metric, of in by_metric.items()}
    return {
        "per_seed": {**none, **per_seed},
        "mean": {**none, **{name: sum(values) / len(values) for name, values in per_seed.items()}},
        "ci95": {**none, **ci95},
        "n_training_seeds": len(sets),
        "n_asked": asked * len(sets),
        "n_missing": sum(missing),
        "withheld": too_few,
        "resamples": resamples,
        "seed": seed,
    }


def score_one(results: ItemResults, **rules: Any) -> dict[str, Any]:
    """Score one set of results, by the rules of `score`: each metric by its name, `ci95` by metric, the counts.

    One item alone has no interval.
    """
    scores = score([results], **rules)
    ci95 = scores["ci95"] if len(results.items) > 1 else dict.fromkeys(scores["ci95"])
    counts = {name: scores[name] for name in ("n_asked", "n_missing", "withheld", "resamples", "seed")}
    return {**scores["mean"], "ci95": ci95, **counts}


def _statistics(
    nested: Sequence[Sequence[ItemResults]], items: Sequence[Any], metrics: Sequence[Metric], allow_missing: bool
) -> dict[Metric, list[list[Statistic]]]:
    """Compute each metric as statistics, nested as the sets are; none of one that the set with the fewest results
    withholds."""
    least = fewest([each for sets in nested for each in sets])
    return {
        metric: [[each.statistic(metric.name, items) for each in sets] for sets in nested]
        for metric in metrics
        if not least.withheld(metric.name, least.items, allow_missing=allow_missing)
    }


def _mean_interval(metric: Metric, of: Sequence[Statistic], n_items: int, resamples: int, seed: int) -> list[float]:
    """Return the 95 % interval of the mean of statistics, one a training seed."""
    from evals.stats.bootstrap import resampled
    from evals.stats.comparison import interval, mean_interval, paired_difference

    if metric.is_share:
        return list(mean_interval(of, n_items, resamples=resamples, seed=seed))
    if len(of) == 1:
        return resampled_interval(metric, resampled(of, n_items, resamples, seed)[0], n_items)
    return list(interval(paired_difference(of, 0.0, n_items, resamples=resamples, seed=seed)))


def uncertainty(
    sets: Sequence[Sequence[ItemResults]],
    *,
    items: Sequence[Any] | None = None,
    metrics: Sequence[Metric] = (),
    allow_missing: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Split each metric's uncertainty into its components: `UncertaintyComponents` by metric, in its unit.

    `sets` [training seeds][repeats]. Empty for one set, whose uncertainty has no parts, and where there is no item.
    """
    from evals.stats.noise import uncertainty_components

    flat = [each for repeats in sets for each in repeats]
    items = shared_items(flat) if items is None else items
    if len(flat) == 1 or not items:
        return {}
    statistics = _statistics(sets, items, metrics or flat[0].metrics, allow_missing)
    return {
        metric.name: asdict(uncertainty_components(nested, len(items), resamples=resamples, seed=seed))
        for metric, nested in statistics.items()
    }


# Comparing


@dataclass(frozen=True)
class SharedItems:
    """A metric of several sets of results as `statistics`, all on the `n_items` items that every set has a result on.
    Where these are too few there are no statistics, and `withheld` says why.
    """

    statistics: tuple[Statistic, ...]
    n_items: int
    withheld: str | None = None


def on_shared_items(sets: Sequence[ItemResults], metric: str, *, allow_missing: bool | None = False) -> SharedItems:
    """Return the metric of every set, on the items that all have a result on.

    Withheld where these are less than 99 % of what a set has, unless `allow_missing`, which is None where nobody can
    choose it. Raises UserError for an unknown metric.
    """
    _metric(sets, metric)
    items = shared_items(sets)
    reason = comparison_withheld(len(items), max(len(each.items) for each in sets), allow_missing)
    reason = reason or sets[0].withheld(metric, items, allow_missing=bool(allow_missing))
    if reason:
        return SharedItems((), len(items), reason)
    return SharedItems(tuple(each.statistic(metric, items) for each in sets), len(items))


def better_is_more(shared: SharedItems, sets: Sequence[ItemResults], metric: str) -> SharedItems:
    """Return the statistics as they are, or, of a metric of which less is better, with the opposite sign."""
    if _metric(sets, metric).higher_is_better:
        return shared
    return replace(shared, statistics=tuple(map(_opposite, shared.statistics)))


def _opposite(statistic: Statistic) -> Statistic:
    return replace(statistic, value=-statistic.value, resample=lambda counts: -statistic.resample(counts))


def compare(
    first: Sequence[ItemResults],
    second: Sequence[ItemResults],
    metric: str,
    *,
    allow_missing: bool | None = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare two methods, one set of results a training seed, as `comparison` gives it.

    `difference` is positive where the first is better: first minus second, or, of a metric of which less is better,
    second minus first. `withheld` says why there is none (`on_shared_items`). Raises UserError for an unknown metric.
    """
    shared = on_shared_items([*first, *second], metric, allow_missing=allow_missing)
    of = _metric(first, metric)
    unit = {} if of.is_share else {"unit": of.unit}
    if shared.withheld:
        return no_comparison(metric, shared.withheld, shared.n_items) | unit
    sides = shared.statistics[: len(first)], shared.statistics[len(first) :]
    more, less = sides if of.higher_is_better else reversed(sides)
    return comparison(metric, more, less, shared.n_items, resamples=resamples, seed=seed) | unit


def compare_within_seeds(
    first: Sequence[ItemResults],
    second: Sequence[ItemResults],
    metric: str,
    *,
    allow_missing: bool | None = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare two sets of results of the same training seeds, one of each a seed, as `comparison` gives it.

    For what is done with one checkpoint in two ways: what the draw of the training seed does to both cancels in the
    difference within it, so that these differences, and not each side's scores, spread over training seeds. Otherwise
    as `compare`.
    """
    shared = better_is_more(on_shared_items([*first, *second], metric, allow_missing=allow_missing), first, metric)
    if shared.withheld:
        return no_comparison(metric, shared.withheld, shared.n_items)
    sides = zip(shared.statistics[: len(first)], shared.statistics[len(first) :], strict=True)
    differences = [_difference(*both) for both in sides]
    return comparison(metric, differences, 0.0, shared.n_items, resamples=resamples, seed=seed)


def _difference(first: Statistic, second: Statistic) -> Statistic:
    return replace(
        first,
        value=first.value - second.value,
        resample=lambda counts: first.resample(counts) - second.resample(counts),
    )


def _metric(sets: Sequence[ItemResults], name: str) -> Metric:
    known = {metric.name: metric for metric in sets[0].metrics}
    if name not in known:
        raise unknown("metric", name, known)
    return known[name]


def write_comparison(
    out: Output,
    first: Sequence[ItemResults],
    second: Sequence[ItemResults],
    metrics: Sequence[Metric],
    *,
    allow_missing: bool | None,
    resamples: int,
    within_seeds: bool = False,
) -> None:
    """Write `comparison.json`: by metric, what `compare` gives of two methods, or else `compare_within_seeds`."""
    rules: dict[str, Any] = {"allow_missing": allow_missing, "resamples": resamples}
    compared = compare_within_seeds if within_seeds else compare
    out.write_json("comparison.json", {each.name: compared(first, second, each.name, **rules) for each in metrics})


def comparison(
    metric: str,
    first: Sequence[Statistic],
    second: Sequence[Statistic] | float,
    n_items: int,
    *,
    resamples: int,
    seed: int,
    least_p_value: float = 0.0,
) -> dict[str, Any]:
    """Return the difference of two methods, one statistic a training seed, or of a method and a constant, by itself.

    `difference`, `ci95` and `p_value` are of this comparison alone; `measured` holds the `PairedDifference` that a
    family of comparisons is tested from (`measured_difference`).
    """
    from evals.stats.comparison import interval, paired_difference, welch_test

    measured = paired_difference(first, second, n_items, resamples=resamples, seed=seed)
    measured = replace(measured, least_p_value=least_p_value)
    return {
        "metric": metric,
        "difference": measured.difference,
        "ci95": list(interval(measured)),
        "p_value": welch_test(measured).p_value,
        "n_prompts": n_items,
        "measured": asdict(measured),
        "resamples": resamples,
        "seed": seed,
    }


def no_comparison(metric: str, reason: str, n_items: int) -> dict[str, Any]:
    """Return the record in the place of a comparison that is `withheld` for a reason."""
    return {"metric": metric, "withheld": reason, "n_prompts": n_items}


def measured_difference(result: Mapping[str, Any]) -> PairedDifference:
    """Return the `PairedDifference` of what `comparison` returned."""
    from evals.stats.comparison import PairedDifference, SeedSpread

    measured = dict(result["measured"])
    second = measured.pop("second")
    return PairedDifference(
        **{**measured, "first": SeedSpread(**measured["first"])}, second=SeedSpread(**second) if second else None
    )


# Deciding


def decide(comparisons: Sequence[dict[str, Any]], cells: Sequence[tuple[Hashable, ...]]) -> int:
    """Give each result of `comparison` that is not withheld its test and verdict in the family; return how many these
    are.

    `cells` names the two sides of each, first and second, so that what all comparisons tell of one counts once. Added
    are `p_value` of the test in the family, `p_holm`, `verdict` ("better", "worse" or "undecided", of the first, at
    5 %), and of an undecided one its `Power`.
    """
    from evals.stats.comparison import family_tests
    from evals.stats.multiplicity import SIGNIFICANCE, holm, level_left
    from evals.stats.power import power

    family = [(each, names) for each, names in zip(comparisons, cells, strict=True) if "withheld" not in each]
    differences = [measured_difference(each) for each, _ in family]
    tests = family_tests(differences, [names for _, names in family])
    adjusted = holm([test.p_value for test in tests])
    level = level_left(adjusted)
    for (comparison, _), difference, test, p_holm in zip(family, differences, tests, adjusted, strict=True):
        for internal in ("measured", "metric", "resamples", "seed"):
            del comparison[internal]
        verdict = "undecided" if p_holm >= SIGNIFICANCE else "better" if difference.difference > 0 else "worse"
        comparison |= {"p_value": test.p_value, "p_holm": p_holm, "verdict": verdict}
        if verdict == "undecided":
            comparison |= asdict(power(difference, test, level))
    return len(family)

"""Rankings of many models by one metric, on the prompts that they share."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evals import scoring
from evals.base import RESAMPLES, ItemResults, Metric
from evals.withholding import is_whole
from harness.results.leaderboard import RankedModel, Ranking


def usual_items(sets: Iterable[ItemResults]) -> list[Any]:
    """Return the items on which at least half of the sets have a result, sorted."""
    held = [set(each.items) for each in sets]
    counts = Counter(item for items in held for item in items)
    return sorted(item for item, count in counts.items() if 2 * count >= len(held))


def departs(results: ItemResults, items: Sequence[Any]) -> str:
    """Say how a set's items are others than `items`; "" where 99 % of either are the same."""
    own = set(results.items)
    shared = len(own.intersection(items))
    if not is_whole(shared, len(items)):
        return f"judged on {shared} of the {len(items)} prompts of the others"
    if not is_whole(shared, len(own)):
        return f"judged on {len(own) - shared} prompts that the others are not"
    return ""


def ranking(models: Mapping[str, ItemResults], items: Sequence[Any], metric: Metric, seed: int = 0) -> Ranking:
    """Rank models by a metric on `items`, the best first, with rank intervals over all of them at once.

    Needs two models and two items. A model scores on those items that it has a result on.
    """
    import numpy as np

    from evals.stats.bootstrap import resampled
    from evals.stats.ranks import alike_runs, rank_intervals

    statistics = [results.quick_statistic(metric.name, items) for results in models.values()]
    values = resampled(statistics, len(items), RESAMPLES, seed)
    scores = np.array([statistic.value for statistic in statistics])
    sign = 1 if metric.higher_is_better else -1
    ranks = rank_intervals(sign * scores, sign * values, len(items))
    names = list(models)
    order = np.array(sorted(range(len(names)), key=lambda at: (-sign * scores[at], names[at])))
    places = tuple(
        RankedModel(
            model=names[at],
            score=float(scores[at]),
            ci95=_pair(scoring.resampled_interval(metric, values[at], len(items))),
            rank=1 + int((sign * scores > sign * scores[at]).sum()),
            rank_ci95=(int(ranks.low[at]), int(ranks.high[at])),
        )
        for at in order
    )
    groups = tuple((first + 1, last + 1) for first, last in alike_runs(ranks.above, order))
    n_pairs = len(names) * (len(names) - 1) // 2
    return Ranking(metric.name, metric.unit, places, groups, int(ranks.above.sum()), n_pairs)


def _pair(ends: Sequence[float]) -> tuple[float, float]:
    low, high = ends
    return float(low), float(high)

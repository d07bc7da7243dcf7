"""Which of two sets of responses has less of something measured, such as edit distance: a test on the same prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evals import summaries
from evals.bench import RESAMPLES
from evals.completeness import REQUIRED_SHARE
from harness.engine.artifacts import Artifact, Output, step
from harness.errors import unknown
from harness.steps.edit_distance import EditDistance
from harness.steps.perplexity import Perplexity, measured

if TYPE_CHECKING:
    from evals.stats.bootstrap import Statistic

ByPrompt = Mapping[str, float]
"""The value of each prompt's response, by the prompt's id."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What is measured of each response, and in which unit."""

    unit: str
    read: Callable[[Artifact], dict[str, float]]


def _tokens(distances: Artifact) -> dict[str, float]:
    return {row.prompt_id: row.tokens for row in distances.rows(EditDistance)}


def _log_perplexity(perplexities: Artifact) -> dict[str, float]:
    """The mean negative log-likelihood of a token of each response, its closing token included."""
    return {id: row.nats_per_token for id, row in measured(perplexities.rows(Perplexity)).items()}


MEASURES = {"tokens": Measure("tokens", _tokens), "log_perplexity": Measure("nats", _log_perplexity)}
"""By the name of the metric: edit distance in tokens, log-perplexity in nats a token. Less of each is better."""


def measured_less(*, metric: str, better: Sequence[Artifact], worse: Sequence[Artifact]) -> Artifact:
    """`comparison.json` of two sets of measurements, one artifact a training seed: has `better` less?

    Raises UserError for an unknown metric.
    """
    if metric not in MEASURES:
        raise unknown("measure", metric, MEASURES)
    return compare_measurements(metric=metric, better=better, worse=worse, resamples=RESAMPLES)


@step(version=2)
def compare_measurements(
    out: Output, *, metric: str, better: Sequence[Artifact], worse: Sequence[Artifact], resamples: int
) -> None:
    """`comparison.json`: by how much the mean of `better` is less than that of `worse`, on the same prompts."""
    measure = MEASURES[metric]
    first, second = ([measure.read(artifact) for artifact in side] for side in (better, worse))
    result = compare_less(first, second, metric=metric, resamples=resamples)
    out.write_json("comparison.json", {metric: {**result, "unit": measure.unit}})


def compare_less(
    better: Sequence[ByPrompt], worse: Sequence[ByPrompt], *, metric: str, resamples: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Paired comparison of the means over prompts of two sets of values, one set a training seed, where less is better.

    `difference` is the mean of `worse` minus that of `better`, in the unit of the values; the other keys and their
    meaning are those of `summaries.comparison`, its first side being `worse`. On the prompts that all sets share;
    `withheld` says why where these are less than 99 % of a set.
    """
    sets = [*better, *worse]
    shared = sorted(set.intersection(*(set(values) for values in sets)))
    largest = max(map(len, sets))
    if not shared or len(shared) < REQUIRED_SHARE * largest:
        return summaries.no_comparison(metric, f"the sets share {len(shared)} of {largest} prompts", len(shared))
    more, less = ([_mean(values, shared) for values in side] for side in (worse, better))
    return summaries.comparison(metric, more, less, len(shared), resamples=resamples, seed=seed)


def _mean(values: ByPrompt, prompts: Sequence[str]) -> Statistic:
    import numpy as np

    from evals.stats.means import mean_statistic

    return mean_statistic(np.array([values[id] for id in prompts], dtype=float))

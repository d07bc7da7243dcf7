"""The comparison of two sets of responses by a measurement, such as edit distance, on the same prompts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from evals import scoring
from evals.base import RESAMPLES, ItemResults, Metric, Scored, Setting
from evals.item_scores import ItemBenchmark, ItemValues, write_scores
from harness.engine.artifacts import Artifact, Output, step
from harness.engine.store import RECORD
from harness.errors import unknown
from harness.steps.edit_distance import EditDistance
from harness.steps.perplexity import Perplexity, measured

TOKENS = Metric("tokens", unit="tokens", higher_is_better=False)
LOG_PERPLEXITY = Metric("log_perplexity", unit="nats", higher_is_better=False)
"""Edit distance in tokens, log-perplexity in nats a token."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A measurement of each response, and its unit."""

    metric: Metric
    read: Callable[[Artifact], Mapping[str, float]]

    def results(self, rows: Artifact) -> ItemResults:
        """Return the values by prompt."""
        return ItemValues([self.metric], {self.metric.name: self.read(rows)})


def _tokens(distances: Artifact) -> Mapping[str, float]:
    return {row.prompt_id: row.tokens for row in distances.rows(EditDistance)}


def _log_perplexity(perplexities: Artifact) -> Mapping[str, float]:
    """Return the mean negative log-likelihood of a token of each response, its closing token included."""
    return {id: row.nats_per_token for id, row in measured(perplexities.rows(Perplexity)).items()}


MEASURES = {each.metric.name: each for each in (Measure(TOKENS, _tokens), Measure(LOG_PERPLEXITY, _log_perplexity))}


class Measurement(ItemBenchmark):
    """A benchmark of one of the `MEASURES`."""

    def score(self, setting: Setting, rows: Sequence[Artifact], name: str) -> Artifact:
        """Return the mean."""
        [metric] = self.metrics
        return score_measurements(
            metric=metric.name, rows=rows, allow_missing=setting.allow_missing, resamples=RESAMPLES
        )

    def compare(self, setting: Setting, better: Sequence[Artifact], worse: Sequence[Artifact]) -> Artifact:
        """Return the paired difference of the means."""
        return measured_less(metric=self.metrics[0].name, better=better, worse=worse)

    def results(self, scored: Sequence[Scored]) -> list[ItemResults]:
        """Return the values by prompt."""
        return [MEASURES[self.metrics[0].name].results(rows) for each in scored for rows in each.rows]


def measured_less(*, metric: str, better: Sequence[Artifact], worse: Sequence[Artifact]) -> Artifact:
    """Write `comparison.json` of two sets of measurements, one artifact a training seed: has `better` less?

    Raises UserError for an unknown metric.
    """
    if metric not in MEASURES:
        raise unknown("measure", metric, MEASURES)
    return compare_measurements(metric=metric, better=better, worse=worse, resamples=RESAMPLES)


@step(version=1)
def score_measurements(
    out: Output, *, metric: str, rows: Sequence[Artifact], allow_missing: bool, resamples: int
) -> None:
    """Write `scores.json` over all training seeds, and each seed's own in `seed-<n>/`."""
    counts = [each.json(RECORD)["counts"] for each in rows]
    asked = max(each["rows"] + each.get("missing", 0) for each in counts)
    sets = [MEASURES[metric].results(each) for each in rows]
    write_scores(out, rows, sets, asked, allow_missing=allow_missing, resamples=resamples)


@step(version=2)
def compare_measurements(
    out: Output, *, metric: str, better: Sequence[Artifact], worse: Sequence[Artifact], resamples: int
) -> None:
    """Write `comparison.json`: by how much the mean of `better` is less than that of `worse`, on the same prompts."""
    measure = MEASURES[metric]
    first, second = ([measure.results(artifact) for artifact in side] for side in (better, worse))
    scoring.write_comparison(out, first, second, [measure.metric], allow_missing=None, resamples=resamples)

"""The settings of each benchmark on a scale (Table 2), from the scale's and the benches' own configuration."""

from collections.abc import Mapping
from dataclasses import dataclass

from evals.judged_pairs import JudgedPairs, PairSetting
from harness.engine.artifacts import Artifact
from harness.engine.store import Store
from harness.experiments.interface import Experiment, Request
from harness.papers.settings import SettingsTable
from harness.recipes.benches import judged_pairs, pairs_on
from harness.records import Response
from harness.results.exhibits import EvaluationSetting, SettingsResult
from harness.steps.judge import orders


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsExperiment(Experiment):
    """The evaluation details of some benches, as promises of their baselines; they are the same for all base models."""

    exhibit: SettingsTable
    benches: Mapping[str, tuple[JudgedPairs, PairSetting]]

    def targets(self) -> list[Artifact]:
        """List the baselines' answers."""
        return [bench.baselines for _, bench in self.benches.values()]

    def result(self, store: Store) -> SettingsResult:
        """Read the evaluation details."""
        benches = tuple(_setting(name, *each, store) for name, each in self.benches.items())
        return SettingsResult(exhibit=self.exhibit, benches=benches)


def settings(exhibit: SettingsTable, request: Request) -> SettingsExperiment:
    """Return the table on the request's scale. Raises UserError for a bench that the scale does not have."""
    names = [each.bench for each in exhibit.benches]
    benches = {name: (judged_pairs(name), pairs_on(request.recipe, name)) for name in names}
    fingerprints = {name: benchmark.fingerprint(bench) for name, (benchmark, bench) in benches.items()}
    return SettingsExperiment(exhibit=exhibit, fingerprints=fingerprints, benches=benches)


def _setting(name: str, benchmark: JudgedPairs, bench: PairSetting, store: Store) -> EvaluationSetting:
    """Read what the bench's rows and the registered benchmark say."""
    rows = store.bind(bench.baselines).rows(Response)
    has_one_order = len(list(orders(benchmark.protocol, rows[0].prompt))) == 1
    writers = ", ".join(dict.fromkeys(row.writer for row in rows))
    return EvaluationSetting(
        bench=name,
        examples=len(rows),
        baseline=f"{writers} ({bench.baseline_name})",
        judge=str(bench.judge),
        scoring="Pairwise comparison",
        orders="one order" if has_one_order else "both orders",
        metrics=tuple(metric.name for metric in benchmark.metrics),
    )

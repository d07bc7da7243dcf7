"""How each benchmark is evaluated on a scale (Table 2), from the scale's and the benches' own configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evals.judged_pairs import JudgedPairs, PairSetting
from harness.engine.artifacts import Artifact
from harness.engine.store import Store
from harness.experiments.interface import Checkpoints, Request
from harness.papers import Comparison, SettingsTable
from harness.recipes.benches import bench_on, judged_pairs
from harness.records import Response
from harness.steps.judge import orders


@dataclass(frozen=True, slots=True)
class Settings:
    """The evaluation details of some benches, as promises of their baselines."""

    exhibit: SettingsTable
    benches: Mapping[str, tuple[JudgedPairs, PairSetting]]

    @property
    def models(self) -> tuple[str, ...]:
        """None: they are the same for all."""
        return ()

    @property
    def checkpoints(self) -> Checkpoints:
        """None."""
        return {}

    @property
    def fingerprints(self) -> Mapping[str, str]:
        """What identifies the judge of each bench."""
        return {name: benchmark.fingerprint(bench) for name, (benchmark, bench) in self.benches.items()}

    def targets(self) -> list[Artifact]:
        """The baselines' answers."""
        return [bench.baselines for _, bench in self.benches.values()]

    def test(self, model: str, comparison: Comparison) -> Artifact | None:
        """None: there is nothing to test."""
        return None

    def part(self, store: Store) -> dict[str, Any]:
        """The evaluation details."""
        return {
            "kind": "settings",
            "name": self.exhibit.name,
            "benches": [_setting(name, *each, store) for name, each in self.benches.items()],
        }


def settings(exhibit: SettingsTable, request: Request) -> Settings:
    """The table on the request's scale. Raises UserError for a bench that the scale does not have."""
    names = [each.bench for each in exhibit.benches]
    return Settings(exhibit, {name: (judged_pairs(name), bench_on(request.scale, name)) for name in names})


def _setting(name: str, benchmark: JudgedPairs, bench: PairSetting, store: Store) -> dict[str, Any]:
    """`reports.manifest.BenchSetting`: what the bench's rows and the registered benchmark say."""
    rows = store.bind(bench.baselines).rows(Response)
    has_one_order = len(list(orders(benchmark.protocol, rows[0].prompt))) == 1
    writers = ", ".join(dict.fromkeys(row.writer for row in rows))
    return {
        "bench": name,
        "examples": len(rows),
        "baseline": f"{writers} ({bench.baseline_name})",
        "judge": str(bench.judge),
        "scoring": "Pairwise comparison",
        "orders": "one order" if has_one_order else "both orders",
        "metrics": [metric.name for metric in benchmark.metrics],
    }

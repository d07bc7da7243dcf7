"""A plan as a whole: what is run, exactly how, what it takes, and what that rests on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from harness.engine.artifacts import Artifact
from harness.experiments import Experiment
from harness.experiments.scores import ScoresExperiment
from harness.plan.forecast import Forecast, PlannedStep
from harness.plan.notes import Note
from harness.plan.ranges import Range
from harness.plan.rows import RowCounts
from harness.plan.settings import Stage, decoding, resolved_cells
from harness.plan.steps import judge_of, orders_of
from harness.recipes.scales import Scale


@dataclass(frozen=True, slots=True)
class BenchRow:
    """How one bench is evaluated."""

    name: str
    prompts: int
    decoding: str
    sampling: Mapping[str, Any]
    baseline: str
    judge: str
    orders: int


@dataclass(frozen=True)
class Summary:
    """All that is shown."""

    experiment: str
    scale: Scale
    seeds: tuple[int, ...]
    experiments: Sequence[Experiment]
    counts: RowCounts
    stages: Sequence[Stage]
    benches: Sequence[BenchRow]
    forecast: Forecast
    assumptions: Sequence[Note]
    warnings: Sequence[Note]

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs; times in seconds, sizes in bytes, ranges as low, expected and high."""
        forecast = self.forecast
        return {
            "experiment": self.experiment,
            "scale": self.scale.name,
            "seeds": list(self.seeds),
            "machine": asdict(forecast.machine),
            "compute": asdict(self.scale.compute),
            "steps": [_step(step) for step in forecast.steps],
            "stages": [_stage(stage) for stage in self.stages],
            **resolved_cells(self.experiments, self.counts),
            "evaluation": [asdict(bench) for bench in self.benches],
            "work": [asdict(work) for work in forecast.work],
            "device_seconds": asdict(forecast.device_seconds),
            "wall_seconds": asdict(forecast.wall),
            "longest_chain_seconds": asdict(forecast.longest_chain),
            "memory": [
                {
                    "model": need.model,
                    "work": need.work,
                    "at": need.at,
                    "bytes": need.memory.total,
                    **asdict(need.memory),
                }
                for need in forecast.memory
            ],
            "disk": [asdict(need) for need in forecast.disk],
            "endpoints": [asdict(api) for api in forecast.apis],
            "usd": _range(forecast.usd),
            "usd_per_device_hour": _range(forecast.usd_per_hour),
            "device_usd": _range(forecast.device_usd),
            "rented_usd": _range(forecast.rented_usd),
            "looked_back": _looked_back(forecast),
            "assumptions": [asdict(note) for note in self.assumptions],
            "warnings": [asdict(note) for note in self.warnings],
        }


def bench_rows(experiments: Sequence[Experiment], counts: RowCounts) -> list[BenchRow]:
    """How each bench of the score tables is evaluated, read off the steps of its first cell."""
    found: dict[str, BenchRow] = {}
    for name, judged in _judged(experiments):
        if name not in found:
            outputs, baselines = judged.inputs["outputs"], judged.inputs["baselines"]
            assert isinstance(outputs, Artifact) and isinstance(baselines, Artifact)
            rows = counts.of(baselines)
            sampling = outputs.arguments["sampling"]
            found[name] = BenchRow(
                name=name,
                prompts=rows.most if rows else 0,
                decoding=decoding(sampling),
                sampling=asdict(sampling),
                baseline=_baseline(baselines),
                judge=judge_of(judged).model,
                orders=orders_of(judged),
            )
    return list(found.values())


def _judged(experiments: Sequence[Experiment]) -> Iterator[tuple[str, Artifact]]:
    for experiment in experiments:
        if isinstance(experiment, ScoresExperiment):
            yield from ((cell.bench, cell.judgments[0]) for cell in experiment.cells)


def _baseline(baselines: Artifact) -> str:
    """The baseline's name: of official data the model, else the data set."""
    return baselines.label.rpartition(" ")[2] or baselines.step


def _step(step: PlannedStep) -> dict[str, Any]:
    cost = step.cost
    return {
        "step": cost.artifact.step,
        "label": cost.artifact.label,
        "key": cost.artifact.key if step.state != "unknown" else None,
        "state": step.state,
        "work": cost.work,
        "devices": cost.devices,
        "seconds": asdict(cost.seconds),
        "took_seconds": step.took,
        "tokens": asdict(cost.tokens),
        "calls": asdict(cost.calls) if cost.calls else None,
        "unknown": cost.unknown or None,
    }


def _stage(stage: Stage) -> dict[str, Any]:
    entry = {field.name: getattr(stage, field.name) for field in fields(stage) if field.name != "artifact"}
    return {**entry, "methods": list(stage.methods), "settings": asdict(stage.settings)}


def _range(value: Range | None) -> dict[str, float] | None:
    return asdict(value) if value else None


def _looked_back(forecast: Forecast) -> dict[str, Any] | None:
    back = forecast.looked_back
    return {"took_seconds": back[0], "forecast_seconds": asdict(back[1])} if back else None

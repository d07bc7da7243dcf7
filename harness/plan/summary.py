"""A plan as a whole: what is run, exactly how, what it takes, and what that rests on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from harness.engine.artifacts import Artifact
from harness.engine.graph import input_of
from harness.experiments import Experiment
from harness.experiments.scores import ScoresExperiment
from harness.plan.forecast import Forecast, PlannedStep
from harness.plan.notes import PlanNote
from harness.plan.rows import GraphEstimates
from harness.plan.settings import Stage, decoding, resolved_cells
from harness.recipes.recipe import Recipe
from harness.steps.cost import Asking, Range
from harness.steps.judge import order_count


@dataclass(frozen=True, slots=True)
class BenchRow:
    """The evaluation of one bench."""

    name: str
    prompts: int
    decoding: str
    sampling: Mapping[str, Any]
    baseline: str
    judge: str
    orders: int


@dataclass(frozen=True)
class Summary:
    """All that a plan says."""

    experiment: str
    scale: Recipe
    seeds: tuple[int, ...]
    experiments: Sequence[Experiment]
    graph: GraphEstimates
    stages: Sequence[Stage]
    benches: Sequence[BenchRow]
    forecast: Forecast
    assumptions: Sequence[PlanNote]
    warnings: Sequence[PlanNote]

    def as_json(self) -> dict[str, Any]:
        """Give everything, for programs; times in seconds, sizes in bytes, ranges as low, expected and high."""
        forecast = self.forecast
        return {
            "experiment": self.experiment,
            "scale": self.scale.name,
            "seeds": list(self.seeds),
            "machine": asdict(forecast.machine),
            "compute": asdict(self.scale.compute),
            "steps": [_step(step) for step in forecast.steps],
            "stages": [_stage(stage) for stage in self.stages],
            **resolved_cells(self.experiments, self.graph),
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


def bench_rows(experiments: Sequence[Experiment], graph: GraphEstimates) -> list[BenchRow]:
    """Tell how each bench of the score tables is evaluated, read off the steps of its first cell."""
    found: dict[str, BenchRow] = {}
    for name, judged in _judged(experiments):
        if name not in found:
            baselines, sampling = input_of(judged, "baselines"), input_of(judged, "outputs").arguments["sampling"]
            found[name] = BenchRow(
                name=name,
                prompts=graph.most_rows(baselines) or 0,
                decoding=decoding(sampling),
                sampling=asdict(sampling),
                baseline=_baseline(baselines),
                judge=judged.arguments["judge"].model,
                orders=order_count(judged.params["protocol"]),
            )
    return list(found.values())


def _judged(experiments: Sequence[Experiment]) -> Iterator[tuple[str, Artifact]]:
    for experiment in experiments:
        if isinstance(experiment, ScoresExperiment):
            yield from ((cell.bench, cell.judgments[0]) for cell in experiment.cells if cell.is_judged)


def _baseline(baselines: Artifact) -> str:
    """Name the baseline: of official data the model, else the data set."""
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
        "calls": _calls(cost.asking) if cost.asking else None,
        "unknown": cost.unknown or None,
    }


def _calls(asking: Asking) -> dict[str, Any]:
    return {name: asdict(asking)[name] for name in ("endpoint", "calls", "prompt_tokens", "completion_tokens")}


def _stage(stage: Stage) -> dict[str, Any]:
    names = [field.name for field in fields(stage) if field.name not in ("artifact", "sequences")]
    entry = {name: getattr(stage, name) for name in names}
    return {**entry, "methods": list(stage.methods), "settings": asdict(stage.settings)}


def _range(value: Range | None) -> dict[str, float] | None:
    return asdict(value) if value else None


def _looked_back(forecast: Forecast) -> dict[str, Any] | None:
    back = forecast.looked_back
    return {"took_seconds": back[0], "forecast_seconds": asdict(back[1])} if back else None

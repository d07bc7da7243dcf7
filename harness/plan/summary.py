"""A plan as a whole: what is run, exactly how, what it takes, and what that rests on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from harness.config.codec import encode
from harness.engine.graph import input_of
from harness.experiments import Experiment
from harness.experiments.scores import ScoresExperiment
from harness.models.generator import Sampling
from harness.plan.forecast import Forecast, PlannedStep
from harness.plan.settings import Stage, decoding, resolved_cells
from harness.plan.steps import GraphEstimates
from harness.recipes.recipe import Recipe
from harness.steps.estimates import PlanNote
from harness.steps.judge import order_count


@dataclass(frozen=True, slots=True)
class BenchRow:
    """The evaluation of one bench."""

    name: str
    prompts: int
    decoding: str
    sampling: Sampling
    baseline: str
    judge: str
    orders: int


@dataclass(frozen=True)
class Summary:
    """All that a plan says."""

    experiment: str
    recipe: Recipe
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
        forecast, back = self.forecast, self.forecast.looked_back
        parts = {
            "experiment": self.experiment,
            "scale": self.recipe.name,
            "seeds": self.seeds,
            "machine": forecast.machine,
            "compute": self.recipe.compute,
            "steps": [_step(step) for step in forecast.steps],
            "stages": [_stage(stage) for stage in self.stages],
            **resolved_cells(self.experiments, self.graph),
            "evaluation": self.benches,
            "work": forecast.work,
            "device_seconds": forecast.device_seconds,
            "wall_seconds": forecast.wall,
            "longest_chain_seconds": forecast.longest_chain,
            "memory": [
                {"model": each.model, "work": each.work, "at": each.at, "bytes": each.memory.total}
                | asdict(each.memory)
                for each in forecast.memory
            ],
            "disk": forecast.disk,
            "endpoints": forecast.apis,
            "usd": forecast.usd,
            "usd_per_device_hour": forecast.usd_per_hour,
            "device_usd": forecast.device_usd,
            "rented_usd": forecast.rented_usd,
            "looked_back": back and {"took_seconds": back[0], "forecast_seconds": back[1]},
            "assumptions": self.assumptions,
            "warnings": self.warnings,
        }
        return {name: encode(part) for name, part in parts.items()}


def bench_rows(experiments: Sequence[Experiment], graph: GraphEstimates) -> list[BenchRow]:
    """Tell how each bench of the score tables is evaluated, read off the steps of its first cell."""
    found: dict[str, BenchRow] = {}
    tables = [each for each in experiments if isinstance(each, ScoresExperiment)]
    for cell in (cell for table in tables for cell in table.cells if cell.is_judged and cell.bench not in found):
        judged = cell.judgments[0]
        baselines, sampling = input_of(judged, "baselines"), input_of(judged, "outputs").arguments["sampling"]
        found[cell.bench] = BenchRow(
            name=cell.bench,
            prompts=graph.most_rows(baselines) or 0,
            decoding=decoding(sampling),
            sampling=sampling,
            baseline=baselines.label.rpartition(" ")[2] or baselines.step,  # of official data the model
            judge=judged.arguments["judge"].model,
            orders=order_count(judged.params["protocol"]),
        )
    return list(found.values())


def _step(step: PlannedStep) -> dict[str, Any]:
    cost, asking = step.cost, step.cost.asking
    counts = ("endpoint", "calls", "prompt_tokens", "completion_tokens")
    return {
        "step": cost.artifact.step,
        "label": cost.artifact.label,
        "key": cost.artifact.key if step.state != "unknown" else None,
        "state": step.state,
        "work": cost.work,
        "devices": cost.devices,
        "seconds": cost.seconds,
        "took_seconds": step.took,
        "tokens": cost.tokens,
        "calls": asking and {name: getattr(asking, name) for name in counts},
        "unknown": cost.unknown or None,
    }


def _stage(stage: Stage) -> dict[str, Any]:
    return {field.name: getattr(stage, field.name) for field in fields(stage) if field.name not in ("artifact", "size")}

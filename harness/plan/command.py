"""`harness plan`: from an experiment's name to what running it takes."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from harness.engine.limits import Limits
from harness.engine.store import Store
from harness.engine.unresolved import placeholders
from harness.experiments import build_experiments
from harness.network import go_offline
from harness.papers.names import find_exhibit
from harness.plan.forecast import forecast, planned_steps, step_costs
from harness.plan.hardware import CALIBRATION
from harness.plan.notes import assumptions, warnings
from harness.plan.settings import stages
from harness.plan.summary import Summary, bench_rows
from harness.plan.text import plan_text
from harness.recipes.recipe import Recipe
from harness.run.options import Choice


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """On what a run is reckoned: None for what configs/hardware.yaml says of the scale, or was measured here."""

    device: str | None = None
    devices: int | None = None
    usd_per_hour: float | None = None
    calibrate: bool = False
    limits: Limits = field(default_factory=Limits)
    """How endpoints are going to be asked."""


def plan_run(name: str, choice: Choice, run_dir: Path, options: PlanOptions, *, as_json: bool = False) -> str:
    """Tell what running the experiment takes, as text or JSON. Nothing is run or fetched, and the hub is not asked.

    With `options.calibrate` one model of the scale is run first, for two minutes. Raises UserError for names, devices
    and settings that there are not.
    """
    summary = summarize(name, choice, run_dir, options)
    return json.dumps(summary.as_json(), indent=1, ensure_ascii=False) if as_json else plan_text(summary)


def summarize(name: str, choice: Choice, run_dir: Path, options: PlanOptions) -> Summary:
    """Make the plan, before it is printed."""
    go_offline()
    exhibit = find_exhibit(name)
    request = replace(choice, paper=exhibit.paper).request()
    recipe = request.recipe
    if options.calibrate:
        _calibrate(recipe, request.models, run_dir)
    store = Store(run_dir / "store") if (run_dir / "store").is_dir() else None
    with placeholders() as unresolved:
        experiments = build_experiments(exhibit, request)
        costs = step_costs(recipe, run_dir, store, options.limits, options.device, options.devices)
        targets = [target for experiment in experiments for target in experiment.targets()]
        steps = planned_steps(targets, store, costs)
    trained = stages(experiments, costs.graph)
    found = forecast(trained, steps, costs, options.usd_per_hour)
    return Summary(
        experiment=str(exhibit),
        recipe=recipe,
        seeds=request.seeds,
        experiments=experiments,
        graph=costs.graph,
        stages=trained,
        benches=bench_rows(experiments, costs.graph),
        forecast=found,
        assumptions=list(assumptions(found, costs.hardware)),
        warnings=list(warnings(found, recipe, trained, unresolved, date.today())),
    )


def _calibrate(recipe: Recipe, models: Sequence[str], run_dir: Path) -> None:
    """Measure with the first model asked for, else with the scale's first."""
    from harness.plan.calibrate import calibrate

    model = next(iter(models), next(iter(recipe.base_models)))
    print(f"measuring with {recipe.base_models[model].reference}", file=sys.stderr)
    calibrate(recipe, model, run_dir / CALIBRATION, lambda line: print(f"  {line}", file=sys.stderr, flush=True))

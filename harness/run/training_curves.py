"""The curves of the trainings behind a run, collected from the store for its report."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from harness.engine.artifacts import Artifact, ancestry, find_step
from harness.engine.graph import inputs_of, origin
from harness.engine.store import Store, place
from harness.experiments import Experiment
from harness.recipes.recipe import Recipe
from harness.records import read_rows
from harness.results.training_curves import MAX_POINTS, Course, StageCurves
from harness.training.job import CURVES, ONLINE, OnlineStep, TrainingStep

SEED = "seed"
"""The parameter of steps that differs between the seeds of one stage."""
DIGITS = 6
"""Significant ones that are kept."""


def stage_curves(experiments: Sequence[Experiment], recipe: Recipe, store: Store) -> list[StageCurves]:
    """Read the curves of all trainings behind `experiments`, stage by stage, each once; inputs first."""
    targets = [target for each in experiments for target in each.targets()]
    stages: dict[str, list[Artifact]] = {}
    for artifact in ancestry(targets):
        if find_step(artifact).work == "training" and (store.folder(artifact) / CURVES).exists():
            stages.setdefault(_without_seeds(artifact), []).append(artifact)
    ways = _ways(experiments)
    models = {role.artifact(): name for name, role in recipe.base_models.items()}
    return [_stage(each, ways, models, store) for each in stages.values()]


@cache
def _without_seeds(artifact: Artifact) -> str:
    """Return a digest of how and from what an artifact is made, seeds apart: one for a stage of all training seeds."""
    params = {name: value for name, value in artifact.params.items() if name != SEED}
    inputs = {name: [_without_seeds(each) for each in inputs_of(artifact, name)] for name in artifact.inputs}
    return hashlib.sha256(json.dumps([artifact.step, params, inputs], sort_keys=True).encode()).hexdigest()


def _ways(experiments: Sequence[Experiment]) -> Mapping[Artifact, Sequence[tuple[str, str]]]:
    """Return, by artifact, the base models and methods whose checkpoints are made from it, or are it."""
    found: dict[Artifact, dict[tuple[str, str], None]] = {}
    for experiment in experiments:
        for (model, method, _), checkpoint in experiment.checkpoints.items():
            for artifact in ancestry([checkpoint]):
                found.setdefault(artifact, {})[model, method] = None
    return {artifact: tuple(of) for artifact, of in found.items()}


def _stage(
    trainings: Sequence[Artifact],
    ways: Mapping[Artifact, Sequence[tuple[str, str]]],
    models: Mapping[Artifact, str],
    store: Store,
) -> StageCurves:
    """Return a stage. Where one model stands for several base models, its methods tell which of them it is of."""
    first = trainings[0]
    loss, of = first.arguments.get("loss"), ways.get(first, ())
    return StageCurves(
        model=of[0][0] if of else models.get(origin(first), ""),
        stage=_name(first),
        methods=tuple(dict.fromkeys(method for _, method in of)),
        loss=getattr(loss, "kind", ""),
        trainings=tuple(_course(each, store) for each in trainings),
    )


def _name(training: Artifact) -> str:
    """Return what a method calls the stage: what stands behind the seed in its label."""
    _, _, name = training.label.partition(f" seed {training.arguments.get(SEED)} ")
    return name or training.label or training.step


def _course(training: Artifact, store: Store) -> Course:
    folder = store.folder(training)
    steps = read_rows(folder / CURVES, TrainingStep)
    every = max(1, math.ceil(len(steps) / MAX_POINTS))
    points = [slice(start, start + every) for start in range(0, len(steps), every)]
    values: dict[str, tuple[float | None, ...]] = {"step": tuple(steps[point][-1].step for point in points)}
    for name, of_steps in {**_series(steps, TrainingStep), **_pairs_made(folder)}.items():
        if any(value is not None for value in of_steps):
            values[name] = tuple(_mean(of_steps[point]) for point in points)
    return Course(training.arguments.get(SEED, 0), place(training), len(steps), every, values)


def _series(rows: Sequence[Any], kind: type[Any]) -> dict[str, list[float | None]]:
    """Return the values of all steps by the name of a field of rows of this kind."""
    return {each.name: [getattr(row, each.name) for row in rows] for each in fields(kind) if each.name != "step"}


def _pairs_made(folder: Path) -> dict[str, list[float | None]]:
    """Return the series of a training that made its own pairs, if it did: each value stands until there is another."""
    if not (folder / ONLINE).exists():
        return {}
    series = _series(read_rows(folder / ONLINE, OnlineStep), OnlineStep)
    return {name: list(accumulate(values, _latest)) for name, values in series.items()}


def _latest(last: float | None, new: float | None) -> float | None:
    return last if new is None else new


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean to `DIGITS`; None where a number is missing, so that a diverged step leaves a gap."""
    present = [value for value in values if value is not None]
    return float(f"{math.fsum(present) / len(values):.{DIGITS}g}") if len(present) == len(values) else None

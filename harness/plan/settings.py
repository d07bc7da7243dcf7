"""The settings of each stage behind each cell, read off the graph itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from hashlib import sha256
from typing import Any

from harness.engine.artifacts import Artifact, ancestry
from harness.engine.graph import by_work, input_of, model_reference, short_label
from harness.experiments import Experiment
from harness.experiments.curves import CurvesExperiment
from harness.experiments.scores import ScoresExperiment
from harness.models.generator import Sampling
from harness.plan.steps import GraphEstimates, optimizer_steps
from harness.recipes.recipe import Recipe
from harness.steps.cost import Training
from harness.steps.estimates import model_shape
from harness.steps.judge import order_count
from harness.steps.revise import revise
from harness.texts import counted
from harness.training.job import SINGLE
from harness.training.losses import PreferenceLoss
from harness.training.memory import RowSize, stage_spread
from harness.training.settings import TrainingSettings

MAX_TEXT = 100
"""Characters of a parameter that stands as it is; a longer text is known by a digest."""

_OPTIONAL_PARAMETERS = ("request", "answer")
"""Of data sets, which few have."""
_CONTENT_PARAMETERS = ("fingerprint", "world", "digest", "path")
"""Parameters that identify content, which a plan made elsewhere cannot know."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One training stage: what is trained on what, from where, with which settings."""

    artifact: Artifact
    model: str
    name: str
    methods: tuple[str, ...]
    data: str
    rows: int
    """No more than these: a filter may keep fewer, identical pairs are left out."""
    rows_are_exact: bool
    steps: int
    loss: PreferenceLoss | None
    settings: TrainingSettings
    starts_from: str
    reference_policy: str | None
    size: RowSize
    """Of the longest row."""
    models_beside: int
    """Those in memory that are not trained."""


def stages(experiments: Sequence[Experiment], graph: GraphEstimates) -> list[Stage]:
    """List the training stages of a run, each once, by base model and in the order in which methods come to need them.

    What a figure trains of itself is of no method.
    """
    found: dict[str, tuple[Artifact, str, list[str]]] = {}
    for experiment in experiments:
        for (model, method, _), checkpoint in experiment.checkpoints.items():
            for artifact in by_work(ancestry([checkpoint])).get("training", []):
                found.setdefault(artifact.key, (artifact, model, []))[2].append(method)
    for experiment in experiments:
        for artifact in by_work(ancestry(experiment.targets())).get("training", []):
            found.setdefault(artifact.key, (artifact, artifact.label.partition(" ")[0], []))
    models = list(dict.fromkeys(model for _, model, _ in found.values()))
    ordered = sorted(found.values(), key=lambda each: models.index(each[1]))
    return [
        _stage(artifact, cost, model, methods, graph)
        for artifact, model, methods in ordered
        if isinstance(cost := graph.known_cost(artifact), Training)
    ]


def _stage(artifact: Artifact, cost: Training, model: str, methods: list[str], graph: GraphEstimates) -> Stage:
    rows = graph.known_rows(cost.data)
    most = rows.most if rows else 0
    return Stage(
        artifact=artifact,
        model=model,
        name=short_label(artifact),
        methods=tuple(dict.fromkeys(methods)),
        data=graph.content(cost.data),
        rows=most,
        rows_are_exact=not cost.data.inputs,
        steps=optimizer_steps(cost, most),
        loss=cost.loss,
        settings=cost.settings,
        starts_from=short_label(cost.start) if cost.start.inputs else "base",
        reference_policy=short_label(cost.reference) if cost.reference else None,
        size=cost.longest(rows),
        models_beside=cost.models_beside,
    )


def _warm_up(settings: TrainingSettings) -> str:
    return f"{settings.warmup_steps}-step" if settings.warmup_steps else f"{settings.warmup_share:.0%}"


def common_settings(stages: Sequence[Stage], recipe: Recipe) -> Iterator[str]:
    """Say what the stages share, a sentence each, and where they differ in more than a table of them says."""
    compute, settings = recipe.compute, [stage.settings for stage in stages]
    spreads = {
        stage_spread(model_shape(model_reference(stage.artifact) or ""), stage.settings, compute, stage.size)
        for stage in stages
    }
    for how in sorted(spreads, key=lambda each: (each.global_batch_size, each.micro_batch_size)):
        batch = how.global_batch_size
        rows, passes = counted(how.micro_batch_size, "row"), counted(how.accumulation, "accumulation step")
        yield f"batch {batch} = {counted(how.processes, 'process', 'processes')} x {rows} at once x {passes}"
    lengths = "/".join(f"{length:,}" for length in sorted({each.max_length for each in settings}))
    warm_up = "/".join(sorted({_warm_up(each) for each in settings}, key=lambda each: (len(each), each)))
    precisions, schedules, optimizers = (
        "/".join(sorted({getattr(each, name) for each in settings})) for name in ("precision", "schedule", "optimizer")
    )
    where = "in the step's own process" if compute.accelerate == SINGLE else f"accelerate {compute.accelerate}"
    checkpointing = ", gradient checkpointing" if compute.gradient_checkpointing else ""
    yield (
        f"length {lengths}; {schedules} schedule after {warm_up} warm-up; forward and backward in {precisions},"
        f" weights and {optimizers} in float32; {where}{checkpointing}"
    )
    yield f"trained on: {'; '.join(_trained_on(stages))}"
    preferring = [stage for stage in stages if stage.reference_policy]
    if preferring and all(stage.reference_policy == stage.starts_from for stage in preferring):
        yield "reference policy of each preference loss: what the stage starts from"
    elif preferring:
        pairs = dict.fromkeys(f"{stage.name}: {stage.reference_policy}" for stage in preferring)
        yield f"reference policy of each preference loss: {'; '.join(pairs)}"
    drawn = recipe.sampling
    how_drawn = f"{decoding(drawn)}, up to {drawn.max_new_tokens:,} tokens, {drawn.engine}"
    yield f"answers to train on, and to filter: {how_drawn}"
    if any(not stage.rows_are_exact for stage in stages):
        yield "≤: the filter may keep fewer, and pairs of equal answers are left out"


def _trained_on(stages: Sequence[Stage]) -> Iterator[str]:
    """Say which stages learn from which data, with the methods where stages of one name differ in it."""
    learning: dict[str, dict[str, None]] = {}
    for stage in stages:
        same_name = [each for each in stages if (each.model, each.name) == (stage.model, stage.name)]
        of = "" if len({each.data for each in same_name}) == 1 else f" of {', '.join(stage.methods)}"
        learning.setdefault(stage.data, {})[f"{stage.name}{of}"] = None
    return (f"{', '.join(names)}: {data}" for data, names in learning.items())


def resolved_cells(experiments: Iterable[Experiment], graph: GraphEstimates) -> dict[str, Any]:
    """Give the configuration of every cell, as JSON: ``cells`` by "model/method/bench", or by exhibit and point, and
    the ``checkpoints`` that they are of by "model/method", each with all steps that lead to it.

    Contents (fingerprints of models and data) are left out: what is pinned is so by its reference.
    """
    cells: dict[str, Artifact] = {}
    checkpoints: dict[str, Artifact] = {}
    for each in experiments:
        cells |= _judged(each)
        checkpoints |= _first_checkpoints(each)
    return {
        "cells": {name: _cell(judged, graph) for name, judged in cells.items()},
        "checkpoints": {
            name: {
                "base": model_reference(checkpoint),
                "steps": [_described(artifact, graph) for artifact in ancestry([checkpoint])],
            }
            for name, checkpoint in checkpoints.items()
        },
    }


def _judged(experiment: Experiment) -> dict[str, Artifact]:
    """Return the verdicts of the first training seed of each cell, or point."""
    if isinstance(experiment, CurvesExperiment):
        return {f"{experiment.exhibit.name}/{point.name}": point.judgments[0] for point in experiment.points}
    cells = experiment.cells if isinstance(experiment, ScoresExperiment) else ()
    return {f"{cell.model}/{cell.method}/{cell.bench}": cell.judgments[0] for cell in cells if cell.is_judged}


def _first_checkpoints(experiment: Experiment) -> dict[str, Artifact]:
    """Return what is judged: the checkpoint of the first training seed by base model and method."""
    if isinstance(experiment, CurvesExperiment):
        first: dict[str, Artifact] = {}
        for (model, row, _), checkpoint in experiment.checkpoints.items():
            first.setdefault(f"{model}/{row}", checkpoint)
        return first
    return {
        name.rpartition("/")[0]: input_of(input_of(judged, "outputs"), "model")
        for name, judged in _judged(experiment).items()
    }


def _cell(judged: Artifact, graph: GraphEstimates) -> dict[str, Any]:
    outputs, baselines, judge = input_of(judged, "outputs"), input_of(judged, "baselines"), judged.arguments["judge"]
    return {
        "answers": {
            "prompts": {"of": baselines.label or baselines.step, "rows": graph.most_rows(baselines)},
            "sampling": outputs.params["sampling"],
            **_revised(outputs),
        },
        "judge": {"model": judge.model, "base_url": judge.base_url},
        "judging": {
            "protocol": judged.params["protocol"],
            "orders": order_count(judged.params["protocol"]),
            "repeats": judged.params["repeats"],
            "prompt": _digest(str(judged.params["prompt"])),
        },
    }


def _revised(outputs: Artifact) -> dict[str, Any]:
    """Say how often answers were revised, and asked how; nothing of answers that were not."""
    if outputs.step != revise.name:
        return {}
    before = _revised(input_of(outputs, "responses"))
    return {"revisions": 1 + before.get("revisions", 0), "revision_prompt": outputs.params["template"]}


def _described(artifact: Artifact, graph: GraphEstimates) -> dict[str, Any]:
    """Describe one step behind a checkpoint: its name in the method, parameters, what its inputs are called, size."""
    entry: dict[str, Any] = {"step": artifact.step, "is": short_label(artifact)}
    inputs = {
        name: short_label(value) if isinstance(value, Artifact) else list(map(short_label, value))
        for name, value in artifact.inputs.items()
    }
    params = {
        name: _abridged(value)
        for name, value in artifact.params.items()
        if name not in _CONTENT_PARAMETERS and (value or name not in _OPTIONAL_PARAMETERS)
    }
    entry |= {"params": params, **({"from": inputs} if inputs else {})}
    if isinstance(cost := graph.known_cost(artifact), Training):
        most = graph.most_rows(cost.data)
        entry["rows_at_most"] = most
        entry["optimizer_steps_at_most"] = None if most is None else optimizer_steps(cost, most)
        entry["schedule"] = cost.settings.schedule
        entry["sequences_a_row"] = cost.sequences
    return entry


def _abridged(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return _digest(value)
    if isinstance(value, Mapping):
        return {name: _abridged(item) for name, item in value.items()}
    return value


def _digest(text: str) -> str:
    return f"sha256:{sha256(text.encode()).hexdigest()[:16]}"


def decoding(sampling: Sampling) -> str:
    """Say how tokens are chosen."""
    if sampling.temperature == 0:
        return "greedy"
    return f"temperature {sampling.temperature:g}, top-p {sampling.top_p:g}"


GREEK = {"alpha": "α", "beta": "β", "gamma": "γ"}


def loss_text(loss: PreferenceLoss) -> str:
    """Name the loss with its settings, but for those that are as they are by default."""
    values = {each.name: (getattr(loss, each.name), each.default) for each in fields(loss)}
    settings = [
        f"{GREEK.get(name, name)}={value:g}" if isinstance(value, float | int) else f"{name}={value}"
        for name, (value, default) in values.items()
        if default is MISSING or value != default
    ]
    return " ".join([loss.kind, *settings])

"""What exactly is going to be run: the settings of each stage behind each cell, read off the graph itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from harness.engine.artifacts import Artifact, ancestry, find_step
from harness.experiments import Experiment
from harness.experiments.scores import ScoresExperiment
from harness.models.generator import Sampling
from harness.plan.rows import BASES, RowCounts, model_reference
from harness.plan.steps import SEQUENCES, judge_of, optimizer_steps, orders_of, scores_its_start, training_settings
from harness.training.settings import TrainingSettings

LONGEST_SHOWN = 100
"""Characters of a parameter that stands as it is; a longer text is known by a digest."""

_BY_CONTENT = ("fingerprint", "world", "digest", "path")
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
    beta: float | None
    settings: TrainingSettings
    starts_from: str
    reference_policy: str | None


def stages(experiments: Sequence[Experiment], counts: RowCounts) -> list[Stage]:
    """The training stages of a run, each once, by base model and in the order in which methods come to need them.

    What a figure trains of itself is of no method.
    """
    found: dict[str, tuple[Artifact, str, list[str]]] = {}
    for experiment in experiments:
        for (model, method, _), checkpoint in experiment.checkpoints.items():
            for artifact in _trainings([checkpoint]):
                found.setdefault(artifact.key, (artifact, model, []))[2].append(method)
    for experiment in experiments:
        for artifact in _trainings(experiment.targets()):
            found.setdefault(artifact.key, (artifact, artifact.label.partition(" ")[0], []))
    models = list(dict.fromkeys(model for _, model, _ in found.values()))
    ordered = sorted(found.values(), key=lambda each: models.index(each[1]))
    return [_stage(artifact, model, methods, counts) for artifact, model, methods in ordered]


def _trainings(targets: Sequence[Artifact]) -> Iterator[Artifact]:
    return (artifact for artifact in ancestry(targets) if find_step(artifact).work == "training")


def _stage(artifact: Artifact, model: str, methods: list[str], counts: RowCounts) -> Stage:
    is_preference = "pairs" in artifact.inputs
    data = artifact.inputs["pairs" if is_preference else "examples"]
    policy = artifact.inputs["policy" if is_preference else "model"]
    assert isinstance(data, Artifact) and isinstance(policy, Artifact)
    rows = counts.of(data)
    most = rows.most if rows else 0
    references = artifact.inputs.get("references")
    return Stage(
        artifact=artifact,
        model=model,
        name=stage_name(artifact),
        methods=tuple(dict.fromkeys(methods)),
        data=_data_name(data),
        rows=most,
        rows_are_exact=data.step in ("load_rows", "load_data"),
        steps=optimizer_steps(artifact, most),
        beta=artifact.params["settings"].get("beta"),
        settings=training_settings(artifact),
        starts_from="base" if policy.step in BASES else stage_name(policy),
        reference_policy=_model_name(references) if isinstance(references, Artifact) else None,
    )


def stage_name(artifact: Artifact) -> str:
    """What a method calls the artifact: its label without base model, method and seed."""
    words = artifact.label.split(" ")
    if "seed" in words:
        return " ".join(words[words.index("seed") + 2 :]) or artifact.step
    return artifact.label or artifact.step


def _model_name(references: Artifact) -> str:
    """The frozen model that a preference loss is taken against: what scored the pairs, or does in the training."""
    model = references if scores_its_start(references) else references.inputs["model"]
    assert isinstance(model, Artifact)
    return stage_name(model)


def _data_name(data: Artifact) -> str:
    """The data set that rows were read from, or what made them of which."""
    if data.step == "preference_pairs":
        return " over ".join(_side(data.inputs[name]) for name in ("chosen", "rejected"))
    if data.step == "improver_examples":
        return " + ".join(_side(each) for each in many(data.inputs["targets"]))
    return stage_name(data).partition("@")[0]


def many(inputs: Artifact | tuple[Artifact, ...]) -> tuple[Artifact, ...]:
    """An input that is several artifacts."""
    return (inputs,) if isinstance(inputs, Artifact) else inputs


def _side(artifact: Artifact | tuple[Artifact, ...]) -> str:
    assert isinstance(artifact, Artifact)
    if artifact.step == "chosen_responses":
        return "the data's chosen"
    if artifact.step == "iqr_filter":
        return f"kept {_side(artifact.inputs['responses'])}"
    return stage_name(artifact)


def resolved_cells(experiments: Iterable[Experiment], counts: RowCounts) -> dict[str, Any]:
    """The configuration of every cell, as JSON: ``cells`` by "model/method/bench", and the ``checkpoints`` that they
    are of by "model/method", each with all steps that lead to it.

    Contents (fingerprints of models and data) are left out: what is pinned is so by its reference.
    """
    tables = [each for each in experiments if isinstance(each, ScoresExperiment)]
    cells = {f"{cell.model}/{cell.method}/{cell.bench}": cell for table in tables for cell in table.cells}
    first = {f"{cell.model}/{cell.method}": _checkpoint(cell.judgments[0]) for cell in cells.values()}
    return {
        "cells": {name: _cell(cell.judgments[0], counts) for name, cell in cells.items()},
        "checkpoints": {
            name: {
                "base": model_reference(checkpoint),
                "steps": [_described(artifact, counts) for artifact in ancestry([checkpoint])],
            }
            for name, checkpoint in first.items()
        },
    }


def _checkpoint(judged: Artifact) -> Artifact:
    """What wrote the answers that a step judges."""
    outputs = judged.inputs["outputs"]
    assert isinstance(outputs, Artifact)
    checkpoint = outputs.inputs["model"]
    assert isinstance(checkpoint, Artifact)
    return checkpoint


def _cell(judged: Artifact, counts: RowCounts) -> dict[str, Any]:
    outputs, baselines = judged.inputs["outputs"], judged.inputs["baselines"]
    assert isinstance(outputs, Artifact) and isinstance(baselines, Artifact)
    return {
        "answers": {"prompts": _content(baselines, counts), "sampling": outputs.params["sampling"]},
        "judge": {"model": judge_of(judged).model, "base_url": judge_of(judged).base_url},
        "judging": {
            "protocol": judged.params["protocol"],
            "orders": orders_of(judged),
            "repeats": judged.params["repeats"],
            "prompt": _digest(str(judged.params["prompt"])),
        },
    }


def _described(artifact: Artifact, counts: RowCounts) -> dict[str, Any]:
    """One step behind a checkpoint: its name in the method, parameters, what its inputs are called, its size."""
    entry: dict[str, Any] = {"step": artifact.step, "is": stage_name(artifact)}
    inputs = {
        name: stage_name(value) if isinstance(value, Artifact) else [stage_name(each) for each in value]
        for name, value in artifact.inputs.items()
    }
    params = {name: _shown(value) for name, value in artifact.params.items() if name not in _BY_CONTENT}
    entry |= {"params": params, **({"from": inputs} if inputs else {})}
    if find_step(artifact).work == "training":
        data = artifact.inputs["pairs" if "pairs" in artifact.inputs else "examples"]
        assert isinstance(data, Artifact)
        rows = counts.of(data)
        entry["rows_at_most"] = rows.most if rows else None
        entry["optimizer_steps_at_most"] = optimizer_steps(artifact, rows.most) if rows else None
        entry["schedule"] = training_settings(artifact).schedule
        entry["sequences_a_row"] = SEQUENCES if "pairs" in artifact.inputs else 1
    return entry


def _content(artifact: Artifact, counts: RowCounts) -> dict[str, Any]:
    rows = counts.of(artifact)
    return {"of": artifact.label or artifact.step, "rows": rows.most if rows else None}


def _shown(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LONGEST_SHOWN:
        return _digest(value)
    if isinstance(value, Mapping):
        return {name: _shown(item) for name, item in value.items()}
    return value


def _digest(text: str) -> str:
    return f"sha256:{sha256(text.encode()).hexdigest()[:16]}"


def decoding(sampling: Sampling) -> str:
    """How tokens are chosen."""
    if sampling.temperature == 0:
        return "greedy"
    return f"temperature {sampling.temperature:g}, top-p {sampling.top_p:g}"


def sampling_in_words(sampling: Sampling) -> str:
    """How completions are drawn."""
    return f"{decoding(sampling)}, up to {sampling.max_new_tokens:,} tokens, {sampling.engine}"

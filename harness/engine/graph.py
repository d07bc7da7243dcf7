"""Queries of a graph of artifacts: what one is made from, and which model it began as. Nothing is read or run."""

from collections.abc import Iterable

from harness.engine.artifacts import Artifact, ancestry, find_step
from harness.engine.compute import Work


def input_of(artifact: Artifact, name: str) -> Artifact:
    """Return the one artifact that is the input `name`. Raises KeyError where there is none."""
    [found] = inputs_of(artifact, name)
    return found


def inputs_of(artifact: Artifact, name: str) -> tuple[Artifact, ...]:
    """Return the artifacts that are the input `name`. Raises KeyError where there is none."""
    found = artifact.inputs[name]
    return (found,) if isinstance(found, Artifact) else found


def origin(artifact: Artifact) -> Artifact:
    """Follow the inputs `policy` and `model` back to what the model of a step began as, before any training."""
    while trained := artifact.inputs.get("policy") or artifact.inputs.get("model"):
        assert isinstance(trained, Artifact)
        artifact = trained
    return artifact


def model_reference(artifact: Artifact) -> str | None:
    """Return the reference of the model that a checkpoint began as; None for an artifact that is no model."""
    began = origin(artifact)
    return None if began.inputs else began.params.get("reference")


def is_trained(artifact: Artifact) -> bool:
    """Tell whether the model that a step runs was trained in this graph, so that it is no teacher."""
    model = artifact.inputs.get("model")
    return isinstance(model, Artifact) and bool(model.inputs)


def references(artifact: Artifact) -> list[str]:
    """List the references of the data and models that an artifact is made from."""
    return [str(each.params["reference"]) for each in ancestry([artifact]) if "reference" in each.params]


def by_work(artifacts: Iterable[Artifact]) -> dict[Work, list[Artifact]]:
    """Group artifacts by the kind of work of their steps."""
    groups: dict[Work, list[Artifact]] = {}
    for each in artifacts:
        groups.setdefault(find_step(each).work, []).append(each)
    return groups


def short_label(artifact: Artifact) -> str:
    """Return what a method calls the artifact: its label without base model, method and seed."""
    words = artifact.label.split(" ")
    if "seed" in words:
        return " ".join(words[words.index("seed") + 2 :]) or artifact.step
    return artifact.label or artifact.step

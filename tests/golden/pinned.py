"""What is pinned, computed from today's code."""

import dataclasses
import inspect
import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from harness.engine.artifacts import Artifact, StepFunction, ancestry, canonical, default_of, find_step
from harness.engine.shared_store import RECORD
from harness.engine.store import Store
from harness.experiments import build_experiments
from harness.run.options import Choice

FOLDER = Path(__file__).parent


def read(name: str) -> Any:
    """The pinned values of ``<name>.json``."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def write(name: str, values: Any) -> None:
    """Pins `values`."""
    (FOLDER / f"{name}.json").write_text(json.dumps(values, indent=0, sort_keys=True) + "\n")


def mini_graph() -> list[Artifact]:
    """All artifacts of ``harness reproduce all --fast``, inputs first."""
    experiments = build_experiments("all", Choice("mini", fast=True).request())
    return ancestry(target for experiment in experiments for target in experiment.targets())


def keys() -> dict[str, list[str]]:
    """The keys of the graph, by what progress calls the artifacts."""
    found: dict[str, list[str]] = {}
    for artifact in mini_graph():
        found.setdefault(str(artifact), []).append(artifact.key)
    return {name: sorted(of) for name, of in found.items()}


def contents(run_dir: Path) -> dict[str, Any]:
    """The digests of what the graph's artifacts contain in a run directory, and the processor that made them."""
    store = Store(run_dir / "store")
    records = {each.key: json.loads((store.folder(each) / RECORD).read_text()) for each in mini_graph()}
    return {**processor(), "contents": {key: record["content"] for key, record in records.items()}}


def processor() -> dict[str, str]:
    """What a float depends on beside the code: torch's version and the instructions that it uses."""
    return {"torch": torch.__version__, "instructions": torch.backends.cpu.get_cpu_capability()}


def steps() -> dict[str, StepFunction[...]]:
    """The steps of the graph, by name."""
    return {artifact.step: find_step(artifact) for artifact in mini_graph()}


def alternatives() -> dict[str, list[type]]:
    """Where one of several dataclasses can be given, which they are: by step and parameter."""
    found = {}
    for name, function in steps().items():
        for parameter, hint in typing.get_type_hints(function.__wrapped__).items():  # type: ignore[attr-defined]
            found[f"{name}.{parameter}"] = [one for one in typing.get_args(hint) if dataclasses.is_dataclass(one)]
    return {name: of for name, of in found.items() if len(of) > 1}


def defaults() -> dict[str, Any]:
    """The defaults of all steps of the graph and of the classes of their parameters: they are no part of a key."""
    found: dict[str, Any] = {}
    for name, function in steps().items():
        found[name] = _parameter_defaults(function)
        for settings in _settings_of(function):
            found[settings.__name__] = _field_defaults(settings)
    return {name: of for name, of in found.items() if of}


def _parameter_defaults(function: StepFunction[...]) -> dict[str, Any]:
    given = inspect.signature(function).parameters.values()
    return {each.name: canonical(each.default, "") for each in given if each.default is not each.empty}


def _settings_of(function: StepFunction[...]) -> Iterator[type]:
    for hint in typing.get_type_hints(function.__wrapped__).values():  # type: ignore[attr-defined]
        yield from _dataclasses_in(hint)


def _dataclasses_in(hint: Any) -> Iterator[type]:
    """The dataclasses that a type names, and those of their fields."""
    for inner in typing.get_args(hint):
        yield from _dataclasses_in(inner)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and hint is not Artifact:
        yield hint
        for inner in typing.get_type_hints(hint).values():
            yield from _dataclasses_in(inner)


def _field_defaults(settings: type) -> dict[str, Any]:
    given = {field.name: default_of(field) for field in dataclasses.fields(settings)}
    return {name: canonical(own, "") for name, own in given.items() if own is not inspect.Parameter.empty}

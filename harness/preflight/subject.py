"""What is looked at: a run, what it needs, and where that can be read."""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from harness.backends.hub import hub_repository
from harness.backends.hub_models import lacking_files, model_files
from harness.backends.models import TEACHER, checkpoint_folder, set_chat_format
from harness.backends.openai_teacher import OPENAI
from harness.backends.stored_teacher import STORED
from harness.core.artifacts import Artifact, ancestry, find_step
from harness.core.compute import Work
from harness.core.errors import UserError
from harness.core.limits import Limits
from harness.core.records import PreferencePair, Response
from harness.core.store import Store
from harness.experiments import Experiment, Request
from harness.pipeline import plan
from harness.scales import DataRole, Scale
from methods.ingredients import MethodSettings

T = TypeVar("T")

RUNS_A_MODEL: tuple[Work, ...] = ("training", "generation", "likelihood")
EXPENSIVE: tuple[Work, ...] = (*RUNS_A_MODEL, "asking")
"""Kinds of work that nobody wants to repeat, or to pay for in vain."""

WITHOUT_WEIGHTS = (TEACHER, STORED, OPENAI)
"""How the references of teachers begin that this machine runs no model for."""

PREPARED = "prepare_model"
WEIGHTS = ".safetensors"

Row = Response | PreferencePair


@dataclass(frozen=True, slots=True)
class Stage:
    """One kind of step that runs a model: the step, and the artifact that its model began as."""

    artifact: Artifact
    base: Artifact
    work: Work


@dataclass(frozen=True)
class Subject:
    """A run that may be about to start.

    `unresolved` says by reference why a model or data set is not at hand (`harness.core.unresolved`). `aside` is a
    store that is thrown away.
    """

    request: Request
    targets: tuple[Artifact, ...]
    models: tuple[str, ...]
    store: Store
    aside: Store
    unresolved: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    """How endpoints may be asked."""
    most_rows: int | None = None
    """How many rows of a data set are looked at, the first ones; None for all."""

    @property
    def scale(self) -> Scale:
        """The scale that is run."""
        return self.request.scale

    @cached_property
    def missing(self) -> tuple[Artifact, ...]:
        """What the run would make."""
        return plan(self.targets, self.store).missing

    def origins(self) -> list[Artifact]:
        """The models and data sets that the graph begins with."""
        return [each for each in ancestry(self.targets) if "reference" in each.params]

    def name_of(self, model: Artifact) -> str:
        """What the scale calls a model that a graph begins with, or its reference."""
        return next((name for name in self.models if self.base(name) == model), model.params["reference"])

    def is_at_hand(self, reference: str) -> bool:
        """Whether the model or data set is."""
        return reference not in self.unresolved

    def checkpoint(self, base: Artifact) -> Path:
        """The folder of a model that the graph begins with, fetched or prepared as the run would. Raises UserError."""
        _require(self, base.params["reference"])
        if base.step == PREPARED:
            return _made(base, self.store, self.store)
        return checkpoint_folder(base.params["reference"])

    def described(self, base: Artifact) -> Path:
        """A folder with its configuration and tokenizer, for which no weights are fetched. Raises UserError."""
        reference = base.params["reference"]
        _require(self, reference)
        if self.has_weights(base):
            return self.checkpoint(base)
        on_hub = hub_repository("model", reference)
        assert on_hub is not None  # a model that is nowhere else has its weights here
        folder = on_hub.fetch([name for name in model_files(on_hub) if not name.endswith(WEIGHTS)])
        return self._formatted(base, folder) if base.step == PREPARED else folder

    def _formatted(self, base: Artifact, folder: Path) -> Path:
        """A copy without weights, with the chat format that the run gives the model."""
        formatted = self.aside.root / "described" / base.key
        if not formatted.exists():
            shutil.copytree(folder, formatted, ignore=shutil.ignore_patterns(f"*{WEIGHTS}"))
            template, closing = base.params["chat_template"], base.params["closing_token"]
            set_chat_format(base.params["reference"], formatted, template, closing)
        return formatted

    def has_weights(self, base: Artifact) -> bool:
        """Whether the model is on this machine as a whole."""
        if self.store.has(base) and base.step == PREPARED:
            return True
        on_hub = hub_repository("model", base.params["reference"])
        return on_hub is None or not lacking_files(on_hub.folder)

    def base(self, model: str) -> Artifact:
        """What a base model begins as."""
        return self.scale.models[model].artifact()

    def settings_of(self, model: str) -> MethodSettings:
        """The training settings of a base model."""
        return self.scale.ingredients(model, self.request.seeds[0]).settings

    def rows(self, role: DataRole, type: type[T]) -> list[T]:
        """The rows of a data set, at most `most_rows`. Raises UserError where it cannot be read, or has too few."""
        _require(self, role.reference)
        if self.most_rows is not None:
            role = replace(role, size=min(role.size, self.most_rows))
        made = role.artifact("pairs" if type is PreferencePair else "responses")
        return replace(made, bound_to=_made(made, self.store, self.aside)).rows(type)

    def training_rows(self) -> dict[str, Sequence[Row]]:
        """The rows of each training set, by the name of its role."""
        data = self.scale.data
        return {
            "demonstrations": self.rows(data.demonstrations, Response),
            "improver_data": self.rows(data.improver_data, Response),
            "preference_data": self.rows(data.preference_data, PreferencePair),
        }

    def bench_rows(self) -> dict[str, Sequence[Response]]:
        """The rows of each evaluation set, by the name of the bench; of benches that share one, the first."""
        names: dict[str, str] = {}
        for name, bench in self.scale.benches.items():
            names.setdefault(bench.baselines.reference, name)
        return {name: self.rows(self.scale.benches[name].baselines, Response) for name in names.values()}


def _require(subject: Subject, reference: str) -> None:
    if not subject.is_at_hand(reference):
        raise UserError(subject.unresolved[reference])


def _made(artifact: Artifact, finished: Store, where: Store) -> Path:
    """The artifact's folder: in `finished` if it is there, else made in `where`."""
    if finished.has(artifact):
        return finished.bind(artifact).folder
    where.build(artifact)
    return where.folder(artifact)


def works(artifacts: Iterable[Artifact]) -> dict[Work, list[Artifact]]:
    """The artifacts by what making them takes."""
    found: dict[Work, list[Artifact]] = {}
    for each in artifacts:
        found.setdefault(find_step(each).work, []).append(each)
    return found


def stages(artifacts: Iterable[Artifact]) -> Iterator[Stage]:
    """The kinds of steps among `artifacts` that run a model with weights, once for each model and settings."""
    seen: set[tuple[str, str, str]] = set()
    for work, steps in works(artifacts).items():
        if work not in RUNS_A_MODEL:
            continue
        for each in steps:
            base = origin(each)
            if str(base.params.get("reference")).startswith(WITHOUT_WEIGHTS):
                continue
            kind = (base.key, each.step, repr(each.params.get("settings", each.params.get("sampling"))))
            if kind not in seen:
                seen.add(kind)
                yield Stage(each, base, work)


def origin(artifact: Artifact) -> Artifact:
    """The model that the one which a step runs began as, before any training."""
    while trained := artifact.inputs.get("policy") or artifact.inputs.get("model"):
        assert isinstance(trained, Artifact)
        artifact = trained
    return artifact


def subject_of(request: Request, experiments: Sequence[Experiment], store: Store, aside: Store) -> Subject:
    """The run of `experiments`."""
    targets = tuple(target for each in experiments for target in each.targets())
    models = tuple(dict.fromkeys(model for each in experiments for model in each.models))
    return Subject(request, targets, models, store, aside)

"""The planned run, and how preflight checks read its models and data."""

import shutil
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from harness.engine.artifacts import Artifact, ancestry
from harness.engine.compute import Work
from harness.engine.graph import by_work, origin
from harness.engine.limits import Limits
from harness.engine.pipeline import plan
from harness.engine.store import Store
from harness.errors import UserError
from harness.experiments import Experiment, Request
from harness.models.datasets import split_sizes
from harness.models.hub import hub_repository
from harness.models.hub_models import lacking_files, model_files
from harness.models.memory import ModelShape, shape_in
from harness.models.references import WITHOUT_WEIGHTS, checkpoint_folder, set_chat_format
from harness.network import is_offline
from harness.plan.steps import GraphEstimates
from harness.recipes.benches import baseline_roles, baselines_on
from harness.recipes.recipe import Recipe
from harness.records import ROWS, PreferencePair, Response, read_rows
from harness.steps.estimates import model_shape
from harness.training.settings import TrainingSettings

RUNS_A_MODEL: tuple[Work, ...] = ("training", "generation", "likelihood")
EXPENSIVE: tuple[Work, ...] = (*RUNS_A_MODEL, "asking")
"""Kinds of work that nobody wants to repeat, or to pay for in vain."""

PREPARED = "prepare_model"
WEIGHTS = ".safetensors"

TrainingRow = Response | PreferencePair
DataSource = tuple[str, str | None]
"""The reference of a data set, and its split."""


@dataclass(frozen=True, slots=True)
class Data:
    """A data set, and what its rows are."""

    artifact: Artifact
    type: type[TrainingRow]


@dataclass(frozen=True)
class PreflightContext:
    """A run that may be about to start.

    `unresolved` says by reference why a model or data set is not at hand (`harness.engine.unresolved`). `aside` is a
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
    _read: dict[str, Sequence[TrainingRow]] = field(default_factory=dict)

    @property
    def recipe(self) -> Recipe:
        """The recipe that is run."""
        return self.request.recipe

    @cached_property
    def missing(self) -> tuple[Artifact, ...]:
        """The artifacts that the run would make."""
        return plan(self.targets, self.store).missing

    @cached_property
    def graph(self) -> GraphEstimates:
        """What steps declare of their rows and costs."""
        return GraphEstimates(self.store)

    def model_runs(self) -> dict[Artifact, list[Artifact]]:
        """Return the missing steps that run a model with weights, by what it began as; those of one work together."""
        found: dict[Artifact, list[Artifact]] = {}
        for work, steps in by_work(self.missing).items():
            for each in steps if work in RUNS_A_MODEL else ():
                if not str(origin(each).params.get("reference")).startswith(WITHOUT_WEIGHTS):
                    found.setdefault(origin(each), []).append(each)
        return found

    def origins(self) -> list[Artifact]:
        """Return the models and data sets that the graph begins with."""
        return _starts(self.targets)

    def name_of(self, model: Artifact) -> str:
        """Return the scale's name of a model that a graph begins with, or its reference."""
        return next((name for name in self.models if self.base(name) == model), model.params["reference"])

    @cached_property
    def lacking(self) -> dict[str, str]:
        """Reasons why models and data sets are not available, by reference; what the hub would give is available."""
        found = {}
        for each in self.origins():
            reference = each.params["reference"]
            try:
                if reference in self.unresolved:
                    raise UserError(self.unresolved[reference])
                hub_sizes(each)
            except UserError as error:
                found[reference] = str(error)
        return found

    def _require(self, reference: str) -> None:
        if reference in self.lacking:
            raise NotAtHand(f"{reference} is not available")

    def checkpoint(self, base: Artifact) -> Path:
        """Return the folder of a model that the graph begins with, fetched or prepared as in the run.

        Raises UserError.
        """
        self._require(base.params["reference"])
        if base.step == PREPARED:
            return _made(base, self.store, self.store)
        return checkpoint_folder(base.params["reference"])

    def described(self, base: Artifact) -> Path:
        """Return a folder with its configuration and tokenizer, for which no weights are fetched. Raises UserError."""
        reference = base.params["reference"]
        self._require(reference)
        if self.has_weights(base):
            return self.checkpoint(base)
        on_hub = hub_repository("model", reference)
        assert on_hub is not None  # a model that is nowhere else has its weights here
        folder = on_hub.fetch([name for name in model_files(on_hub) if not name.endswith(WEIGHTS)])
        return self._formatted(base, folder) if base.step == PREPARED else folder

    def shape(self, base: Artifact) -> ModelShape:
        """Return the shape of a model, of its files, or of what `harness plan` knows of models that are not at hand.

        Raises UserError where neither tells.
        """
        try:
            return shape_in(self.described(base))
        except UserError:
            if known := model_shape(base.params["reference"]):
                return known
            raise

    def known_shape(self, base: Artifact) -> ModelShape | None:
        """Return `shape`; None where nothing tells it."""
        try:
            return self.shape(base)
        except UserError:
            return None

    def _formatted(self, base: Artifact, folder: Path) -> Path:
        """Return a copy without weights, with the chat format that the run gives the model."""
        formatted = self.aside.root / "described" / base.key
        if not formatted.exists():
            shutil.copytree(folder, formatted, ignore=shutil.ignore_patterns(f"*{WEIGHTS}"))
            template, closing = base.params["chat_template"], base.params["closing_token"]
            set_chat_format(base.params["reference"], formatted, template, closing)
        return formatted

    def has_weights(self, base: Artifact) -> bool:
        """Return whether the model is completely on this machine."""
        if self.store.has(base) and base.step == PREPARED:
            return True
        on_hub = hub_repository("model", base.params["reference"])
        return on_hub is None or not lacking_files(on_hub.folder)

    def base(self, model: str) -> Artifact:
        """Return the artifact that a base model begins as."""
        return self.recipe.base_models[model].artifact()

    def all_trainings(self) -> list[Artifact]:
        """Return the trainings of the run, in the order in which they can be done."""
        return by_work(ancestry(self.targets)).get("training", [])

    def trainings(self, model: str) -> list[Artifact]:
        """Return those that begin with a base model."""
        base = self.base(model)
        return [each for each in self.all_trainings() if origin(each) == base]

    def settings(self, training: Artifact) -> TrainingSettings:
        """Return the settings of a training, on preferences or not."""
        settings: TrainingSettings = training.arguments["settings"]
        return settings

    def first_training(self, model: str, data: Artifact) -> Artifact | None:
        """Return the first training that learns from a data set, or from what was made of it; None without any."""
        return next((each for each in self.trainings(model) if source(data) in map(source, _starts([each]))), None)

    def rows(self, data: Data) -> Sequence[TrainingRow]:
        """Return the rows of a data set. Raises UserError where it cannot be read, or has too few."""
        for each in ancestry([data.artifact]):
            self._require(each.params.get("reference", ""))
        if data.artifact.key not in self._read:
            folder = _made(data.artifact, self.store, self.aside)
            self._read[data.artifact.key] = read_rows(folder / ROWS, data.type)
        return self._read[data.artifact.key]

    def training_data(self) -> dict[str, Data]:
        """Return the training sets that the run uses by the name of their role, at most `most_rows` of each.

        Where the run trains, what nothing learns from is none.
        """
        return self._roles(self._learnt or _sources(self.origins()) - self._of_benches)

    def evaluation_data(self) -> dict[str, Data]:
        """Return the evaluation sets by name: those of benches, and the data roles that a run with trainings uses, but
        does not learn from, at most `most_rows` of each of these."""
        others = _sources(self.origins()) - self._learnt - self._of_benches if self._learnt else set()
        return {**self._bench_data(), **self._roles(others)}

    @cached_property
    def _learnt(self) -> Set[DataSource]:
        return _sources(_starts(self.all_trainings()))

    @property
    def _of_benches(self) -> Set[DataSource]:
        return {(role.reference, role.split) for role in baseline_roles(self.recipe).values()}

    def _roles(self, sources: Set[DataSource]) -> dict[str, Data]:
        """Return the data roles that are taken from `sources`, at most `most_rows` of each."""
        found = {}
        for name, role in self.recipe.data.items():
            data = replace(role, size=min(role.size, self.most_rows or role.size)).artifact()
            if source(data) in sources:
                found[name] = Data(data, PreferencePair if role.kind == "pairs" else Response)
        return found

    @property
    def all_rows(self) -> "PreflightContext":
        """The same run, with all rows of its data sets."""
        return replace(self, most_rows=None)

    def _bench_data(self) -> dict[str, Data]:
        """Return the evaluation sets by the name of the bench; of benches that share one, the first."""
        first: dict[str, str] = {}
        for name, role in baseline_roles(self.recipe).items():
            first.setdefault(role.reference, name)
        return {name: Data(baselines_on(self.recipe, name), Response) for name in first.values()}


def hub_sizes(origin: Artifact) -> dict[str, int]:
    """Return the bytes of each file that is still to be fetched of a model or data set; none where all of it is here.

    Raises UserError where it is not, and cannot be fetched.
    """
    on_hub = hub_repository("dataset" if is_data(origin) else "model", origin.params["reference"])
    if on_hub is None or (not is_data(origin) and not lacking_files(on_hub.folder)):
        return {}
    sizes = split_sizes(on_hub, origin.params["split"]) if is_data(origin) else model_files(on_hub)
    needed = {name: size for name, size in sizes.items() if not (on_hub.folder / name).is_file()}
    is_whole = is_data(origin) and not needed
    if is_whole or (needed and not is_offline()):
        return needed
    raise NotAtHand(
        f"{on_hub.title} is incomplete in the local cache; run `harness prefetch` on a machine with network access"
    )


def is_data(origin: Artifact) -> bool:
    """Return whether what a graph begins with is a data set; a model otherwise."""
    return "model" not in origin.step


def _starts(targets: Iterable[Artifact]) -> list[Artifact]:
    return [each for each in ancestry(targets) if "reference" in each.params]


def source(data: Artifact) -> DataSource:
    """Return where a data set is taken from, whatever its size."""
    return data.params["reference"], data.params.get("split")


def _sources(starts: Iterable[Artifact]) -> set[DataSource]:
    return set(map(source, starts))


class NotAtHand(UserError):
    """A model or data set cannot be had, which a check of its own says."""


def _made(artifact: Artifact, finished: Store, where: Store) -> Path:
    """Return the artifact's folder: in `finished` if it is there, else made in `where`."""
    if finished.has(artifact):
        return finished.bind(artifact).folder
    for each in ancestry([artifact]):
        where.build(each)
    return where.folder(artifact)


def preflight_context(
    request: Request, experiments: Sequence[Experiment], store: Store, aside: Store
) -> PreflightContext:
    """Return the context of the run of `experiments`."""
    targets = tuple(target for each in experiments for target in each.targets())
    models = tuple(dict.fromkeys(model for each in experiments for model in each.models))
    return PreflightContext(request, targets, models, store, aside)

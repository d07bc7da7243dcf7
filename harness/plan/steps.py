"""The rows and the cost of each step: rows counted where they are there, else followed from the data."""

import json
from dataclasses import dataclass, replace
from itertools import islice
from math import ceil

from harness.engine.artifacts import Artifact, find_step
from harness.engine.compute import Work
from harness.engine.graph import model_reference, short_label
from harness.engine.limits import Limits
from harness.engine.store import Store
from harness.errors import UserError
from harness.plan.hardware import Device, Devices, Hardware, Kind, Speed, speed
from harness.recipes.recipe import Recipe
from harness.records import ROWS
from harness.steps.cost import (
    COUNTED_ROWS,
    Asking,
    Cost,
    CostContext,
    Fetch,
    Generation,
    Likelihood,
    Range,
    RowEstimate,
    Training,
    UnknownCost,
    about,
    counted_rows,
    is_embedded,
    total,
)
from harness.steps.estimates import PlanNote, load_estimates, model_shape

NOTHING = Range(0.0, 0.0, 0.0)


class GraphEstimates:
    """Rows and costs that the steps of a graph declare of their artifacts."""

    def __init__(self, store: Store | None) -> None:
        """Count in `store` the rows that are there already; None for a store that does not exist."""
        self._store = store
        self._found: dict[tuple[str, str], RowEstimate] = {}

    def rows(self, artifact: Artifact) -> RowEstimate:
        """Return the rows that `artifact` has or is expected to have. Raises UnknownCost."""
        place = artifact.key, artifact.label  # what rows are called depends on who asks for them
        if place not in self._found:
            declared = find_step(artifact).rows
            if declared is None:
                raise UnknownCost(f"it is not known how many rows {artifact.step} makes")
            rows: RowEstimate = declared(CostContext(artifact, self.rows))
            content = rows.content or short_label(artifact).partition("@")[0]
            self._found[place] = replace(self._count(artifact, rows) or rows, content=content)
        return self._found[place]

    def most_rows(self, artifact: Artifact) -> int | None:
        """Return how many rows `artifact` has at most; None where it cannot be told."""
        rows = self.known_rows(artifact)
        return rows.most if rows else None

    def known_rows(self, artifact: Artifact) -> RowEstimate | None:
        """Return `rows`; None where it cannot be told."""
        try:
            return self.rows(artifact)
        except UnknownCost:
            return None

    def content(self, artifact: Artifact) -> str:
        """Say what rows `artifact` has: the data set they were read from, or what made them of which."""
        try:
            return self.rows(artifact).content
        except UnknownCost:
            return short_label(artifact)

    def cost(self, artifact: Artifact) -> Cost | None:
        """Return what making `artifact` takes; None for next to nothing. Raises UnknownCost."""
        step = find_step(artifact)
        if step.cost is None and step.work_of(artifact) != "light":
            raise UnknownCost("its step declares no cost")
        found: Cost | None = step.cost(CostContext(artifact, self.rows)) if step.cost else None
        return found

    def known_cost(self, artifact: Artifact) -> Cost | None:
        """Return `cost`; None where it cannot be told."""
        try:
            return self.cost(artifact)
        except UnknownCost:
            return None

    def _count(self, artifact: Artifact, declared: RowEstimate) -> RowEstimate | None:
        """Count rows that are in the store; None for those that are not.

        Rows without a prompt, such as questions of several turns, have the lengths that are `declared` of them.
        """
        if self._store is None or not self._store.has(artifact):
            return None
        path = self._store.folder(artifact) / ROWS
        count = self._store.record(artifact)["counts"].get("rows")
        if count is None or not path.is_file():
            return None
        with path.open(encoding="utf-8") as lines:
            sample = [json.loads(line) for line in islice(lines, COUNTED_ROWS)]
        if any("prompt" not in row for row in sample):
            return declared.first(int(count))
        return counted_rows(sample, int(count), in_words=is_embedded(artifact))


@dataclass(frozen=True, slots=True)
class StepCost:
    """The cost of one step. `devices` are those it occupies for `seconds`; 0 for one that needs none."""

    artifact: Artifact
    work: Work
    seconds: Range
    devices: int
    declared: Cost | None = None
    kind: Kind | None = None
    """What a model is run for; None where none is run."""
    tokens: Range = NOTHING
    """That a model is trained on, draws or scores."""
    speed: Speed | None = None
    assumptions: frozenset[PlanNote] = frozenset()
    unknown: str = ""
    """Why nothing is known of its cost; empty where it is."""

    @property
    def device_seconds(self) -> Range:
        """Seconds times devices."""
        return self.seconds.times(self.devices)

    @property
    def asking(self) -> Asking | None:
        """The requests to an endpoint that the step declares; None for none."""
        return self.declared if isinstance(self.declared, Asking) else None

    @property
    def fetch(self) -> Fetch | None:
        """The download that the step declares; None for none."""
        return self.declared if isinstance(self.declared, Fetch) else None


@dataclass(frozen=True)
class StepCosts:
    """The costs of the steps of one run on one machine."""

    recipe: Recipe
    machine: Devices
    hardware: Hardware
    graph: GraphEstimates
    limits: Limits

    @property
    def device(self) -> Device:
        """What the machine has of."""
        return self.hardware.devices[self.machine.device]

    def of(self, artifact: Artifact) -> StepCost:
        """Forecast what making `artifact` takes, or say why that is not known."""
        try:
            return self._forecast(artifact, self.graph.cost(artifact))
        except UnknownCost as error:
            return StepCost(artifact, find_step(artifact).work_of(artifact), NOTHING, 0, unknown=str(error))

    def _forecast(self, artifact: Artifact, cost: Cost | None) -> StepCost:
        match cost:
            case Training():
                found = self._training(artifact, cost)
            case Generation():
                rows = self.graph.rows(artifact)
                found = self._running(artifact, "generation", "generation", rows, rows.count * rows.answer)
            case Likelihood():
                rows = self.graph.rows(cost.data)
                tokens = rows.count * cost.tokens(rows)
                found = self._running(artifact, "likelihood", "likelihood", rows, tokens)
            case Asking():
                reply = load_estimates().asking
                waited = cost.calls * (reply.long_seconds if cost.explains else reply.short_seconds)
                seconds = about(waited / self.limits.concurrency, 0.5)
                found = StepCost(artifact, "asking", seconds, self._light_devices, assumptions=cost.assumptions)
            case _:
                light = self.device.seconds_per_step.get("light", 1.0)
                found = StepCost(artifact, "light", Range(light / 10, light, light * 5), self._light_devices)
        return replace(found, declared=cost)

    def _training(self, artifact: Artifact, cost: Training) -> StepCost:
        rows, settings = self.graph.rows(cost.data), cost.settings
        tokens = rows.count * cost.tokens(rows) * settings.epochs
        training = self._running(artifact, "training", "preference" if cost.loss else "sft", rows, tokens)
        parts = [training]
        if cost.scores_reference:
            parts.append(self._running(artifact, "training", "likelihood", rows, tokens))
        if drawn := cost.drawn_tokens(rows) * settings.epochs:
            parts.append(self._running(artifact, "training", "generation", rows, drawn))
        return replace(training, seconds=total(each.seconds for each in parts))

    def _running(self, artifact: Artifact, work: Work, kind: Kind, rows: RowEstimate, tokens: float) -> StepCost:
        """Forecast a model's run over so many `tokens` of `rows`. Raises UnknownCost."""
        reference, amount = model_reference(artifact) or "", about(tokens, rows.spread)
        shape = model_shape(reference)
        if shape is None:
            raise UnknownCost(f"nothing is known of the size of {reference}")
        try:
            known = speed(self.hardware, self.machine.device, kind, shape.parameters)
        except UserError as error:
            raise UnknownCost(str(error)) from None
        devices = self._devices_for(work)
        start = self.device.seconds_per_step.get(work, 0.0)
        seconds = amount.over(known.tokens_per_second.times(devices)) + Range(start / 2, start, start * 2)
        return StepCost(
            artifact, work, seconds, devices, kind=kind, tokens=amount, speed=known, assumptions=rows.assumptions
        )

    def _devices_for(self, work: Work) -> int:
        """Count the devices that a step of this kind occupies; no more than there are."""
        needs, has_gpus = self.recipe.compute.needs(work), self.device.is_gpu
        wanted = needs.gpus or (self.recipe.compute.processes if work == "training" else 1)
        return max(1, min(wanted if has_gpus else needs.cpus, self.machine.devices))

    @property
    def _light_devices(self) -> int:
        """Count the devices of a step that runs no model: none where they are GPUs."""
        return 0 if self.device.is_gpu else 1


def optimizer_steps(cost: Training, rows: int) -> int:
    """Count the steps of a training on `rows` rows; the last batch of an epoch may be smaller."""
    return ceil(rows / cost.settings.global_batch_size) * cost.settings.epochs

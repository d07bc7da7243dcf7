"""The forecast of a run: its steps, time, memory, disk, calls of endpoints, money."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from typing import Literal

from harness.endpoints.known_models import Price, price_of
from harness.endpoints.reference import EndpointReference
from harness.engine.artifacts import Artifact, ancestry
from harness.engine.graph import model_reference
from harness.engine.limits import Limits
from harness.engine.pipeline import plan
from harness.engine.store import Store
from harness.engine.unresolved import has_placeholder
from harness.errors import UserError
from harness.models.gguf import GGUF
from harness.models.hf import LOGITS_AT_ONCE
from harness.models.hub import is_repository
from harness.models.memory import Memory, ModelShape, checkpoint_bytes, generation_memory, likelihood_memory
from harness.plan.hardware import Device, Devices, Kind, load_hardware
from harness.plan.schedule import Task, critical_path, makespan
from harness.plan.settings import Stage
from harness.plan.steps import GraphEstimates, StepCost, StepCosts
from harness.recipes.recipe import Recipe
from harness.steps.cost import Asking, Likelihood, Range, Training, at_each_bound, total
from harness.steps.estimates import load_estimates, model_shape
from harness.training.batches import spread
from harness.training.memory import reference_memory, resume_bytes, stage_memory, stage_spread

State = Literal["found", "to run", "unknown"]
"""Of a step: in the store; not there; or not to be told, since what it is made from is not resolved yet."""

GB = 1e9
BYTES_PER_TOKEN = 10
"""Of a saved row: its text, the token ids beside it, and the same again in verdicts."""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step of the graph: whether it is there, and what making it takes. `took` are the seconds it took, if it is."""

    state: State
    cost: StepCost
    took: float | None = None


@dataclass(frozen=True, slots=True)
class WorkTotal:
    """The total of all steps of one kind."""

    kind: str
    steps: int
    device_seconds: Range
    tokens: Range


@dataclass(frozen=True, slots=True)
class ApiTotal:
    """The calls of one endpoint model for one purpose, and their cost; None where the price is not known."""

    purpose: str
    model: str
    calls: int
    prompt_tokens: Range
    completion_tokens: Range
    usd: Range | None
    usd_batch: Range | None


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """The peak of one kind of work with one model, in bytes of one device."""

    model: str
    work: str
    shape: ModelShape
    memory: Memory
    at: str
    """What it is the peak of."""


@dataclass(frozen=True, slots=True)
class DiskNeed:
    """Bytes on the disk, and what they are for."""

    what: str
    bytes: float
    stays: bool = True


@dataclass(frozen=True)
class Forecast:
    """All that a run takes."""

    machine: Devices
    device: Device
    steps: tuple[PlannedStep, ...]
    work: tuple[WorkTotal, ...]
    apis: tuple[ApiTotal, ...]
    memory: tuple[MemoryNeed, ...]
    disk: tuple[DiskNeed, ...]
    wall: Range
    """Seconds on this machine."""
    longest_chain: Range
    """Seconds, however many devices there are."""
    usd_per_hour: Range | None
    hours_are_your_price: bool

    @property
    def to_run(self) -> list[PlannedStep]:
        """Steps that are not known to be there."""
        return [step for step in self.steps if step.state != "found"]

    @property
    def device_seconds(self) -> Range:
        """Of all steps to run."""
        return total(each.device_seconds for each in self.work)

    @property
    def device_usd(self) -> Range | None:
        """For the time that devices are at work; a node that is rented whole is paid for while it waits, too."""
        return self.usd_per_hour and self.device_seconds.times(1 / 3600).product(self.usd_per_hour)

    @property
    def rented_usd(self) -> Range | None:
        """For all devices from the start to the end."""
        return self.usd_per_hour and self.wall.times(self.machine.devices / 3600).product(self.usd_per_hour)

    def api_usd(self, who: str = "") -> Range | None:
        """Sum up what endpoints cost, as far as prices are known; "teacher" or "judge" alone where one is named."""
        known = [api.usd for api in self.apis if api.usd and api.purpose.startswith(who)]
        return total(known) if known else None

    @property
    def usd(self) -> Range | None:
        """Devices rented from start to end, and endpoints; None where neither's price is known."""
        known = [each for each in (self.rented_usd, self.api_usd()) if each]
        return total(known) if known else None

    @property
    def looked_back(self) -> tuple[float, Range] | None:
        """(Device seconds that the steps took that are there, what would have been forecast for them.)"""
        done = [step for step in self.steps if step.took is not None and not step.cost.unknown and step.cost.devices]
        took = sum((step.took or 0.0) * step.cost.devices for step in done)
        return (took, total(step.cost.device_seconds for step in done)) if done else None


def planned_steps(targets: Sequence[Artifact], store: Store | None, costs: StepCosts) -> tuple[PlannedStep, ...]:
    """Look at each step behind the targets, inputs first: what is there, what is to be run, and what cannot be told."""
    everything = ancestry(targets)
    missing = {artifact.key for artifact in (plan(targets, store).missing if store else everything)}
    unknown: set[str] = set()
    found = []
    for artifact in everything:
        if has_placeholder(artifact.params) or any(parent.key in unknown for parent in artifact.parents()):
            unknown.add(artifact.key)
        state: State = "unknown" if artifact.key in unknown else "to run" if artifact.key in missing else "found"
        took = store.record(artifact)["seconds"] if store and store.has(artifact) else None
        found.append(PlannedStep(state, costs.of(artifact), took))
    return tuple(found)


def forecast(
    stages: Sequence[Stage], steps: tuple[PlannedStep, ...], costs: StepCosts, usd_per_hour: float | None
) -> Forecast:
    """Forecast what `steps` take on the machine of `costs`. Raises UserError for a global batch that cannot be
    spread."""
    to_run = [step.cost for step in steps if step.state != "found"]
    for stage in stages:
        spread(stage.settings.global_batch_size, costs.recipe.compute)
    return Forecast(
        machine=costs.machine,
        device=costs.device,
        steps=steps,
        work=_work_totals(to_run),
        apis=_api_totals(to_run, batch=costs.limits.batch),
        memory=tuple(_memory(stages, steps, costs)),
        disk=tuple(disk_needs(to_run, costs.recipe)),
        wall=_times(to_run, lambda tasks: makespan(tasks, costs.machine.devices)),
        longest_chain=_times(to_run, critical_path),
        usd_per_hour=_hourly(costs.device, usd_per_hour),
        hours_are_your_price=usd_per_hour is not None,
    )


def _work_totals(costs: Iterable[StepCost]) -> tuple[WorkTotal, ...]:
    """Sum up by kind of step, those that occupy no device left out."""
    by_kind: defaultdict[str, list[StepCost]] = defaultdict(list)
    for cost in costs:
        if cost.devices:
            by_kind[_TITLES[cost.kind]].append(cost)
    return tuple(
        WorkTotal(kind, len(each), total(cost.device_seconds for cost in each), total(cost.tokens for cost in each))
        for kind, each in by_kind.items()
    )


_TITLES: Mapping[Kind | None, str] = {
    "sft": "training, SFT and improver",
    "preference": "training, preferences",
    "generation": "generation",
    "likelihood": "likelihoods",
    None: "light steps",
}


def _api_totals(costs: Iterable[StepCost], *, batch: bool) -> tuple[ApiTotal, ...]:
    """Sum up by purpose and endpoint. Judges alone are asked through the Batch API."""
    by_purpose: defaultdict[tuple[str, str, EndpointReference], list[Asking]] = defaultdict(list)
    for asking in filter(None, (cost.asking for cost in costs)):
        by_purpose[asking.role, asking.purpose, asking.endpoint].append(asking)
    found = []
    for (role, purpose, endpoint), calls in by_purpose.items():
        prompt, completion = (
            total(each.prompt_tokens for each in calls),
            total(each.completion_tokens for each in calls),
        )
        price, is_judge = price_of(endpoint), role == "judge"
        usd = _usd(price, prompt, completion, batch=batch and is_judge)
        usd_batch = _usd(price, prompt, completion, batch=True) if is_judge else None
        n_calls = sum(each.calls for each in calls)
        found.append(ApiTotal(f"{role}, {purpose}", endpoint.model, n_calls, prompt, completion, usd, usd_batch))
    return tuple(found)


def _usd(price: Price | None, prompt: Range, completion: Range, *, batch: bool) -> Range | None:
    if price is None or price.usd(0, 0, batch=batch) is None:
        return None
    return at_each_bound(lambda of: price.usd(int(of(prompt)), int(of(completion)), batch=batch) or 0.0)


def _memory(stages: Sequence[Stage], steps: Iterable[PlannedStep], costs: StepCosts) -> Iterator[MemoryNeed]:
    """Find the largest need of each kind of work, by base model."""
    compute, on_gpu = costs.recipe.compute, costs.device.is_gpu
    declared = [step.cost.declared for step in steps]
    likelihoods = [each for each in declared if isinstance(each, Likelihood)]
    scored_at_once = max((each.batch_size for each in likelihoods if each.pairs is None), default=0)
    of_pairs = [each.pairs.longest(costs.graph.known_rows(each.data)) for each in likelihoods if each.pairs]
    for model in dict.fromkeys(stage.model for stage in stages):
        own = [stage for stage in stages if stage.model == model]
        shape = model_shape(model_reference(own[0].artifact) or "")
        if shape is None:
            continue
        needs = [
            stage_memory(shape, each.settings, compute, size=each.size, on_gpu=on_gpu, models_beside=each.models_beside)
            for each in own
        ]
        peak, stage = max(zip(needs, own, strict=True), key=lambda each: each[0].total)
        rows = stage_spread(shape, stage.settings, compute, stage.size).micro_batch_size
        yield MemoryNeed(model, "training", shape, peak, f"{stage.name}: {rows} rows of {stage.size.tokens:,} tokens")
        length = stage.settings.max_length
        tokens = length + costs.recipe.sampling.max_new_tokens
        at_least = generation_memory(shape, rows=1, length=tokens)
        yield MemoryNeed(model, "generation", shape, at_least, f"weights, and the cache of one row of {tokens:,}")
        if scored_at_once:
            scoring = likelihood_memory(shape, rows=scored_at_once, length=length, most_logits=LOGITS_AT_ONCE)
            largest = f"rows with {LOGITS_AT_ONCE / 1e6:,.0f}M logits at once"
            yield MemoryNeed(model, "likelihoods", shape, scoring, largest)
        if of_pairs:
            size = max(of_pairs, key=lambda each: each.tokens)
            at = f"pairs of {size.tokens:,} tokens"
            yield MemoryNeed(model, "references", shape, reference_memory(shape, size), at)


def disk_totals(needs: Iterable[DiskNeed]) -> tuple[float, float]:
    """Sum up (bytes at the end, bytes at the peak)."""
    all_needs = list(needs)
    at_end = sum(need.bytes for need in all_needs if need.stays)
    return at_end, at_end + sum(need.bytes for need in all_needs if not need.stays)


def disk_needs(costs: Sequence[StepCost], recipe: Recipe) -> Iterator[DiskNeed]:
    """List what is saved and fetched; what a running training leaves to go on from is gone when it has ended."""
    trainings = [
        (shape, cost.declared.settings)
        for cost in costs
        if isinstance(cost.declared, Training) and (shape := model_shape(model_reference(cost.artifact) or ""))
    ]
    trained = [shape for shape, _ in trainings]
    if trained:
        what = f"trained checkpoints, weights in float32 ({len(trained)})"
        yield DiskNeed(what, sum(map(checkpoint_bytes, trained)))
    fetched = {cost.fetch.reference: cost.fetch.kind for cost in costs if cost.fetch}
    shapes = {each: shape for each, kind in fetched.items() if kind == "model" and (shape := model_shape(each))}
    on_hub = [shape.parameters * shape.stored_bytes for each, shape in shapes.items() if is_repository(each)]
    if on_hub:
        yield DiskNeed(f"base models as they are on the hub ({len(on_hub)})", sum(map(float, on_hub)))
    converted = [shape.parameters * shape.stored_bytes for each, shape in shapes.items() if each.startswith(GGUF)]
    if converted:
        yield DiskNeed(f"converted base models ({len(converted)})", sum(map(float, converted)))
    named = {each.partition("@")[0] for each, kind in fetched.items() if kind == "dataset"}
    if data := [size for each in named if (size := load_estimates().of_data(each).download_mb)]:
        yield DiskNeed(f"data sets ({len(data)})", sum(size * 1e6 for size in data))
    written = sum(cost.tokens.expected for cost in costs if cost.work in ("generation", "asking"))
    written += sum(cost.asking.prompt_tokens.expected for cost in costs if cost.asking)
    yield DiskNeed("rows: answers, pairs, verdicts", written * BYTES_PER_TOKEN)
    if trained and recipe.compute.save_every:
        what = "while a training runs: weights and optimizer to go on from, two at the moment of saving"
        yield DiskNeed(what, 2.0 * max(starmap(resume_bytes, trainings)), stays=False)


def _times(costs: Sequence[StepCost], measure: Callable[[Sequence[Task]], float]) -> Range:
    """Measure all steps at their shortest, as expected, and at their longest."""
    return at_each_bound(lambda of: measure([Task(cost.artifact, of(cost.seconds), cost.devices) for cost in costs]))


def _hourly(device: Device, usd_per_hour: float | None) -> Range | None:
    if usd_per_hour is not None:
        return Range(usd_per_hour, usd_per_hour, usd_per_hour)
    price = device.usd_per_hour
    return Range(price.low, (price.low + price.high) / 2, price.high) if price else None


def step_costs(
    recipe: Recipe,
    run_dir: Path,
    store: Store | None,
    limits: Limits,
    device: str | None = None,
    devices: int | None = None,
) -> StepCosts:
    """Reckon on the scale's machine, or what is named in its place, as it was measured in `run_dir`, if it was.

    Raises UserError for an unknown device, and for a table that is not in order.
    """
    hardware = load_hardware(run_dir)
    machine = hardware.machine(recipe.name, recipe.compute, device, devices)
    return StepCosts(recipe, machine, hardware, GraphEstimates(store), limits)


def expected_seconds(targets: Iterable[Artifact], recipe: Recipe, store: Store, limits: Limits) -> dict[str, float]:
    """Reckon the seconds of each step behind the targets, by key, as `harness plan` does on the scale's machine.

    Steps of which nothing is known are left out; so are all where nothing can be reckoned, which is no reason not to
    run.
    """
    try:
        costs = step_costs(recipe, store.root.parent, store, limits)
        found = {artifact.key: costs.of(artifact) for artifact in ancestry(targets)}
    except UserError:
        return {}
    return {key: cost.seconds.expected for key, cost in found.items() if not cost.unknown}


def disk_bytes(missing: Iterable[Artifact], recipe: Recipe, store: Store, limits: Limits) -> tuple[float, float]:
    """Reckon the bytes that making `missing` leaves on the disk, and those at the peak, as `harness plan` does."""
    costs = step_costs(recipe, store.root.parent, store, limits)
    return disk_totals(disk_needs([costs.of(each) for each in missing], recipe))

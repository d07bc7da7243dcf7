"""What a run takes in all: steps and what is there of them, time, memory, disk, calls of endpoints, money."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.endpoints.known_models import Price, price_of
from harness.endpoints.reference import JudgeReference
from harness.engine.artifacts import Artifact, ancestry
from harness.engine.limits import Limits
from harness.engine.pipeline import plan
from harness.engine.store import Store
from harness.engine.unresolved import has_placeholder
from harness.experiments import Experiment
from harness.models.gguf import GGUF
from harness.models.hf import LOGITS_AT_ONCE
from harness.models.hub import is_repository
from harness.models.memory import Memory, ModelShape, checkpoint_bytes, generation_memory, likelihood_memory
from harness.plan.estimates import Estimates, model_shape, without_revision
from harness.plan.hardware import Device, Hardware, Machine
from harness.plan.ranges import Range, total
from harness.plan.rows import BASES, model_reference
from harness.plan.schedule import Task, critical_path, makespan
from harness.plan.settings import Stage
from harness.plan.steps import SEQUENCES, Calls, StepCost, StepCosts
from harness.recipes.recipe import Recipe
from harness.steps.perplexity import BATCH_SIZE as LIKELIHOODS_AT_ONCE
from harness.training.batches import spread
from harness.training.memory import resume_bytes, stage_memory

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
    """What all steps of one kind take."""

    kind: str
    steps: int
    device_seconds: Range
    tokens: Range


@dataclass(frozen=True, slots=True)
class ApiTotal:
    """What one endpoint model is asked, for one purpose, and what that costs; None where the price is not known."""

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
    """Bytes by what they are for."""

    what: str
    bytes: float
    stays: bool = True


@dataclass(frozen=True)
class Forecast:
    """All of it."""

    machine: Machine
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
        if self.usd_per_hour is None:
            return None
        return _product(self.device_seconds.times(1 / 3600), self.usd_per_hour)

    @property
    def rented_usd(self) -> Range | None:
        """For all devices from the start to the end."""
        if self.usd_per_hour is None:
            return None
        return _product(self.wall.times(self.machine.devices / 3600), self.usd_per_hour)

    def api_usd(self, who: str = "") -> Range | None:
        """What endpoints cost, as far as prices are known; "teacher" or "judge" alone where one is named."""
        known = [api.usd for api in self.apis if api.usd and api.purpose.startswith(who)]
        return total(known) if known else None

    @property
    def usd(self) -> Range | None:
        """Devices rented from start to end, and endpoints; None where neither's price is known."""
        known = [each for each in (self.rented_usd, self.api_usd()) if each]
        return total(known) if known else None

    @property
    def disk_bytes(self) -> tuple[float, float]:
        """(kept at the end, at the peak)."""
        kept = sum(need.bytes for need in self.disk if need.stays)
        return kept, kept + sum(need.bytes for need in self.disk if not need.stays)

    @property
    def looked_back(self) -> tuple[float, Range] | None:
        """Of the steps that are there: (device seconds that they took, what would have been forecast)."""
        done = [step for step in self.steps if step.took is not None and not step.cost.unknown and step.cost.devices]
        if not done:
            return None
        return sum((step.took or 0.0) * step.cost.devices for step in done), total(
            step.cost.device_seconds for step in done
        )


def planned_steps(targets: Sequence[Artifact], store: Store | None, costs: StepCosts) -> tuple[PlannedStep, ...]:
    """Each step behind the targets, inputs first: what is there, what is to be run, and what cannot be told."""
    everything = ancestry(targets)
    unknown: set[str] = set()
    for artifact in everything:
        if has_placeholder(artifact.params) or any(parent.key in unknown for parent in artifact.parents()):
            unknown.add(artifact.key)
    missing = {artifact.key for artifact in (plan(targets, store).missing if store else everything)}
    return tuple(_planned(artifact, artifact.key in unknown, missing, store, costs) for artifact in everything)


def _planned(
    artifact: Artifact, unknown: bool, missing: set[str], store: Store | None, costs: StepCosts
) -> PlannedStep:
    state: State = "unknown" if unknown else "to run" if artifact.key in missing else "found"
    took = store.record(artifact)["seconds"] if store and store.has(artifact) else None
    return PlannedStep(state, costs.of(artifact), took)


def forecast(
    experiments: Sequence[Experiment],
    scale: Recipe,
    stages: Sequence[Stage],
    steps: tuple[PlannedStep, ...],
    machine: Machine,
    hardware: Hardware,
    estimates: Estimates,
    usd_per_hour: float | None,
    limits: Limits,
) -> Forecast:
    """What `steps` take on `machine`. Raises UserError for a global batch that cannot be spread."""
    device = hardware.devices[machine.device]
    to_run = [step.cost for step in steps if step.state != "found"]
    for stage in stages:
        spread(stage.settings.global_batch_size, scale.compute)
    return Forecast(
        machine=machine,
        device=device,
        steps=steps,
        work=_work_totals(to_run),
        apis=_api_totals(to_run, batch=limits.batch),
        memory=tuple(_memory(stages, scale, on_gpu=device.is_gpu)),
        disk=tuple(disk_needs(to_run, scale, estimates)),
        wall=_times(to_run, lambda tasks: makespan(tasks, machine.devices)),
        longest_chain=_times(to_run, critical_path),
        usd_per_hour=_hourly(device, usd_per_hour),
        hours_are_your_price=usd_per_hour is not None,
    )


def _work_totals(costs: Iterable[StepCost]) -> tuple[WorkTotal, ...]:
    """By kind of step, those that occupy no device left out."""
    by_kind: defaultdict[str, list[StepCost]] = defaultdict(list)
    for cost in costs:
        if cost.devices:
            by_kind[_kind(cost)].append(cost)
    return tuple(
        WorkTotal(kind, len(each), total(cost.device_seconds for cost in each), total(cost.tokens for cost in each))
        for kind, each in by_kind.items()
    )


def _kind(cost: StepCost) -> str:
    if cost.work == "training":
        return "training, preferences" if "pairs" in cost.artifact.inputs else "training, SFT and improver"
    return {"generation": "generation", "likelihood": "likelihoods"}.get(cost.work, "light steps")


def _api_totals(costs: Iterable[StepCost], *, batch: bool) -> tuple[ApiTotal, ...]:
    """By purpose and endpoint. Judges alone are asked through the Batch API."""
    by_purpose: defaultdict[tuple[str, JudgeReference], list[Calls]] = defaultdict(list)
    for cost in costs:
        if cost.calls:
            by_purpose[_purpose(cost.artifact), cost.calls.endpoint].append(cost.calls)
    return tuple(_api_total(purpose, endpoint, calls, batch) for (purpose, endpoint), calls in by_purpose.items())


def _purpose(artifact: Artifact) -> str:
    if artifact.step == "judge_pairs":
        return f"judge, {artifact.params['protocol']}"
    return "teacher, improvements" if artifact.step == "refine" else "teacher, answers"


def _api_total(purpose: str, endpoint: JudgeReference, calls: Sequence[Calls], batch: bool) -> ApiTotal:
    prompt, completion = total(each.prompt_tokens for each in calls), total(each.completion_tokens for each in calls)
    price, is_judge = price_of(endpoint), purpose.startswith("judge")
    return ApiTotal(
        purpose=purpose,
        model=endpoint.model,
        calls=sum(each.calls for each in calls),
        prompt_tokens=prompt,
        completion_tokens=completion,
        usd=_usd(price, prompt, completion, batch=batch and is_judge),
        usd_batch=_usd(price, prompt, completion, batch=True) if is_judge else None,
    )


def _usd(price: Price | None, prompt: Range, completion: Range, *, batch: bool) -> Range | None:
    if price is None or price.usd(0, 0, batch=batch) is None:
        return None
    low, expected, high = (
        price.usd(int(getattr(prompt, name)), int(getattr(completion, name)), batch=batch) or 0.0
        for name in ("low", "expected", "high")
    )
    return Range(low, expected, high)


def _memory(stages: Sequence[Stage], scale: Recipe, *, on_gpu: bool) -> Iterator[MemoryNeed]:
    """The largest need of each kind of work, by base model."""
    compute = scale.compute
    by_model: defaultdict[str, list[Stage]] = defaultdict(list)
    for stage in stages:
        by_model[stage.model].append(stage)
    for model, own in by_model.items():
        shape = model_shape(model_reference(own[0].artifact) or "")
        if shape is None:
            continue
        training = [(_training_need(stage, shape, scale, on_gpu), stage) for stage in own]
        peak, at = max(training, key=lambda each: each[0].total)
        how = spread(at.settings.global_batch_size, compute)
        rows = how.micro_batch_size * (SEQUENCES if at.beta is not None else 1)
        length = at.settings.max_length
        yield MemoryNeed(model, "training", shape, peak, f"{at.name}: {rows} sequences of {length:,}")
        tokens = length + scale.sampling.max_new_tokens
        at_least = generation_memory(shape, rows=1, length=tokens)
        yield MemoryNeed(model, "generation", shape, at_least, f"weights, and the cache of one row of {tokens:,}")
        scoring = likelihood_memory(shape, rows=LIKELIHOODS_AT_ONCE, length=length, most_logits=LOGITS_AT_ONCE)
        yield MemoryNeed(model, "likelihoods", shape, scoring, f"rows with {LOGITS_AT_ONCE / 1e6:,.0f}M logits at once")


def _training_need(stage: Stage, shape: ModelShape, scale: Recipe, on_gpu: bool) -> Memory:
    sequences = SEQUENCES if stage.beta is not None else 1
    return stage_memory(shape, stage.settings, scale.compute, sequences=sequences, on_gpu=on_gpu)


def disk_needs(costs: Sequence[StepCost], scale: Recipe, estimates: Estimates) -> Iterator[DiskNeed]:
    """What is saved and fetched; what a running training leaves to go on from is gone when it has ended."""
    trained = [shape for cost in costs if cost.work == "training" and (shape := _shape(cost.artifact))]
    if trained:
        what = f"trained checkpoints, weights in float32 ({len(trained)})"
        yield DiskNeed(what, sum(map(checkpoint_bytes, trained)))
    bases = {str(cost.artifact.params["reference"]) for cost in costs if cost.artifact.step in BASES}
    known = {reference: shape for reference in bases if (shape := model_shape(reference))}
    fetched = [shape for reference, shape in known.items() if is_repository(reference)]
    if fetched:
        yield DiskNeed(f"base models as they are on the hub ({len(fetched)})", sum(map(_stored_bytes, fetched)))
    converted = [shape for reference, shape in known.items() if reference.startswith(GGUF)]
    if converted:
        yield DiskNeed(f"converted base models ({len(converted)})", sum(map(_stored_bytes, converted)))
    data = [each for each in _data_sets(costs) if estimates.of_data(each).download_mb]
    if data:
        yield DiskNeed(f"data sets ({len(data)})", sum(estimates.of_data(each).download_mb * 1e6 for each in data))
    written = sum(cost.tokens.expected for cost in costs if cost.work in ("generation", "asking"))
    written += sum(cost.calls.prompt_tokens.expected for cost in costs if cost.calls)
    yield DiskNeed("rows: answers, pairs, verdicts", written * BYTES_PER_TOKEN)
    if trained and scale.compute.save_every:
        what = "while a training runs: weights and optimizer to go on from, two at the moment of saving"
        yield DiskNeed(what, 2.0 * max(map(resume_bytes, trained)), stays=False)


def _shape(artifact: Artifact) -> ModelShape | None:
    reference = model_reference(artifact)
    return model_shape(reference) if reference else None


def _stored_bytes(shape: ModelShape) -> float:
    return float(shape.parameters * shape.stored_bytes)


def _data_sets(costs: Sequence[StepCost]) -> set[str]:
    named = {
        without_revision(str(cost.artifact.params["reference"])) for cost in costs if cost.artifact.step == "load_rows"
    }
    official = {
        f"official:{cost.artifact.params['bench']}" for cost in costs if cost.artifact.step == "baseline_responses"
    }
    return named | official


def _times(costs: Sequence[StepCost], measure: Callable[[Sequence[Task]], float]) -> Range:
    """The measure of all steps at their shortest, as expected, and at their longest."""
    low, expected, high = (
        measure([Task(cost.artifact, getattr(cost.seconds, name), cost.devices) for cost in costs])
        for name in ("low", "expected", "high")
    )
    return Range(low, expected, high)


def _hourly(device: Device, usd_per_hour: float | None) -> Range | None:
    if usd_per_hour is not None:
        return Range(usd_per_hour, usd_per_hour, usd_per_hour)
    price = device.usd_per_hour
    return Range(price.low, (price.low + price.high) / 2, price.high) if price else None


def _product(one: Range, other: Range) -> Range:
    return Range(one.low * other.low, one.expected * other.expected, one.high * other.high)

"""The machine: what it has, against what a run takes."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from harness.engine.artifacts import Artifact
from harness.engine.compute import Resources, Work
from harness.engine.executor import work_of
from harness.engine.graph import by_work, origin
from harness.engine.main_memory import GIB, main_memory
from harness.errors import UserError
from harness.models.hf import BATCH_SIZE, BATCH_TOKENS, LOGITS_AT_ONCE
from harness.models.memory import PROCESS_BYTES, Memory, ModelShape, generation_memory, likelihood_memory
from harness.plan.forecast import disk_bytes
from harness.preflight.check import Check
from harness.preflight.context import PreflightContext, hub_sizes
from harness.steps.cost import Cost, Generation, Likelihood, Training
from harness.texts import counted, gigabytes
from harness.training.batches import most_processes
from harness.training.launch import require_launchable, require_one_process
from harness.training.memory import RowSize, reference_memory, stage_memory, stage_spread

TIGHT = 0.8
"""Of what is there: an estimate above it is warned of."""

MAX_CPU_PARAMETERS = 10**9
"""Parameters; training a model of more without a GPU takes months, and a few rows of it many minutes."""

PACKAGES = ("torch", "transformers", "trl", "datasets")


@dataclass(frozen=True, slots=True)
class LocalMachine:
    """The hardware of a machine, in bytes; `gpus` is the memory of each, `memory` what this process may use in all."""

    processors: int
    memory: int
    free_memory: int
    gpus: tuple[int, ...] = ()
    gpu: str = ""

    def __str__(self) -> str:
        if self.gpus:
            return f"{len(self.gpus)} × {self.gpu}, {gib(min(self.gpus))} each"
        return f"no GPU; {self.processors} processors, {gib(self.memory)} of memory, {gib(self.free_memory)} of it free"


def local_machine() -> LocalMachine:
    """Return the hardware here; inside a container, what it may use."""
    import torch

    count = torch.cuda.device_count()
    gpus = [torch.cuda.get_device_properties(number) for number in range(count)]
    memory = main_memory()
    return LocalMachine(
        processors=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory=memory.total,
        free_memory=memory.free,
        gpus=tuple(gpu.total_memory for gpu in gpus),
        gpu=gpus[0].name if gpus else "",
    )


def machine_checks(context: PreflightContext, machine: LocalMachine | None = None) -> Iterator[Check]:
    """Check device, packages, resources of each kind of step, training processes, memory and disk; by default here.

    The nodes of a Ray cluster, which run its steps, are not looked at.
    """
    machine = machine or local_machine()
    yield Check("ok", "device", str(machine))
    yield _training_processes(context, machine)
    if context.recipe.compute.executor == "ray":
        yield Check("ok", "cluster", "Ray gives steps their resources; its nodes are not checked from here")
    else:
        yield from _packages(context)
        yield from _resources(context, machine)
        yield from (_memory_for(base, steps, context, machine) for base, steps in context.model_runs().items())
    if context.recipe.compute.store is None:
        yield _disk(context)


def _resources(context: PreflightContext, machine: LocalMachine) -> Iterator[Check]:
    """Check the resources that the scale gives to the missing steps, if it gives any.

    It fails where `Workers.prepare` does, with too few GPUs, and where there is none for a large model; it warns where
    steps have all there is instead.
    """
    there = Resources(len(machine.gpus), machine.processors, machine.memory / GIB)
    to_be_done = set(map(work_of, context.missing))
    for work, wanted in context.recipe.compute.resources.items():
        if work not in to_be_done:
            continue
        what = f"resources for {work}"
        where = f"resources.{work} of the machine of {context.recipe.where}"
        clamped = list(_clamped(wanted, there))
        if wanted.gpus and not there.gpus and (model := _too_large_for_processors(context, work)):
            mend = "run it on a machine with GPUs (`harness plan` says what it takes there), or on another --scale"
            lacks = f"asks for {counted(wanted.gpus, 'GPU')}, there is none, and {model} would take months without"
            yield Check("failure", what, f"{where} {lacks}: {mend}")
        elif 0 < there.gpus < wanted.gpus:
            detail = f"{where} asks for {counted(wanted.gpus, 'GPU')}, and this machine has {there.gpus}"
            mend = "run it where there are more, or lower it"
            mend += ", for training by --processes" if work == "training" else ""
            yield Check("failure", what, f"{detail}: {mend}")
        elif clamped:
            yield Check("warning", what, f"{where} asks for {'; '.join(clamped)}")
        else:
            yield Check("ok", what, "the machine has what the scale asks for")


def _too_large_for_processors(context: PreflightContext, work: Work) -> str:
    """Return the first model too large for this kind of step, with its parameters; empty where there is none."""
    for base in (base for base, steps in context.model_runs().items() if by_work(steps).get(work)):
        shape = context.known_shape(base)
        if shape and shape.parameters > MAX_CPU_PARAMETERS:
            return f"{context.name_of(base)} with {shape.parameters / 1e9:.1f} billion parameters"
    return ""


def _clamped(wanted: Resources, there: Resources) -> Iterator[str]:
    """Return the resources that are asked for in vain, and what steps have instead."""
    if wanted.gpus and not there.gpus:
        yield f"{counted(wanted.gpus, 'GPU')}: there is none, everything runs on the processors"
    if wanted.cpus > there.cpus:
        yield f"{counted(wanted.cpus, 'processor')}: a step has all {there.cpus}"
    if wanted.memory_gb > there.memory_gb:
        yield f"{wanted.memory_gb:g} GiB of main memory: a step counts for all {there.memory_gb:.4g}"


def _trainings(context: PreflightContext) -> Iterator[Training]:
    """Yield what is known of the trainings that are to be run."""
    costs = map(context.graph.known_cost, by_work(context.missing).get("training", []))
    return (cost for cost in costs if isinstance(cost, Training))


def _training_processes(context: PreflightContext, machine: LocalMachine) -> Check:
    """Check the spread of training: the accelerate config, its processes, and each stage's batch."""
    compute, what = context.recipe.compute, "training processes"
    detail = f"{compute.processes} with the accelerate config {compute.accelerate!r}"
    try:
        require_launchable(compute.accelerate, compute.processes)
        if any(cost.online for cost in _trainings(context)):
            require_one_process(compute.accelerate)
        spreads = {
            stage_spread(context.known_shape(origin(each)), cost.settings, compute, _longest(cost, context))
            for each in by_work(context.missing).get("training", [])
            if isinstance(cost := context.graph.known_cost(each), Training)
        }
    except UserError as error:
        return Check("failure", what, str(error))
    if machine.gpus and compute.executor == "local" and compute.processes > len(machine.gpus):
        fitting = most_processes({each.global_batch_size for each in spreads}, compute, len(machine.gpus))
        mend = f"pass --processes {fitting}, or run it where there are more"
        return Check("failure", what, f"{detail}, and {counted(len(machine.gpus), 'GPU')}: {mend}")
    each = "; ".join(
        f"a global batch of {one.global_batch_size} is {one.processes} × {one.micro_batch_size} rows ×"
        f" {one.accumulation} passes"
        for one in sorted(spreads, key=lambda one: (one.global_batch_size, one.micro_batch_size))
    )
    return Check("ok", what, f"{detail}; {each}" if each else detail)


def _packages(context: PreflightContext) -> Iterator[Check]:
    recipe = context.recipe
    wanted = (*PACKAGES, "vllm") if recipe.sampling.engine == "vllm" else PACKAGES
    lacking = [name for name in wanted if find_spec(name) is None]
    for name in lacking:
        why = f", and {recipe.where} generates with it" if name == "vllm" else ""
        yield Check("failure", f"package {name}", f"not installed{why}: pip install {name}")
    if not lacking:
        yield Check("ok", "packages", ", ".join(wanted))


def _memory_for(base: Artifact, steps: list[Artifact], context: PreflightContext, machine: LocalMachine) -> Check:
    """Check the memory of each kind of step with one model, on one GPU or in main memory."""
    what, compute, on_gpu = f"memory for {context.name_of(base)}", context.recipe.compute, bool(machine.gpus)
    longest = max((context.settings(each).max_length for each in context.all_trainings()), default=0)
    takes: dict[str, float] = {}
    try:
        shape = context.shape(base)
        for step in steps:
            cost = context.graph.known_cost(step)
            estimate = _stage_memory(cost, shape, longest, context, on_gpu).total + PROCESS_BYTES
            alike = compute.processes if isinstance(cost, Training) and not on_gpu else 1
            takes[step.step] = max(takes.get(step.step, 0.0), alike * estimate)
    except UserError as error:
        return Check("warning", what, f"not estimated: {error}")
    limit, which_memory = (min(machine.gpus), "on a GPU") if on_gpu else (machine.memory, "of memory")
    detail = f"{', '.join(f'{step} {gib(most)}' for step, most in takes.items())}, of {gib(limit)} {which_memory}"
    most = max(takes.values())
    side_by_side = 1 if on_gpu else machine.processors // compute.needs("training").cpus or 1
    mend = "lower --micro-batch-size, set gradient_checkpointing in the recipe's machine, or take a larger machine"
    if most > limit:
        return Check("failure", what, f"{detail}: {mend}")
    if most * side_by_side > TIGHT * limit:
        several = f", and {side_by_side} steps may run side by side" if side_by_side > 1 else ""
        return Check("warning", what, f"{detail}{several}: it may not be enough; {mend}")
    if not on_gpu and most * side_by_side > machine.free_memory:
        return Check("warning", what, f"{detail}, {gib(machine.free_memory)} of it free: end what else is running")
    return Check("ok", what, detail)


def _stage_memory(
    cost: Cost | None, shape: ModelShape, max_length: int, context: PreflightContext, on_gpu: bool
) -> Memory:
    """Estimate from above: every row as long as training allows, prompt and answer together."""
    match cost:
        case Training():
            size = _longest(cost, context)
            compute, beside = context.recipe.compute, cost.models_beside
            return stage_memory(shape, cost.settings, compute, size=size, on_gpu=on_gpu, models_beside=beside)
        case Likelihood(data, _, pairs) if pairs:
            return reference_memory(shape, pairs.longest(context.graph.known_rows(data)))
        case Likelihood():
            return likelihood_memory(shape, rows=cost.batch_size, length=max_length, most_logits=LOGITS_AT_ONCE)
        case Generation(sampling):
            batch_size = max(1, min(BATCH_SIZE, BATCH_TOKENS // sampling.max_new_tokens))
            rows = 1 if sampling.engine == "vllm" else batch_size
            return generation_memory(shape, rows=rows, length=max(max_length, sampling.max_new_tokens))
        case _:
            raise UserError("a step that runs it declares no cost")


def _longest(cost: Training, context: PreflightContext) -> RowSize:
    return cost.longest(context.graph.known_rows(cost.data))


def _disk(context: PreflightContext) -> Check:
    """Check the disk space for what is still to be made and fetched, as `harness plan` estimates it."""
    missing = [
        each
        for each in context.missing
        if "reference" not in each.params or each.params["reference"] in context.lacking or hub_sizes(each)
    ]
    at_the_end, peak = disk_bytes(missing, context.recipe, context.store, context.limits)
    free = shutil.disk_usage(context.store.root).free
    trainings = by_work(context.missing).get("training", [])
    made = counted(len(trainings), "checkpoint")
    takes = f"{gigabytes(peak)} at the peak, {gigabytes(at_the_end)} at the end, with {made}"
    detail = f"{takes}; {gigabytes(free)} free in {context.store.root}"
    if peak > free:
        return Check("failure", "disk", f"{detail}: free some space, or choose another --run-dir")
    if unknown := [base for base in dict.fromkeys(map(origin, trainings)) if context.known_shape(base) is None]:
        names = ", ".join(sorted(map(context.name_of, unknown)))
        return Check("warning", "disk", f"{detail}; the checkpoints of {names} come on top")
    if peak > TIGHT * free:
        return Check("warning", "disk", f"{detail}: it may not be enough")
    return Check("ok", "disk", detail)


def gib(size: float) -> str:
    """Format bytes of memory, as GiB."""
    return f"{size / GIB:.3g} GiB" if size >= GIB / 100 else f"{size / 2**20:.2g} MiB"

"""What a training is, how a global batch is spread over processes, and what a killed training leaves to go on from."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from harness.core.compute import Compute
from harness.core.errors import UserError

Precision = Literal["float32", "bfloat16"]
Optimizer = Literal["adamw", "rmsprop"]
Schedule = Literal["cosine", "linear"]

SINGLE = "single"
"""The accelerate config of a training that runs in the step's own process."""
LOSSES = "losses.jsonl"
"""Beside a trained checkpoint: the loss of every optimizer step."""
REFERENCE = "reference-"
"""In the trainer's folder, before the number of a process: what its batches are to the weights that it starts with."""
WHOLE = "whole.json"
"""Written into a checkpoint once everything else of it is on the disk."""


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Optimisation settings (section 4.2). `global_batch_size` is the effective one, whatever it is spread over.

    `precision` is that of the forward and backward passes; weights and optimizer are kept in float32. The optimizers
    are torch's AdamW without weight decay and RMSprop without momentum; `schedule` is how the learning rate goes to
    zero after `warmup_share` of the steps.
    """

    learning_rate: float
    epochs: int
    global_batch_size: int
    max_length: int
    warmup_share: float
    precision: Precision = "float32"
    optimizer: Optimizer = "adamw"
    schedule: Schedule = "cosine"

    def __post_init__(self) -> None:
        """Raises ValueError for what no training can have. A rate of 0 shows losses and gradients, and changes nothing.

        The trainer would read a share of 1 or more as a number of steps.
        """
        for name in ("epochs", "global_batch_size", "max_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)}")
        if self.learning_rate < 0:
            raise ValueError(f"learning_rate must not be negative, but is {self.learning_rate:g}")
        if not 0 <= self.warmup_share < 1:
            raise ValueError(f"warmup_share is a share of all steps, from 0 to below 1, not {self.warmup_share:g}")


@dataclass(frozen=True, slots=True)
class PreferenceSettings:
    """Settings of a DPO stage: `beta` is Eq. 6's."""

    beta: float
    training: TrainingSettings

    def __post_init__(self) -> None:
        """Raises ValueError for a β that makes the loss a constant, or turns it round."""
        if not self.beta > 0:
            raise ValueError(f"beta must be above 0, not {self.beta:g}")


@dataclass(frozen=True, slots=True)
class StepLoss:
    """The mean loss of one optimizer step, over its whole global batch; None where it was no finite number."""

    step: int
    loss: float | None


class Progress(Protocol):
    """What hears of steps done: `Tracker`."""

    def advance(self, count: int = 1) -> None:
        """`count` more are done."""
        ...


class Track(Protocol):
    """Opens a progress display for an amount of work, some of it done: `Output.track`."""

    def __call__(self, work: int, unit: str, done: int = 0) -> Progress: ...


def autocast(precision: Precision, device: str) -> AbstractContextManager[Any]:
    """What forward passes of training, and of the reference that it is measured against, run in.

    Weights that are rounded for a layer are not kept for the next one: of a model in shards, that would gather it.
    """
    import torch

    if precision == "float32":
        return nullcontext()
    return torch.autocast(device, torch.bfloat16, cache_enabled=False)


@dataclass(frozen=True, slots=True)
class Spread:
    """A global batch as processes see it: `processes` × `micro_batch_size` × `accumulation` examples."""

    processes: int
    micro_batch_size: int
    accumulation: int

    @property
    def global_batch_size(self) -> int:
        """Examples an optimizer step."""
        return self.processes * self.micro_batch_size * self.accumulation


def spread(global_batch_size: int, compute: Compute) -> Spread:
    """How `compute` spreads the global batch. Raises UserError, with numbers that would do, where it cannot evenly."""
    processes = compute.processes
    if processes < 1 or global_batch_size % processes:
        raise UserError(
            f"a global batch of {global_batch_size} cannot be spread over {processes} processes; in the scale's "
            f"compute, set processes to {_divisors(global_batch_size)}"
        )
    share = global_batch_size // processes
    micro = share if compute.micro_batch_size is None else compute.micro_batch_size
    if micro < 1 or share % micro:
        raise UserError(
            f"micro_batch_size {micro} does not divide a process's share of the global batch, {share} of "
            f"{global_batch_size}; in the scale's compute, set it to {_divisors(share)}"
        )
    return Spread(processes, micro, share // micro)


def _divisors(number: int) -> str:
    *others, last = (str(each) for each in range(1, number + 1) if number % each == 0)
    return f"{', '.join(others)} or {last}" if others else last


def micro_batches(order: Sequence[int], lengths: Sequence[int], how: Spread, process: int) -> list[list[int]]:
    """Which rows `process` takes, one list a forward pass, for an epoch in this order.

    Each run of `how.global_batch_size` rows of `order` is one optimizer step, however it is spread; where a step takes
    several forward passes, rows of like length go through the same one. In the last, smaller step every process makes
    equally many passes, some of them with an empty list.
    """
    taken: list[list[int]] = []
    for start in range(0, len(order), how.global_batch_size):
        batch = list(order[start : start + how.global_batch_size])
        if how.processes * how.accumulation > 1:
            batch.sort(key=lambda row: lengths[row])
        at_once = how.processes * how.micro_batch_size
        for first in range(0, len(batch), at_once):
            mine = first + process * how.micro_batch_size
            taken.append(batch[mine : mine + how.micro_batch_size])
    return taken


class EpochBatches:
    """`micro_batches` of one process as a batch sampler, in the order that seed and epoch give."""

    def __init__(self, lengths: Sequence[int], how: Spread, process: int, seed: int) -> None:
        self._lengths, self._how, self._process, self._seed = lengths, how, process, seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """The next iteration is that of `epoch`."""
        self._epoch = epoch

    def __len__(self) -> int:
        rows, size = len(self._lengths), self._how.global_batch_size
        passes = -(-(rows % size) // (self._how.processes * self._how.micro_batch_size))
        return rows // size * self._how.accumulation + passes

    def __iter__(self) -> Iterator[list[int]]:
        import torch

        random = torch.Generator().manual_seed(self._seed + self._epoch)
        order = torch.randperm(len(self._lengths), generator=random).tolist()
        return iter(micro_batches(order, self._lengths, self._how, self._process))


@dataclass(frozen=True, slots=True)
class Job:
    """One training, as the processes that carry it out are told."""

    kind: Literal["sft", "dpo"]
    model: str
    """The checkpoint folder to start from."""
    out: str
    """The folder that becomes the trained checkpoint."""
    settings: TrainingSettings
    beta: float
    """Of DPO; 0 elsewhere."""
    seed: int
    spread: Spread
    accelerate: str
    gradient_checkpointing: bool
    save_every: int | None
    is_own_reference: bool = False
    """Of DPO: whether the reference is what it starts from, scored in the training's own batches."""

    @property
    def trainer_folder(self) -> Path:
        """Where checkpoints go while the training runs."""
        return Path(self.out) / "trainer"

    def reference_file(self, process: int) -> Path:
        """Where the reference's log-probabilities of a process's batches are kept until the training has ended."""
        return self.trainer_folder / f"{REFERENCE}{process}.json"

    @property
    def splitting(self) -> str:
        """What a checkpoint's files depend on beside the step: a checkpoint of another splitting cannot be read."""
        return f"{self.accelerate} {self.spread.processes} {self.spread.micro_batch_size}"


# Checkpoints of a running training


def mark_whole(checkpoint: Path, job: Job, window: Mapping[str, Any]) -> None:
    """Makes `checkpoint` one to go on from, once it lies on the disk, and removes the others.

    `window` is what the trainer knows and does not save: what it has counted since it last logged.
    """
    for path in sorted(checkpoint.rglob("*")):
        _sync(path)
    aside = checkpoint / f".{WHOLE}"
    aside.write_text(json.dumps({"splitting": job.splitting, "window": window}), encoding="utf-8")
    _sync(aside)
    aside.replace(checkpoint / WHOLE)
    _sync(checkpoint)
    _remove_others(job, checkpoint)


def last_whole(job: Job) -> tuple[Path, dict[str, Any]] | None:
    """The checkpoint to go on from and its window; None where there is none. Half-written ones are no checkpoints."""
    found = sorted(job.trainer_folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    for checkpoint in reversed(found):
        try:
            mark = json.loads((checkpoint / WHOLE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if mark["splitting"] == job.splitting:
            return checkpoint, mark["window"]
    return None


def remove_all_but(job: Job, checkpoint: Path | None) -> None:
    """Leaves `checkpoint` alone in the trainer's folder, which exists afterwards."""
    _remove_others(job, checkpoint)
    job.trainer_folder.mkdir(parents=True, exist_ok=True)


def _remove_others(job: Job, checkpoint: Path | None) -> None:
    """What goes on from a checkpoint needs the reference's log-probabilities beside it."""
    for path in job.trainer_folder.glob("*"):
        if checkpoint is None or (path != checkpoint and not path.name.startswith(REFERENCE)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

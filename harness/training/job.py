"""One training, as the processes that carry it out know it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from harness.training.batches import Spread
from harness.training.settings import TrainingSettings

SINGLE = "single"
"""The accelerate config of a training that runs in the step's own process."""
LOSSES = "losses.jsonl"
"""Beside a trained checkpoint: the loss of every optimizer step."""
REFERENCE = "reference-"
"""In the trainer's folder, before the number of a process: what its batches are to the weights that it starts with."""


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

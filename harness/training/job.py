"""The description of one training that is handed to the processes that carry it out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from harness.training.batches import Spread
from harness.training.settings import TrainingSettings

SINGLE = "single"
"""The accelerate config of a training that runs in the step's own process."""
LOSSES = "losses.jsonl"
"""File beside a trained checkpoint: the loss of every optimizer step."""
REFERENCE = "reference-"
"""Start of the files, one a process, with the log-probabilities of its batches under the initial weights."""


@dataclass(frozen=True, slots=True)
class StepLoss:
    """The mean loss of one optimizer step, over its whole global batch; None where it was no finite number."""

    step: int
    loss: float | None


class Progress(Protocol):
    """A receiver of progress: `Tracker`."""

    def advance(self, count: int = 1) -> None:
        """Report `count` more done."""
        ...


class Track(Protocol):
    """A function that opens a progress display for an amount of work, some of it done: `Output.track`."""

    def __call__(self, work: int, unit: str, done: int = 0) -> Progress: ...


@dataclass(frozen=True, slots=True)
class Job:
    """One training: model, settings, and how its batches are spread over processes."""

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
        """The folder of checkpoints while the training runs."""
        return Path(self.out) / "trainer"

    def reference_file(self, process: int) -> Path:
        """Return the file with the reference's log-probabilities of a process's batches, there until training ends."""
        return self.trainer_folder / f"{REFERENCE}{process}.json"

    @property
    def splitting(self) -> str:
        """The layout that a checkpoint's files depend on: a checkpoint of another one cannot be resumed."""
        return f"{self.accelerate} {self.spread.processes} {self.spread.micro_batch_size}"

"""The description of one training that is handed to the processes that carry it out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.engine.compute import Tracking
from harness.training.batches import Spread
from harness.training.losses import PreferenceLoss
from harness.training.settings import OnlineSettings, TrainingSettings

SINGLE = "single"
"""The accelerate config of a training that runs in the step's own process."""
CURVES = "train.jsonl"
"""File beside a trained checkpoint: `TrainingStep` rows."""
REFERENCE = "reference-"
"""Start of the files, one a process, with the log-probabilities of its batches under the initial weights."""


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """One optimizer step; means are over its whole global batch, and None stands for no finite number."""

    step: int
    loss: float | None
    learning_rate: float | None
    gradient_norm: float | None
    """Before it is clipped."""
    reward_margin: float | None = None
    """Of a preference loss, as all below: the reward of the chosen answer minus that of the rejected one."""
    reward_accuracy: float | None = None
    """The share of pairs whose chosen answer has the higher reward; a tie counts half."""
    chosen_log_probability: float | None = None
    """log π of an answer, in nats."""
    rejected_log_probability: float | None = None


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

    model: str
    """The checkpoint folder to start from."""
    out: str
    """The folder that becomes the trained checkpoint."""
    settings: TrainingSettings
    seed: int
    spread: Spread
    accelerate: str
    gradient_checkpointing: bool
    save_every: int | None
    loss: PreferenceLoss | None = None
    """Of a training on pairs; None for supervised fine-tuning."""
    is_own_reference: bool = False
    """Of a training on pairs: whether the reference is what it starts from, scored in the training's own batches."""
    online: OnlineSettings | None = None
    """Of a training on pairs that are made while it runs."""
    tracking: Tracking | None = None
    """What the curves are handed on to as well."""

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

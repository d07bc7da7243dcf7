"""The rows, settings and looks that tests of whole trainings share."""

from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import torch
from safetensors.torch import load_file

from harness.engine.artifacts import Tracker
from harness.engine.progress import Event, silent
from harness.mini.roles import read_role
from harness.records import PreferencePair, Response, read_rows
from harness.training.job import CURVES, TrainingStep
from harness.training.losses import Dpo
from harness.training.reference import ReferenceScorer
from harness.training.rows import ReferenceLogProbabilities
from harness.training.settings import TrainingSettings

ROOT = Path(__file__).parents[2]
STILL = TrainingSettings(learning_rate=0.0, epochs=1, global_batch_size=1, max_length=256, warmup_share=0.0)
"""Ten steps over ten examples that change no weight."""
WHOLE = replace(STILL, global_batch_size=10)
"""All ten in one step."""
MOVING = TrainingSettings(learning_rate=1e-3, epochs=3, global_batch_size=4, max_length=256, warmup_share=0.1)
"""Nine steps; the last of each epoch has two examples."""
DPO = Dpo(beta=0.5)


@dataclass(frozen=True)
class Trained:
    """What a training left, returned and told."""

    folder: Path
    metrics: dict[str, float]
    heard: list[Event]


def examples() -> list[Response]:
    return [row for row in read_role("demonstrations", 10) if isinstance(row, Response)]


def preferences() -> list[PreferencePair]:
    return [row for row in read_role("preference_data", 10) if isinstance(row, PreferencePair)]


def untracked(work: int, unit: str, done: int = 0) -> Tracker:
    return Tracker(work, unit, done, silent)


def reference_of(folder: Path) -> list[ReferenceLogProbabilities]:
    return ReferenceScorer(folder, STILL.max_length, "float32").log_probabilities(preferences())


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    return weights


def digest(folder: Path) -> str:
    return sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def curves(folder: Path) -> list[TrainingStep]:
    return read_rows(folder / CURVES, TrainingStep)


def losses_of(folder: Path) -> list[float]:
    return [row.loss for row in curves(folder) if row.loss is not None]

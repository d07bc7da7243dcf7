"""Losses of 30 optimizer steps on the embedded scale, for each way of training."""

from pathlib import Path

import torch

from harness.engine.artifacts import Tracker
from harness.engine.progress import silent
from harness.mini.roles import read_role
from harness.records import PreferencePair, Response, read_rows
from harness.training.job import CURVES, TrainingStep
from harness.training.losses import Dpo
from harness.training.preferences import run_preferences
from harness.training.reference import ReferenceScorer
from harness.training.settings import TrainingSettings
from harness.training.sft import run_sft

STEPS = 30
BATCH = 8
SFT = TrainingSettings(learning_rate=5e-4, epochs=1, global_batch_size=BATCH, max_length=256, warmup_share=0.1)
RMSPROP = TrainingSettings(1e-4, 1, BATCH, max_length=256, warmup_share=0.1, optimizer="rmsprop", schedule="linear")


def losses(base: Path, folder: Path) -> dict[str, list[float]]:
    """The loss of each step of SFT, and of DPO with both optimizers, from the checkpoint `base`."""
    torch.set_num_threads(1)  # as in the workers of a run: the number of threads can change the last bit of a sum
    rows = read_role("demonstrations", STEPS * BATCH)
    run_sft(base, [row for row in rows if isinstance(row, Response)], SFT, seed=0, out=folder / "sft", track=_track)
    pairs = [row for row in read_role("preference_data", STEPS * BATCH) if isinstance(row, PreferencePair)]
    reference = ReferenceScorer(base, SFT.max_length, "float32").log_probabilities(pairs)
    for name, beta, settings in (("dpo", 0.1, SFT), ("dpo-rmsprop", 0.5, RMSPROP)):
        run_preferences(base, pairs, reference, Dpo(beta=beta), settings, seed=0, out=folder / name, track=_track)
    return {name: _losses_in(folder / name) for name in ("sft", "dpo", "dpo-rmsprop")}


def _losses_in(folder: Path) -> list[float]:
    return [step.loss for step in read_rows(folder / CURVES, TrainingStep) if step.loss is not None]


def _track(work: int, unit: str, done: int = 0) -> Tracker:
    return Tracker(work, unit, done, silent)

"""Losses of 30 optimizer steps on the embedded scale, for each way of training."""

from pathlib import Path

import torch

from harness.engine.artifacts import Tracker
from harness.engine.progress import silent
from harness.mini.roles import read_role
from harness.records import PreferencePair, Response, read_rows
from harness.training.dpo import run_dpo
from harness.training.job import LOSSES, StepLoss
from harness.training.reference import ReferenceScorer
from harness.training.settings import PreferenceSettings, TrainingSettings
from harness.training.sft import run_sft

STEPS = 30
BATCH = 8
SFT = TrainingSettings(learning_rate=5e-4, epochs=1, global_batch_size=BATCH, max_length=256, warmup_share=0.1)
DPO = PreferenceSettings(0.1, SFT)
RMSPROP = PreferenceSettings(
    0.5, TrainingSettings(1e-4, 1, BATCH, max_length=256, warmup_share=0.1, optimizer="rmsprop", schedule="linear")
)


def losses(base: Path, folder: Path) -> dict[str, list[float]]:
    """The loss of each step of SFT, and of DPO with both optimizers, from the checkpoint `base`."""
    torch.set_num_threads(1)  # as in the workers of a run: the number of threads can change the last bit of a sum
    rows = read_role("demonstrations", STEPS * BATCH)
    run_sft(base, [row for row in rows if isinstance(row, Response)], SFT, seed=0, out=folder / "sft", track=_track)
    pairs = [row for row in read_role("preference_data", STEPS * BATCH) if isinstance(row, PreferencePair)]
    reference = ReferenceScorer(base, SFT.max_length, "float32").log_probabilities(pairs)
    for name, settings in (("dpo", DPO), ("dpo-rmsprop", RMSPROP)):
        run_dpo(base, pairs, reference, settings, seed=0, out=folder / name, track=_track)
    return {name: _losses_in(folder / name) for name in ("sft", "dpo", "dpo-rmsprop")}


def _losses_in(folder: Path) -> list[float]:
    return [step.loss for step in read_rows(folder / LOSSES, StepLoss) if step.loss is not None]


def _track(work: int, unit: str, done: int = 0) -> Tracker:
    return Tracker(work, unit, done, silent)

"""Batches in parts, recomputed activations and half precision: the same training, but for rounding."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.engine.compute import Compute
from harness.training.losses import Dpo
from harness.training.preferences import run_preferences
from harness.training.sft import sft_gradient
from tests.training.helpers import MOVING, STILL, Trained, examples, losses_of, preferences, untracked, weights_of

SPLIT = Compute(micro_batch_size=1)
"""A global batch of four in four forward passes."""


@pytest.mark.parametrize("trainer", ["sft", "dpo"])
def test_a_batch_in_parts_is_the_same_batch(trainer: str, request: Any, tmp_path: Path) -> None:
    """4×1 is 1×4, also in the last batch of an epoch, which has two rows here."""
    whole: Trained = request.getfixturevalue(f"moved_{trainer}")
    request.getfixturevalue(trainer)(MOVING, name="parts", compute=SPLIT)
    losses = losses_of(whole.folder)
    assert len(losses) == 9
    assert losses_of(tmp_path / "parts") == pytest.approx(losses, abs=5e-5)
    weights, others = weights_of(whole.folder), weights_of(tmp_path / "parts")
    assert all(torch.allclose(weights[each], others[each], atol=1e-4) for each in weights)


def test_gradients_are_the_same_in_parts(base: Path, tmp_path: Path) -> None:
    """A mean of means would be another one: the answers differ in length."""
    still = replace(STILL, global_batch_size=8)
    whole, *others = (
        sft_gradient(base, examples(), still, out=tmp_path, compute=Compute(micro_batch_size=size))
        for size in (8, 4, 1)
    )
    for other in others:
        assert float((whole - other).norm() / whole.norm()) < 1e-5


def test_gradient_checkpointing_changes_nothing(sft: Any, moved_sft: Trained, tmp_path: Path) -> None:
    sft(MOVING, compute=Compute(gradient_checkpointing=True))
    assert losses_of(tmp_path / "sft") == pytest.approx(losses_of(moved_sft.folder), abs=1e-6)


@pytest.mark.parametrize("trainer", ["sft", "dpo"])
def test_half_precision_is_that_of_the_passes_alone(trainer: str, request: Any, tmp_path: Path) -> None:
    whole: Trained = request.getfixturevalue(f"moved_{trainer}")
    request.getfixturevalue(trainer)(replace(MOVING, epochs=1, precision="bfloat16"), name="half")
    assert {each.dtype for each in weights_of(tmp_path / "half").values()} == {torch.float32}
    first, half = losses_of(whole.folder)[0], losses_of(tmp_path / "half")[0]
    assert first == pytest.approx(half, rel=0.02)
    assert first != half


@pytest.mark.parametrize("compute", [Compute(), Compute(micro_batch_size=2)], ids=["whole", "in parts"])
def test_a_policy_is_level_with_itself_in_half_precision_batch_by_batch(
    base: Path, tmp_path: Path, compute: Compute
) -> None:
    """Scored in other batches, a pair is up to a tenth of a nat off; in the training's own, nothing."""
    still = replace(MOVING, learning_rate=0.0, epochs=2, precision="bfloat16")
    pairs, loss = preferences(), Dpo(beta=5.0)
    run_preferences(base, pairs, None, loss, still, seed=0, out=tmp_path, track=untracked, compute=compute)
    assert losses_of(tmp_path) == pytest.approx([math.log(2)] * 6, abs=1e-6)

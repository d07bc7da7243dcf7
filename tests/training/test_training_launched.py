"""Training in two processes that share the weights, through `accelerate launch`, on processors."""

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.engine.compute import Compute
from harness.errors import UserError
from harness.training import loop
from harness.training.job import Track
from harness.training.losses import Dpo
from harness.training.preferences import run_preferences
from harness.training.reference import ReferenceScorer
from harness.training.settings import Lora
from harness.training.sft import run_sft
from tests.training.helpers import (
    DPO,
    MOVING,
    ROOT,
    STILL,
    curves,
    examples,
    losses_of,
    preferences,
    reference_of,
    untracked,
    weights_of,
)
from tests.training.test_preferences import assert_steps_alike

pytestmark = pytest.mark.slow

ALONE = Compute()
SHARDED = Compute(accelerate="fsdp", processes=2)
IN_PARTS = Compute(accelerate="fsdp", processes=2, micro_batch_size=1, save_every=2)


def train(trainer: str, base: Path, policy: Path, out: Path, compute: Compute, track: Track = untracked) -> None:
    """Nine steps; the last of each epoch has two rows."""
    if trainer == "sft":
        run_sft(base, examples(), MOVING, seed=0, out=out, track=track, compute=compute)
    else:
        pairs, reference = preferences(), None if trainer == "dpo, own reference" else reference_of(base)
        run_preferences(policy, pairs, reference, DPO, MOVING, seed=0, out=out, track=track, compute=compute)


def train_with_adapters(base: Path, out: Path, compute: Compute) -> None:
    settings = replace(MOVING, learning_rate=5e-3, lora=Lora(rank=4, alpha=8, dropout=0.0))
    run_preferences(base, preferences(), None, DPO, settings, seed=0, out=out, track=untracked, compute=compute)


def assert_alike(one: Path, other: Path) -> None:
    for step, same_step in zip(curves(one), curves(other), strict=True):
        assert_steps_alike(step, same_step)
    weights, others = weights_of(one), weights_of(other)
    assert weights.keys() == others.keys()
    assert all(torch.allclose(weights[name], others[name], atol=2e-4) for name in weights)
    assert sorted(path.name for path in one.iterdir()) == sorted(path.name for path in other.iterdir())


@pytest.mark.parametrize("trainer", ["sft", "dpo", "dpo, own reference"])
@pytest.mark.parametrize("compute", [SHARDED, IN_PARTS], ids=["whole shares", "in parts"])
def test_two_processes_train_as_one(
    trainer: str, compute: Compute, base: Path, disturbed: Path, tmp_path: Path
) -> None:
    train(trainer, base, disturbed, tmp_path / "one", ALONE)
    train(trainer, base, disturbed, tmp_path / "two", compute)
    assert_alike(tmp_path / "two", tmp_path / "one")


@pytest.mark.parametrize("compute", [SHARDED, IN_PARTS], ids=["whole shares", "in parts"])
def test_two_processes_train_the_same_adapters(compute: Compute, base: Path, tmp_path: Path) -> None:
    train_with_adapters(base, tmp_path / "one", ALONE)
    train_with_adapters(base, tmp_path / "two", compute)
    assert min(losses_of(tmp_path / "one")) < 0.6
    assert_alike(tmp_path / "two", tmp_path / "one")


def test_half_precision_and_checkpointed_gradients(base: Path, tmp_path: Path) -> None:
    """Rounding differs; that of the first steps is a share of a per cent."""
    settings = replace(MOVING, precision="bfloat16", epochs=1)
    for name, compute in {"one": ALONE, "two": replace(SHARDED, gradient_checkpointing=True)}.items():
        run_sft(base, examples(), settings, seed=0, out=tmp_path / name, track=untracked, compute=compute)
    assert losses_of(tmp_path / "two") == pytest.approx(losses_of(tmp_path / "one"), rel=0.02)
    assert {each.dtype for each in weights_of(tmp_path / "two").values()} == {torch.float32}


def test_a_policy_starts_level_with_its_reference_in_half_precision(base: Path, tmp_path: Path) -> None:
    """Each process scores its own batches."""
    loss, still = Dpo(beta=1.0), replace(STILL, precision="bfloat16", global_batch_size=4)
    for name, compute in {"one": ALONE, "two": SHARDED, "parts": IN_PARTS}.items():
        out = tmp_path / name
        run_preferences(base, preferences(), None, loss, still, seed=0, out=out, track=untracked, compute=compute)
        assert losses_of(out) == pytest.approx([math.log(2)] * 3, abs=1e-6)


def test_half_precision_is_one_arithmetic_in_one_process_and_in_two(base: Path, tmp_path: Path) -> None:
    settings = replace(STILL, precision="bfloat16", global_batch_size=10)
    references = ReferenceScorer(base, settings.max_length, "bfloat16").log_probabilities(preferences())
    pairs, loss = preferences(), Dpo(beta=1.0)
    for name, compute in {"one": ALONE, "two": SHARDED}.items():
        out = tmp_path / name
        run_preferences(base, pairs, references, loss, settings, seed=0, out=out, track=untracked, compute=compute)
    [one], [two] = losses_of(tmp_path / "one"), losses_of(tmp_path / "two")
    assert two == pytest.approx(math.log(2), abs=0.005)
    assert two == pytest.approx(one, abs=5e-4)  # a policy in float32 would be 0.0016 off


KILLED = """
import sys
from pathlib import Path
from tests.training import test_training_launched as t
from tests.training.killer import Killer

trainer, base, policy, out = sys.argv[1], *map(Path, sys.argv[2:])
t.train(trainer, base, policy, out, t.IN_PARTS, lambda work, unit, done=0: Killer(unit, 6))
"""


@pytest.mark.parametrize("trainer", ["sft", "dpo", "dpo, own reference"])
def test_a_killed_step_goes_on_where_its_processes_were(
    trainer: str, base: Path, disturbed: Path, tmp_path: Path
) -> None:
    train(trainer, base, disturbed, tmp_path / "one", ALONE)
    killed = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, trainer, str(base), str(disturbed), str(killed)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert any((killed / "trainer").glob("checkpoint-*/complete.json"))
    train(trainer, base, disturbed, killed, IN_PARTS)
    assert_alike(killed, tmp_path / "one")


def test_what_launched_processes_raise_is_one_line(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "load_pretrained", lambda *_, **__: None)  # which would see it before they are launched
    spoilt = tmp_path / "spoilt"
    spoilt.mkdir()
    for path in base.iterdir():
        (spoilt / path.name).write_bytes(path.read_bytes() if path.suffix != ".safetensors" else b"nothing")
    with pytest.raises(UserError, match=r"cannot load the model in .*spoilt"):
        train("sft", spoilt, spoilt, tmp_path / "out", SHARDED)
    assert not (tmp_path / "out" / "job").exists()

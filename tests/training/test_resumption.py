"""Trainings that are killed, or find the disk full, and what fixes their weights."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.engine.artifacts import Tracker
from harness.engine.compute import Compute
from harness.engine.progress import Advance, Event
from harness.files import disk_full_error
from harness.training.job import CURVES, Track
from harness.training.preferences import run_preferences
from harness.training.sft import run_sft
from tests.training.helpers import (
    DPO,
    MOVING,
    ROOT,
    Trained,
    digest,
    examples,
    preferences,
    reference_of,
    untracked,
)
from tests.training.killer import Stopped, stopped_at

LONG = replace(MOVING, epochs=4)
"""Twelve steps, with a log after the tenth."""
OTHERWISE = replace(LONG, learning_rate=1e-4, optimizer="rmsprop", schedule="linear")
HALF = replace(LONG, precision="bfloat16")
SAVING = Compute(micro_batch_size=2, save_every=4)

KILLED = """
import sys, torch
from pathlib import Path
from tests.training import test_resumption as t
from tests.training.killer import Killer

torch.set_num_threads(1)

trainer, base, policy, out = sys.argv[1], *map(Path, sys.argv[2:])
t.train(trainer, base, policy, out, lambda work, unit, done=0: Killer(unit, 7))
"""


def train(trainer: str, base: Path, policy: Path, out: Path, track: Track) -> dict[str, float]:
    if trainer.startswith("sft"):
        own = OTHERWISE if trainer == "sft otherwise" else LONG
        return run_sft(base, examples(), own, seed=0, out=out, track=track, compute=SAVING)
    settings, references = (LONG, reference_of(base)) if trainer == "dpo" else (HALF, None)
    return run_preferences(
        policy, preferences(), references, DPO, settings, seed=0, out=out, track=track, compute=SAVING
    )


def kill(trainer: str, base: Path, policy: Path, out: Path) -> None:
    """Train in a process of its own up to the seventh step, in which it is killed."""
    command = [sys.executable, "-c", KILLED, trainer, str(base), str(policy), str(out)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr


def stop(trainer: str, base: Path, policy: Path, out: Path) -> None:
    """Train in this process up to the seventh step."""
    with pytest.raises(Stopped):
        train(trainer, base, policy, out, stopped_at(7))


@pytest.mark.parametrize(
    ("trainer", "end"),
    [
        ("sft", kill),
        ("sft otherwise", stop),
        ("dpo in half precision", stop),
        pytest.param("dpo", kill, marks=pytest.mark.slow),
    ],
)
def test_a_training_that_was_ended_goes_on_to_the_same_losses_and_weights(
    trainer: str, end: Any, base: Path, disturbed: Path, tmp_path: Path
) -> None:
    undisturbed, ended = tmp_path / "undisturbed", tmp_path / "ended"
    metrics = train(trainer, base, disturbed, undisturbed, untracked)
    end(trainer, base, disturbed, ended)
    kept = {"checkpoint-4"} | ({"reference-0.json"} if trainer == "dpo in half precision" else set())
    assert {path.name for path in (ended / "trainer").iterdir()} == kept
    half_written = ended / "trainer" / "checkpoint-8"
    half_written.mkdir()
    (half_written / "model.safetensors").write_bytes(b"half a fi")

    heard: list[Event] = []
    resumed = train(trainer, base, disturbed, ended, lambda *given: Tracker(*given, heard.append))
    assert len(heard) > 0 and isinstance(heard[0], Advance) and heard[0].done == 5  # steps 1 to 4 were not done again
    assert (ended / CURVES).read_bytes() == (undisturbed / CURVES).read_bytes()
    assert digest(ended) == digest(undisturbed)
    assert resumed == metrics
    assert sorted(path.name for path in ended.iterdir()) == sorted(path.name for path in undisturbed.iterdir())
    assert not (ended / "trainer").exists()


@pytest.mark.parametrize("save_every", [None, 1])
def test_a_full_disk_is_one_line(sft: Any, save_every: int | None, tmp_path: Path) -> None:
    """Files may hold 300 KiB: the model has a megabyte."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300 * 1024, before[1]))
    try:
        with pytest.raises(Exception) as raised:
            sft(MOVING, compute=Compute(save_every=save_every))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    told = disk_full_error(raised.value, tmp_path)
    assert told is not None, raised.value
    assert "fix that and run the same command" in str(told)


@pytest.mark.parametrize("trainer", ["sft", "dpo"])
def test_the_seed_fixes_every_bit_of_the_weights(trainer: str, request: Any, tmp_path: Path) -> None:
    """Whatever was drawn before; that another process makes the same bits, tests of whole runs see."""
    first: Trained = request.getfixturevalue(f"moved_{trainer}")
    train = request.getfixturevalue(trainer)
    torch.manual_seed(17)
    for seed in (0, 1):
        train(MOVING, seed=seed, name=str(seed))
    assert digest(tmp_path / "0") == digest(first.folder) != digest(tmp_path / "1")

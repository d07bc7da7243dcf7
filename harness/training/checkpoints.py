"""Checkpoints of a running training, from which a killed one resumes."""

import json
import os
import shutil
from pathlib import Path

from harness.training.job import REFERENCE, Job

COMPLETE_MARKER = "complete.json"
"""Written into a checkpoint once everything else of it is on the disk."""


def commit_checkpoint(checkpoint: Path, job: Job) -> None:
    """Flush `checkpoint` to the disk, mark it complete, and remove the others."""
    for path in sorted(checkpoint.rglob("*")):
        _sync(path)
    aside = checkpoint / f".{COMPLETE_MARKER}"
    aside.write_text(json.dumps({"splitting": job.splitting}), encoding="utf-8")
    _sync(aside)
    aside.replace(checkpoint / COMPLETE_MARKER)
    _sync(checkpoint)
    _remove_others(job, checkpoint)


def latest_checkpoint(job: Job) -> Path | None:
    """Return the checkpoint to resume from, None without one; incomplete ones do not count."""
    found = sorted(job.trainer_folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    for checkpoint in reversed(found):
        try:
            mark = json.loads((checkpoint / COMPLETE_MARKER).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if mark["splitting"] == job.splitting:
            return checkpoint
    return None


def prune_checkpoints(job: Job, checkpoint: Path | None) -> None:
    """Remove all but `checkpoint` from the trainer's folder, and create the folder where it is missing."""
    _remove_others(job, checkpoint)
    job.trainer_folder.mkdir(parents=True, exist_ok=True)


def _remove_others(job: Job, checkpoint: Path | None) -> None:
    """Remove the other checkpoints; resuming from `checkpoint` needs the reference's log-probabilities beside it."""
    for path in job.trainer_folder.glob("*"):
        if checkpoint is None or (path != checkpoint and not path.name.startswith(REFERENCE)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

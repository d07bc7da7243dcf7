"""Checkpoints of a running training: what a killed one goes on from."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.training.job import REFERENCE, Job

WHOLE = "whole.json"
"""Written into a checkpoint once everything else of it is on the disk."""


def mark_whole(checkpoint: Path, job: Job, window: Mapping[str, Any]) -> None:
    """Makes `checkpoint` one to go on from, once it lies on the disk, and removes the others.

    `window` is what the trainer knows and does not save: what it has counted since it last logged.
    """
    for path in sorted(checkpoint.rglob("*")):
        _sync(path)
    aside = checkpoint / f".{WHOLE}"
    aside.write_text(json.dumps({"splitting": job.splitting, "window": window}), encoding="utf-8")
    _sync(aside)
    aside.replace(checkpoint / WHOLE)
    _sync(checkpoint)
    _remove_others(job, checkpoint)


def last_whole(job: Job) -> tuple[Path, dict[str, Any]] | None:
    """The checkpoint to go on from and its window; None where there is none. Half-written ones are no checkpoints."""
    found = sorted(job.trainer_folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    for checkpoint in reversed(found):
        try:
            mark = json.loads((checkpoint / WHOLE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if mark["splitting"] == job.splitting:
            return checkpoint, mark["window"]
    return None


def remove_all_but(job: Job, checkpoint: Path | None) -> None:
    """Leaves `checkpoint` alone in the trainer's folder, which exists afterwards."""
    _remove_others(job, checkpoint)
    job.trainer_folder.mkdir(parents=True, exist_ok=True)


def _remove_others(job: Job, checkpoint: Path | None) -> None:
    """What goes on from a checkpoint needs the reference's log-probabilities beside it."""
    for path in job.trainer_folder.glob("*"):
        if checkpoint is None or (path != checkpoint and not path.name.startswith(REFERENCE)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

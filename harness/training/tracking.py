"""Experiment trackers: transformers' own callbacks hand a training's curves on to them."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from harness.engine.compute import TrackerKind, Tracking
from harness.errors import UserError

PROJECT = "harness"
FOLDERS: Mapping[TrackerKind, str] = {
    "tensorboard": "TENSORBOARD_LOGGING_DIR",
    "wandb": "WANDB_DIR",
    "trackio": "TRACKIO_DIR",
}
"""The environment variable by which each tracker is told where to write."""


def require_tracker(tracker: TrackerKind | None) -> None:
    """Raise UserError where the package of `tracker` is missing."""
    if tracker is not None and find_spec(tracker) is None:
        raise UserError(f"--track {tracker} needs the package {tracker}: pip install {tracker}, or leave it out")


@contextmanager
def tracked(tracking: Tracking | None) -> Iterator[None]:
    """Have a trainer that is made and run inside report to its tracker in the folder that `tracking` says.

    TensorBoard takes a folder for each run; the others tell runs apart by their names. Raises UserError for what the
    tracker itself refuses, such as a user who is not logged in.
    """
    if tracking is None:
        yield
        return
    folder = Path(tracking.folder) / (tracking.run if tracking.tracker == "tensorboard" else "")
    folder.mkdir(parents=True, exist_ok=True)
    os.environ[FOLDERS[tracking.tracker]] = str(folder)
    os.environ.setdefault("WANDB_PROJECT", PROJECT)
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] != tracking.tracker:
            raise
        mend = "mend that, or leave --track out; finished work is kept"
        raise UserError(f"--track {tracking.tracker}: {str(error).rstrip('.')}; {mend}") from None
    if tracking.tracker == "wandb":  # its callback goes on with a run that is open, also in the next training
        import wandb

        wandb.finish()

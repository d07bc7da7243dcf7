"""Artifacts that somebody removes while a run works with them."""

from pathlib import Path

from harness.engine.artifacts import Artifact
from harness.errors import UserError


class Removed(UserError):
    """An artifact that is needed is not there."""


def removed(artifact: Artifact, folder: Path) -> Removed:
    """Return the error for `artifact`, which lay in `folder`, or was being made there."""
    return Removed(
        f"{folder} of step {artifact} is gone, or part of it, though this run needs it; do not remove what a run works"
        " with, and run the same command again, which makes it anew"
    )

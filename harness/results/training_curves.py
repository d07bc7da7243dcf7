"""`curves.jsonl`: the course of every training behind a run, beside its manifest, thinned so that the folder stays
small."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from harness.files import replace_file
from harness.records import encoded, read_rows

CURVES = "curves.jsonl"
"""In a run's folder: `StageCurves` rows. A run that no training is behind, or of an earlier version, has none."""
MAX_POINTS = 200
"""Of a training."""


@dataclass(frozen=True, slots=True)
class Course:
    """One training: each point is the mean of `every` optimizer steps, the last one of those that are left.

    `values` holds, by a field of the rows of `train.jsonl`, one number a point; None where one of its steps has no
    finite number. `step` is the last one of a point. A field that no step has a number of is left out.
    """

    seed: int
    artifact: str
    """Where the checkpoint, with its whole `train.jsonl`, lies in the store."""
    steps: int
    every: int
    values: dict[str, tuple[float | None, ...]]


@dataclass(frozen=True, slots=True)
class StageCurves:
    """One stage of training on one base model, over training seeds.

    `methods` are those whose checkpoints come by way of it. `loss` is the preference loss, empty for supervised
    fine-tuning.
    """

    model: str
    stage: str
    methods: tuple[str, ...]
    loss: str
    trainings: tuple[Course, ...]


def write_curves(folder: Path, stages: Sequence[StageCurves]) -> None:
    """Write the curves of the run in `folder`, in one piece. Raises UserError where the folder cannot be written to."""
    try:
        replace_file(folder / CURVES, b"".join(map(encoded, stages)))
    except OSError as error:
        raise UserError(f"cannot write {folder / CURVES} ({error.strerror}); remove what is in its way") from None


def read_curves(folder: Path) -> list[StageCurves]:
    """Read the curves of the run in `folder`; none where it has none. Raises UserError where they are damaged."""
    path = folder / CURVES
    return read_rows(path, StageCurves) if path.exists() else []

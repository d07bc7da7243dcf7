"""The verdicts behind a run's scores, as its folder holds them: a report needs no store."""

from collections.abc import Sequence
from pathlib import Path

from harness.records import ROWS, Judgment, read_rows

ARTIFACTS = "artifacts"
"""In a run's folder: the artifacts of its scores, of the verdicts, and of what else a score is made from, each at its
place in the store, ``<step>/<key>``. Files are linked, so that they take no room on one disk; a copy has them whole."""


GRADING = "grade_answers"
"""The step whose rows are grades of one answer."""


def are_pairs(places: Sequence[str]) -> bool:
    """Tell whether there are verdicts on pairs of answers at the places of a cell; grades are of one answer each."""
    return any(place.partition("/")[0] != GRADING for place in places)


def verdicts_file(folder: Path, place: str) -> Path:
    """Return the file of the verdicts at `place`, of the run in `folder`; it may be gone."""
    return folder / ARTIFACTS / place / ROWS


def read_verdicts(folder: Path, place: str) -> list[Judgment]:
    """Read the verdicts at `place`, of the run in `folder`. Raises UserError where they cannot be read."""
    return read_rows(verdicts_file(folder, place), Judgment)

"""Verdicts that are stored already, in the official file format of a benchmark."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evals.base import FileOptions, VerdictFiles
from harness.errors import UserError
from harness.recipes.registries import load_benchmark


def verdict_files(bench: str, options: FileOptions) -> VerdictFiles:
    """Return the reader of a benchmark's stored verdicts.

    Raises UserError for a benchmark that has no format of them.
    """
    reader = load_benchmark(bench).verdict_files
    if reader is None:
        raise UserError(f"{bench} has no format of stored verdicts; those of a run are compared by `harness regress`")
    given = {"--lc-calibration": options.calibration, "--reference-outputs": options.reference_outputs}
    if stray := next((flag for flag, path in given.items() if path and flag not in reader.takes), None):
        raise UserError(f"{stray} changes nothing of the verdicts of {bench}: leave it out")
    return reader(options)


def score_file(bench: str, path: Path, options: FileOptions) -> Mapping[str, Any]:
    """Return the scores of the verdicts in a file, and what they are of. Raises UserError for what is wrong with it."""
    return {"bench": bench, **verdict_files(bench, options).score(path)}

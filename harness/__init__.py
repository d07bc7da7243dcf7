"""Reproduces papers on preference optimization. In a notebook: `load_run` reads what a run found (docs/python.md)."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.results.frames import RunFrames

__all__ = ["load_run"]


def load_run(folder: "str | Path") -> "RunFrames":
    """Read the run in `folder`, such as ``runs/mini/sgpo/table3``, as pandas DataFrames.

    Raises `harness.errors.UserError` where there is no finished run that this version can read.
    """
    from harness.results.frames import load_run as load

    return load(Path(folder))

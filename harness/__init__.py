"""Reproduces papers on preference optimization. In a notebook: `load_run` reads what a run found, `evaluate` scores a
checkpoint (docs/python.md)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.results.frames import RunFrames

__all__ = ["evaluate", "load_run"]


def load_run(folder: "str | Path") -> "RunFrames":
    """Read the run in `folder`, such as ``runs/mini/sgpo/table3``, as pandas DataFrames.

    Raises `harness.errors.UserError` where there is no finished run that this version can read.
    """
    from harness.results.frames import load_run as load

    return load(Path(folder))


def evaluate(
    model: str,
    benches: Sequence[str],
    *,
    scale: str = "mini",
    limit: int | None = None,
    revisions: int | None = None,
    run_dir: "str | Path | None" = None,
) -> list[dict[str, Any]]:
    """Score a checkpoint on each of `benches`, as ``harness eval --json`` does with these options.

    Raises `harness.errors.UserError` for what there is not, and ValueError for a negative number of revisions.
    """
    from harness.commands.evaluate import Source
    from harness.commands.evaluate import evaluate as score
    from harness.config.yaml_files import name_in
    from harness.engine.limits import Limits
    from harness.recipes.benches import BenchChoice

    where = Path(run_dir) if run_dir else Path("runs") / name_in(scale)
    return score(benches, Source(model, revisions=revisions), BenchChoice(scale, limit=limit), where, Limits())

"""Reproduces papers on preference optimization. In a notebook: `load_run` reads what a run found, `load_paper` what a
paper prints and claims, `compare` tests methods of a run, `evaluate` scores a checkpoint (docs/python.md)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

    from harness.papers.frames import PaperFrames
    from harness.results.frames import RunFrames

__all__ = ["compare", "evaluate", "load_paper", "load_run"]


def load_run(folder: "str | Path") -> "RunFrames":
    """Read the run in `folder`, such as ``runs/mini/sgpo/table3``, as pandas DataFrames.

    Raises `harness.errors.UserError` where there is no finished run that this version can read.
    """
    from harness.results.frames import load_run as load

    return load(Path(folder))


def load_paper(name: str) -> "PaperFrames":
    """Read the paper `name`, such as ``sgpo``, as pandas DataFrames: its numbers, its claims, our deviations from it.

    Raises `harness.errors.UserError` for an unknown one, with the nearest known.
    """
    from harness.papers.frames import paper_frames

    return paper_frames(name)


def compare(run: "str | Path | RunFrames", methods: Sequence[str]) -> "DataFrame":
    """Test the first of `methods` of a run against each other, as ``harness compare RUN --methods`` does.

    One line for each base model, other method, benchmark and metric: both scores, the difference in points with its
    95 % interval (`low`, `high`), `p_holm` and the `verdict` on the first. Raises `harness.errors.UserError` for a
    folder without scores, methods that it does not have, or fewer than two of them.
    """
    from harness.commands.compare_methods import compare_methods, comparison_frame

    folder = Path(run) if isinstance(run, str | Path) else run.folder
    return comparison_frame(compare_methods(folder, methods))


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
    from harness.commands.evaluate import evaluate as score
    from harness.commands.evaluations import Source
    from harness.config.yaml_files import name_in
    from harness.engine.limits import Limits
    from harness.recipes.benches import BenchChoice

    where = Path(run_dir) if run_dir else Path("runs") / name_in(scale)
    return score(benches, Source(model, revisions=revisions), BenchChoice(scale, limit=limit), where, Limits())

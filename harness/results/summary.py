"""The findings of a run as one JSON object, for other programs: its answer, scores, claims and comparisons of rows."""

from pathlib import Path
from typing import Any

from harness.results.frames import comparison_rows, ordering_rows, score_rows
from harness.results.manifest import read_manifest


def run_summary(folder: Path, answer: str) -> dict[str, Any]:
    """Return what the run in `folder` found, with the `answer` of its report.

    `scores`, `claims` (a line for each ordering) and `comparisons` are the rows of the DataFrames of `load_run`.
    """
    manifest = read_manifest(folder)
    return {
        "run": str(folder),
        "report": str(folder / "index.html"),
        "paper": manifest.paper.name,
        "scale": manifest.scale,
        "reduced": manifest.reduced,
        "seeds": list(manifest.seeds),
        "judge": manifest.judge.name,
        "answer": answer,
        "stale": list(manifest.stale),
        "scores": [_plain(row) for row in score_rows(manifest)],
        "claims": list(ordering_rows(manifest)),
        "comparisons": list(comparison_rows(manifest)),
    }


def _plain(score: dict[str, Any]) -> dict[str, Any]:
    """Return a score without where its files lie."""
    return {name: value for name, value in score.items() if name not in ("artifact", "judgments")}

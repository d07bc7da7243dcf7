"""Scores of verdicts that are stored already, in the official file formats."""

from pathlib import Path
from typing import Any

Scores = dict[str, Any]


def score_annotations_file(
    annotations: Path, calibration: Path | None, reference_outputs: Path | None, *, allow_missing: bool
) -> Scores:
    """AlpacaEval 2.0 scores of stored verdicts. Raises UserError for files that are wrong."""
    from evals.alpaca_eval2 import score_annotations
    from evals.formats import read_annotations, read_calibration

    read = read_annotations(annotations, reference_outputs=reference_outputs, allow_missing=allow_missing)
    return {
        "bench": "alpaca_eval2",
        "model": read.model,
        **score_annotations(read, read_calibration(calibration) if calibration else None, allow_missing=allow_missing),
    }


def score_judgments_file(judgments: Path, *, allow_missing: bool) -> Scores:
    """Arena-Hard scores of stored verdicts. Raises UserError for a file that is wrong."""
    from evals.arena_hard import score_judgments
    from evals.formats import read_judgments

    read = read_judgments(judgments)
    return {
        "bench": "arena_hard",
        "model": read[0].model,
        "judge": read[0].judge,
        **score_judgments(read, allow_missing=allow_missing),
    }

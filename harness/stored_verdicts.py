"""Scores of verdicts that are stored already, in the official file formats."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.benches import METRICS
from harness.steps.judge_prompt import OFFICIAL_JUDGE

Scores = dict[str, Any]

# The names of the judge that a benchmark is defined with, the one its own tool writes first.
_ALPACA_EVAL_JUDGES = ("weighted_alpaca_eval_gpt4_turbo", OFFICIAL_JUDGE)
_ARENA_HARD_JUDGES = (OFFICIAL_JUDGE,)


def score_annotations_file(
    annotations: Path, calibration: Path | None, reference_outputs: Path | None, *, allow_missing: bool
) -> Scores:
    """AlpacaEval 2.0 scores of stored verdicts. Raises UserError for files that are wrong."""
    from evals.alpaca_eval2 import score_annotations
    from evals.formats.annotations import read_annotations
    from evals.formats.calibration import read_calibration

    read = read_annotations(annotations, reference_outputs=reference_outputs, allow_missing=allow_missing)
    return {
        "bench": "alpaca_eval2",
        "model": read.model,
        "baseline": read.baseline or None,
        "judge": read.judge or None,
        "departure": _departure("alpaca_eval2", read.judge, _ALPACA_EVAL_JUDGES),
        **score_annotations(read, read_calibration(calibration) if calibration else None, allow_missing=allow_missing),
    }


def score_judgments_file(judgments: Path, *, allow_missing: bool) -> Scores:
    """Arena-Hard scores of stored verdicts. Raises UserError for a file that is wrong."""
    from evals.arena_hard import score_judgments
    from evals.formats.arena_hard import read_judgments

    read = read_judgments(judgments)
    return {
        "bench": "arena_hard",
        "model": read[0].model,
        "judge": read[0].judge or None,
        "departure": _departure("arena_hard", read[0].judge, _ARENA_HARD_JUDGES),
        **score_judgments(read, allow_missing=allow_missing),
    }


def _departure(bench: str, judge: str, official: Sequence[str]) -> str | None:
    """What keeps the score from being the benchmark's own metric; None where nothing does, or the judge is unknown."""
    if not judge or judge in official:
        return None
    return f"not {METRICS[bench].title}: judged by {judge}, not {official[0]}"

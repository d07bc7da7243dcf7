"""Scores of verdicts that are stored already, in the official file formats."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.recipes.benches import METRICS
from harness.steps.judge_prompt import OFFICIAL_JUDGE

if TYPE_CHECKING:
    from evals.formats.annotations import Annotations
    from evals.formats.arena_hard import ArenaJudgment

Scores = dict[str, Any]

# The names of the judge that a benchmark is defined with, the one its own tool writes first.
_ALPACA_EVAL_JUDGES = ("weighted_alpaca_eval_gpt4_turbo", OFFICIAL_JUDGE)
_ARENA_HARD_JUDGES = (OFFICIAL_JUDGE,)


def score_annotations_file(
    annotations: Path, calibration: Path | None, reference_outputs: Path | None, *, allow_missing: bool
) -> Scores:
    """AlpacaEval 2.0 scores of stored verdicts. Raises UserError for files that are wrong.

    N is all instructions of the set where a calibration says so, or where the file has nearly all; else the file's.
    """
    from evals.alpaca_eval2 import NO_CALIBRATION, score_annotations, set_size
    from evals.completeness import COMPLETE_FILE, is_whole
    from evals.formats.annotations import read_annotations
    from evals.formats.calibration import read_calibration

    read = read_annotations(annotations, reference_outputs=reference_outputs, allow_missing=allow_missing)
    control = read_calibration(calibration) if calibration else None
    size = set_size(read, control)
    n_asked = size if size and (control or is_whole(read.n_rows, size)) else read.n_rows
    scores = score_annotations(read, control, n_asked=n_asked, allow_missing=allow_missing, mend=COMPLETE_FILE)
    if scores["length_controlled_withheld"] == NO_CALIBRATION:
        judge = f" for {read.judge}" if read.judge else ""
        scores["length_controlled_withheld"] = f"no calibration given{judge}; pass --lc-calibration df_gamed.csv"
    return {
        "bench": "alpaca_eval2",
        "model": read.model,
        "baseline": read.baseline or None,
        "judge": read.judge or None,
        "departure": _departure(
            "alpaca_eval2",
            _part("alpaca_eval2", read.n_rows, "instructions"),
            _other_instructions(read, size),
            _other_judge(read.judge, _ALPACA_EVAL_JUDGES),
            _other_baseline("alpaca_eval2", read.baseline),
        ),
        **scores,
    }


def score_judgments_file(judgments: Path, *, allow_missing: bool) -> Scores:
    """Arena-Hard scores of stored verdicts. Raises UserError for a file that is wrong."""
    from evals.arena_hard import score_judgments
    from evals.completeness import COMPLETE_FILE
    from evals.formats.arena_hard import read_judgments

    read = read_judgments(judgments)
    judge, baseline = read[0].judge, _baseline(read)
    return {
        "bench": "arena_hard",
        "model": read[0].model,
        "baseline": baseline or None,
        "judge": judge or None,
        "departure": _departure(
            "arena_hard",
            _part("arena_hard", len(read), "questions"),
            _other_judge(judge, _ARENA_HARD_JUDGES),
            _other_baseline("arena_hard", baseline),
        ),
        **score_judgments(read, allow_missing=allow_missing, mend=COMPLETE_FILE),
    }


def _departure(bench: str, *reasons: str | None) -> str | None:
    """What keeps the score from being the benchmark's own metric; None where nothing does that the file tells of."""
    known = [reason for reason in reasons if reason]
    return f"not {METRICS[bench].title}: {'; '.join(known)}" if known else None


def _other_instructions(read: "Annotations", size: int | None) -> str | None:
    if read.is_official is False or size != METRICS["alpaca_eval2"].n_instructions:
        return "the instructions are others, or in another order"
    return None


def _part(bench: str, there: int, what: str) -> str | None:
    from evals.completeness import is_whole

    wanted = METRICS[bench].n_instructions
    return None if is_whole(there, wanted) else f"on {there} of {wanted} {what}"


def _other_judge(judge: str, official: Sequence[str]) -> str | None:
    return f"judged by {judge}, not {official[0]}" if judge and judge not in official else None


def _other_baseline(bench: str, baseline: str) -> str | None:
    official = METRICS[bench].baseline
    return f"against {baseline}, not {official}" if baseline not in ("", official) else None


def _baseline(judgments: "Sequence[ArenaJudgment]") -> str:
    """The baseline that any of the judgments names."""
    return next((judgment.baseline for judgment in judgments if judgment.baseline), "")

"""Claims in words: the paper's names, and the figures of the paired tests."""

from collections.abc import Sequence

from harness.core.papers import PaperTable
from reports.manifest import ClaimResult, ComparisonResult
from reports.tables import DASH


def coverage(seeds: Sequence[int]) -> str:
    """What the tests of a run with these training seeds cover, and what they do not."""
    if len(seeds) > 1:
        return "The tests resample prompts and training seeds; they are not corrected for how many there are."
    return (
        "With one training seed these tests cover the draw of prompts, not of the training seed: use --seeds 3. "
        "The tests are not corrected for how many there are."
    )


def ordering(paper: PaperTable, comparison: ComparisonResult) -> str:
    """``SGPO > DPO``, in the paper's names."""
    return f"{paper.row(comparison.better).label} > {paper.row(comparison.worse).label}"


def metric(paper: PaperTable, comparison: ComparisonResult) -> str:
    """``AlpacaEval 2.0 LC``, in the paper's names."""
    column = paper.column(comparison.bench, comparison.metric)
    return f"{column.bench_label} {column.label.removesuffix(' (%)')}"


def tally(claim: ClaimResult) -> str:
    """``4 hold, 1 undecided of 5 comparisons``."""
    words = {"holds": "hold", "fails": "fail", "undecided": "undecided", "not run": "not run"}
    verdicts = [comparison.verdict for comparison in claim.comparisons]
    counts = ", ".join(f"{verdicts.count(name)} {word}" for name, word in words.items() if name in verdicts)
    return f"{counts} of {len(verdicts)}" if verdicts else ""


def difference(comparison: ComparisonResult) -> str:
    """``+3.2 [1.0, 5.4]`` in points, or a dash."""
    if comparison.difference is None:
        return DASH
    shown = f"{comparison.difference:+.1f}"
    return shown if comparison.ci95 is None else f"{shown} [{comparison.ci95[0]:.1f},\u00a0{comparison.ci95[1]:.1f}]"


def p_value(comparison: ComparisonResult) -> str:
    """``0.012``, ``< 0.001``, or a dash."""
    if comparison.p_value is None:
        return DASH
    return "< 0.001" if comparison.p_value < 0.001 else f"{comparison.p_value:.3f}"

"""Claims in words: the paper's names, and the figures of the paired tests."""

from collections.abc import Iterator

from harness.core.papers import PaperTable
from reports.manifest import ClaimResult, ComparisonResult, Manifest, Score
from reports.tables import DASH


def coverage(manifest: Manifest) -> str:
    """What the tests of a run cover, what their verdicts rest on, and what stands beside an undecided one."""
    return " ".join(_coverage(manifest))


def _coverage(manifest: Manifest) -> Iterator[str]:
    if len(manifest.seeds) > 1:
        yield "These tests cover the draw of prompts and of training seeds."
    else:
        yield "With one training seed these tests cover the draw of prompts, not of the training seed: use --seeds 3."
    if manifest.n_tests:
        yield f"Verdicts, at 5 %, are Holm-adjusted over {manifest.n_tests} tests; the 95 % intervals are not adjusted."
    comparisons = distinct(manifest)
    if any(comparison.verdict == "undecided" for comparison in comparisons):
        yield (
            "Undecided does not mean equal. Detectable: the true difference, in points, that such a test decides in "
            "80 % of repeats. Needed: how many prompts in all would decide one of the size observed. Both at the level "
            "that Holm's method leaves to the first of the undecided tests."
        )
    yield from dict.fromkeys(f"Not run, {comparison.note}." for comparison in comparisons if comparison.note)


HEAD = ("model", "ordering", "metric", "difference", "p", "Holm p", "here", "detectable", "needed")


def line(paper: PaperTable, comparison: ComparisonResult) -> tuple[str, ...]:
    """A comparison in words and figures, as in `HEAD`."""
    return (
        paper.model(comparison.model),
        ordering(paper, comparison),
        metric(paper, comparison),
        difference(comparison),
        p_value(comparison.p_value),
        p_value(comparison.p_holm),
        f"{comparison.verdict} (withheld)" if comparison.note else comparison.verdict,
        detectable(comparison),
        needed(comparison),
    )


def distinct(manifest: Manifest) -> list[ComparisonResult]:
    """Every comparison once, however many claims rest on it, in order of appearance."""
    return list(dict.fromkeys(comparison for claim in manifest.claims for comparison in claim.comparisons))


def ordering(paper: PaperTable, comparison: ComparisonResult) -> str:
    """``SGPO > DPO``, in the paper's names."""
    return f"{paper.row(comparison.better).label} > {paper.row(comparison.worse).label}"


def metric(paper: PaperTable, measured: ComparisonResult | Score) -> str:
    """``AlpacaEval 2.0 LC``, in the paper's names."""
    column = paper.column(measured.bench, measured.metric)
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


def p_value(value: float | None) -> str:
    """``0.012``, ``< 0.001``, or a dash."""
    if value is None:
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def detectable(comparison: ComparisonResult) -> str:
    """Beside an undecided comparison its minimum detectable effect, ``2.6`` points; else nothing."""
    if comparison.verdict != "undecided" or comparison.minimum_detectable_effect is None:
        return ""
    return f"{comparison.minimum_detectable_effect:.1f}"


def needed(comparison: ComparisonResult) -> str:
    """Beside an undecided comparison what would decide a difference of its size: ``2,500 prompts``; else nothing."""
    if comparison.verdict != "undecided":
        return ""
    if comparison.n_needed is not None:
        return f"{comparison.n_needed:,} prompts"
    # Without a number of prompts it is the training seeds that leave too much open, unless there is nothing to decide.
    return "more training seeds" if comparison.difference else DASH

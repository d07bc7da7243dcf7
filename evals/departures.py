"""What keeps a score from being a published metric, in words to print beside it."""

from collections.abc import Iterable

from evals.base import Published
from evals.scoring import is_whole


def departure(metric: Published, reasons: Iterable[str | None]) -> str | None:
    """The reasons that there are, as one line; None where there is none."""
    known = [reason for reason in reasons if reason]
    return f"not {metric.title}: {'; '.join(known)}" if known else None


def of_part(metric: Published, there: int) -> str | None:
    """That not nearly all items are there."""
    return None if is_whole(there, metric.n_items) else f"on {there} of {metric.n_items} {metric.items}"


def of_judge(metric: Published, judge: str) -> str | None:
    """That a judge which the metric is not defined with gave the verdicts; `judge` is "" where it is not known."""
    return f"judged by {judge}, not {metric.judges[0]}" if judge and judge not in metric.judges else None


def of_baseline(metric: Published, baseline: str) -> str | None:
    """That the baseline is another; `baseline` is "" where it is not known."""
    return f"against {baseline}, not {metric.baseline}" if baseline not in ("", metric.baseline) else None

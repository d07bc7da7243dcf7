"""SGPO's filter of improver data: the IQR rule on perplexity (section 3.1.2)."""

from collections.abc import Sequence
from dataclasses import replace

from harness.engine.artifacts import Artifact, Output, step
from harness.errors import UserError
from harness.records import Response
from harness.steps.cost import CostContext, RowEstimate
from harness.steps.perplexity import BEYOND, Perplexity, measured

FENCE = 1.5
"""Section 3.1.2: the bounds lie 1.5 interquartile ranges outside the quartiles."""


def iqr_bounds(values: Sequence[float]) -> tuple[float, float]:
    """Return (Q1 - 1.5 IQR, Q3 + 1.5 IQR), quartiles by linear interpolation (section 3.1.2).

    Raises ValueError for an empty sequence.
    """
    import numpy as np

    if not values:
        raise ValueError("quartiles of nothing")
    first, third = np.percentile(values, [25, 75]).tolist()
    width = third - first
    return first - FENCE * width, third + FENCE * width


def _kept_rows(context: CostContext) -> RowEstimate:
    rows, share = context.rows("responses"), context.estimates.kept_by_filter
    return replace(
        rows,
        count=rows.count * share.value,
        assumptions=rows.assumptions | {share.assumption},
        content=f"kept {rows.content}",
    )


@step(version=1, rows=_kept_rows)
def iqr_filter(out: Output, *, responses: Artifact, perplexities: Artifact) -> None:
    """Write the `Response` rows whose perplexity is within the bounds (F in Eq. 3); those without one are left out."""
    values = {id: row.value for id, row in measured(perplexities.rows(Perplexity)).items()}
    asked = responses.rows(Response)
    rows = [row for row in asked if row.prompt.id in values]
    if not rows:
        raise UserError(
            f"none of the {len(asked)} responses to be filtered fits into the model's context; take a model with a"
            " longer one, or shorter data"
        )
    low, high = iqr_bounds([values[row.prompt.id] for row in rows])
    inside = [row for row in rows if low <= values[row.prompt.id] <= high]
    out.counts[BEYOND] = len(asked) - len(rows)
    out.counts.update(outliers=len(rows) - len(inside), lower_bound=low, upper_bound=high)
    out.write_rows(inside)

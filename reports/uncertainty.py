"""Where the uncertainty of the scores comes from, as lines of a table."""

from harness.core.papers import PaperTable
from reports.claims import metric
from reports.manifest import Manifest
from reports.tables import DASH

TITLE = "Where the uncertainty comes from"
HEAD = ("model", "method", "metric", "prompts", "judge's noise", "training seeds", "total")
EXPLANATION = (
    "Standard errors of the scores, in points. With one verdict a pair the judge's noise cannot be told apart and is "
    "in that of the prompts; total is the root of the sum of squares."
)


def components(manifest: Manifest, paper: PaperTable) -> list[tuple[str, ...]]:
    """One line, as in `HEAD`, for each score whose uncertainty is known by its parts, in the order of the cells."""
    lines = []
    for score in manifest.cells:
        if parts := score.uncertainty:
            names = paper.model(score.model), paper.row(score.method).label, metric(paper, score)
            lines.append((*names, *map(_points, (parts.prompts, parts.judge, parts.training_seeds, parts.total))))
    return lines


def _points(value: float | None) -> str:
    return DASH if value is None else f"{value:.2f}"

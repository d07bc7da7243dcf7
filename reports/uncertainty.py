"""The components of the scores' uncertainty."""

from collections.abc import Iterable, Iterator

from harness.papers.scores import ScoreTable
from harness.papers.win_rates import WinRateTable
from harness.results.exhibits import Score, Uncertainty, WinRate
from reports.blocks import DASH, Column, Group, Row, Table
from reports.measured import number

TITLE = "Where the uncertainty comes from"
EXPLANATION = (
    "Standard errors, in points. With one verdict a pair the judge's noise cannot be told apart and is in that of the "
    "prompts; total is the root of the sum of squares, and the last column the training seeds' share of its square."
)


def table(cells: Iterable[Score | WinRate], exhibit: ScoreTable | WinRateTable) -> Table | None:
    """Make one line for each cell whose uncertainty is known by its parts, in their order; None without any."""
    rows = tuple(_rows(cells, exhibit))
    if not rows:
        return None
    heads = ("prompts", "judge's noise", "training seeds", "total", "of it training (%)")
    return Table(
        columns=(Column("model"), Column("of"), Column("metric"), *(Column(head, number=True) for head in heads)),
        groups=(Group(rows),),
        name=f"{exhibit.name}-uncertainty",
        caption=f"{exhibit.label}: {TITLE[0].lower()}{TITLE[1:]}",
        source=EXPLANATION,
        folded=TITLE,
    )


def _rows(cells: Iterable[Score | WinRate], exhibit: ScoreTable | WinRateTable) -> Iterator[Row]:
    for cell in cells:
        if parts := cell.uncertainty:
            errors = (parts.prompts, parts.judge, parts.training_seeds, parts.total)
            points = (number(error, 2) for error in errors)
            yield Row((exhibit.paper.model(cell.model), *_names(cell, exhibit), *points, _training_share(parts)))


def _names(cell: Score | WinRate, exhibit: ScoreTable | WinRateTable) -> tuple[str, str]:
    """Name what was measured, and by which metric."""
    if isinstance(cell, WinRate):
        return exhibit.subject(cell.match), exhibit.measure("pairwise", "win_rate")
    return exhibit.subject(cell.method), exhibit.measure(cell.bench, cell.metric)


def _training_share(parts: Uncertainty) -> str:
    """Tell how much of the variance is training noise, in per cent."""
    if parts.training_seeds is None or not parts.total:
        return DASH
    return number(100 * parts.training_seeds**2 / parts.total**2, 0)

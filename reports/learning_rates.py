"""The learning rates behind a table of scores, and how far its scores move with them."""

from collections.abc import Iterable, Sequence

from harness.config.learning_rates import rate_text
from harness.papers.scores import ScoreColumn, ScoreTable
from harness.results.exhibits import RowRate
from reports.blocks import DASH, Column, Group, Row, Table
from reports.measured import number

TITLE = "Learning rates"
RULE = (
    "The rule (docs/rates.md) takes the largest rate at which answers to held-out training "
    "prompts end, are of the pairs' length, and no smaller rate makes the chosen ones likelier; it sees no score."
)
MOVES = (
    " Points by which a score moves at half and at twice the rate: one training seed, apart from those above, on the "
    "rows that the rule trains on; measured after the choice."
)


def table(rates: Sequence[RowRate], exhibit: ScoreTable) -> Table | None:
    """Make one line for each row with a preference stage; None without any. A metric that has moves has a column."""
    if not rates:
        return None
    moved = {(move.bench, move.metric) for rate in rates for move in rate.moves}
    columns = [column for column in exhibit.columns if (column.bench, column.metric) in moved]
    heads = (f"{exhibit.measure(column.bench, column.metric)}, half / twice" for column in columns)
    return Table(
        columns=(
            Column("model"),
            Column("method"),
            Column("rate", number=True),
            Column("chosen by"),
            *(Column(head, number=True) for head in heads),
        ),
        groups=(Group(tuple(_row(rate, columns, exhibit) for rate in rates)),),
        name=f"{exhibit.name}-learning-rates",
        caption=f"{exhibit.label}: learning rates of the preference stages",
        source=(RULE if any("rule" in rate.chosen for rate in rates) else "") + (MOVES if columns else ""),
        folded=TITLE,
    )


def _row(rate: RowRate, columns: Iterable[ScoreColumn], exhibit: ScoreTable) -> Row:
    moves = {(move.bench, move.metric): f"{_signed(move.half)} / {_signed(move.twice)}" for move in rate.moves}
    names = (exhibit.paper.model(rate.model), exhibit.subject(rate.method), rate_text(rate.rate), rate.chosen)
    return Row((*names, *(moves.get((column.bench, column.metric), DASH) for column in columns)))


def _signed(points: float | None) -> str:
    return DASH if points is None else ("+" if points > 0 else "") + number(points, 1)

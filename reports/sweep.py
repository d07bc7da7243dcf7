"""Scores over the setting that a run sweeps."""

from collections.abc import Mapping, Sequence

from harness.papers.scores import ScoreColumn, ScoreTable
from harness.results.exhibits import Score, ScoresResult
from harness.results.row_comparisons import Sweep, SweepPoint
from reports.blocks import Figure
from reports.line_chart import ChartLine, LineChart, LinePanel, LinePoint

MIN_RATIO = 10.0
"""Of the largest value to the smallest, from which on the axis is logarithmic."""

_Cells = Mapping[tuple[str, str, str, str], Score]


def sweep_figure(result: ScoresResult, sweep: Sweep) -> Figure | None:
    """Draw every score of the table over the swept setting, a line a method, base models down and metrics across.

    None where less than two rows of the table have a number there.
    """
    exhibit = result.exhibit
    points = [point for point in sweep.points if point.row in result.rows and point.value is not None]
    if len(points) < 2:
        return None
    cells = {(each.model, each.method, each.bench, each.metric): each for each in result.cells}
    panels = tuple(
        _panel(exhibit, model, column, points, cells) for model in result.models for column in exhibit.columns
    )
    return Figure(
        name=f"{exhibit.name}-sweep",
        caption=f"Scores over {sweep.setting}, with 95 % intervals",
        alt=f"Lines of the scores of the table above over {sweep.setting}",
        drawing=LineChart(panels, sweep.setting, "score", win_rates=False, log_x=_is_wide(points)),
        beside=True,
    )


def _panel(
    exhibit: ScoreTable, model: str, column: ScoreColumn, points: Sequence[SweepPoint], cells: _Cells
) -> LinePanel:
    place = (column.bench, column.metric)
    lines = (
        ChartLine(
            line, tuple(_point(point, cells.get((model, point.row, *place))) for point in points if point.line == line)
        )
        for line in dict.fromkeys(point.line for point in points)
    )
    return LinePanel(exhibit.paper.model(model), exhibit.measure(*place), tuple(lines))


def _point(point: SweepPoint, score: Score | None) -> LinePoint:
    assert point.value is not None
    return LinePoint(point.value, score.value if score else None, score.ci95 if score else None)


def _is_wide(points: Sequence[SweepPoint]) -> bool:
    """Return whether the values are spread so wide that a linear axis would crowd the small ones."""
    values = [point.value or 0.0 for point in points]
    return min(values) > 0 and max(values) / min(values) >= MIN_RATIO

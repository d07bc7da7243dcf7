"""Tables of benchmark scores (Tables 3 to 7 of SGPO)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from harness.papers.scores import MethodRow, ScoreColumn, ScoreTable
from harness.results.exhibits import Score, ScoresResult
from harness.results.manifest import Manifest
from reports import blocks, diagnostics, learning_rates, uncertainty
from reports.blocks import Bar, BarChart, BarPanel, Block, Figure, Group, Records, Row, Table
from reports.compare import obstacle, verdict
from reports.measured import INTERVAL, Compared, all_seeds, judge, marks, measured, require_one_judge, source
from reports.sweep import sweep_figure


@dataclass(frozen=True, slots=True)
class _Line:
    """One method on one base model, with a cell for each column."""

    model: str
    row: MethodRow
    cells: tuple[Compared, ...]


def scores(manifest: Manifest, result: ScoresResult) -> tuple[list[Block], Records]:
    """Set the table of one run beside the published one, its chart, and the details of both.

    Raises UserError for a model, a row or a column the paper's table does not have, and for a column whose
    scores come from two judges.
    """
    exhibit = result.exhibit
    columns = _columns(result)
    lines = list(_lines(manifest, result, columns))
    table = _table(manifest, result, columns, lines)
    details = [
        uncertainty.table(result.cells, exhibit),
        learning_rates.table(result.learning_rates, exhibit),
        diagnostics.table(result.diagnostics, exhibit),
    ]
    figures = [_figure(exhibit, table, columns, lines)] if lines and columns else []
    swept = sweep_figure(result, manifest.sweep) if manifest.sweep else None
    found: list[Block] = [table, *filter(None, [swept]), *figures, *filter(None, details)]
    return found, _records(exhibit, columns, lines)


def _columns(result: ScoresResult) -> list[ScoreColumn]:
    """Return the columns that were scored."""
    exhibit = result.exhibit
    scored: dict[tuple[str, str], list[str]] = {}
    for score in result.cells:
        exhibit.column(score.bench, score.metric)
        exhibit.row(score.method)
        scored.setdefault((score.bench, score.metric), []).append(score.judge)
    for name, judges in scored.items():
        require_one_judge("/".join(name), judges)
    return [column for column in exhibit.columns if (column.bench, column.metric) in scored]


def _lines(manifest: Manifest, result: ScoresResult, columns: Sequence[ScoreColumn]) -> Iterator[_Line]:
    exhibit = result.exhibit
    for model in result.models:
        exhibit.paper.model(model)
    scores = {(score.model, score.method, score.bench, score.metric): score for score in result.cells}
    for model in exhibit.models:
        if model in result.models:
            for method in result.rows:
                cells = (_compared(manifest, exhibit, scores, model, method, column) for column in columns)
                yield _Line(model, exhibit.row(method), tuple(cells))


def _compared(
    manifest: Manifest,
    exhibit: ScoreTable,
    scores: Mapping[tuple[str, str, str, str], Score],
    model: str,
    method: str,
    column: ScoreColumn,
) -> Compared:
    missing = Score(model=model, method=method, bench=column.bench, metric=column.metric, value=None, note="not run")
    score = scores.get((model, method, column.bench, column.metric), missing)
    published = exhibit.published(model, method, column)
    our_judge = manifest.judge.name if score.judge or column.judge else ""  # of neither where nothing is judged
    why_not = obstacle(manifest.scale, manifest.fast, our_judge, exhibit.paper.scale, column.judge)
    return Compared(score, published, verdict(score.value, score.ci95, published, exhibit.decimals, why_not))


def _table(manifest: Manifest, result: ScoresResult, columns: Sequence[ScoreColumn], lines: Sequence[_Line]) -> Table:
    exhibit = result.exhibit
    marking = marks([cell for line in lines for cell in line.cells])
    judges = dict.fromkeys(f"{score.bench} {score.judge}" for score in result.cells if score.judge)
    return Table(
        columns=(
            blocks.Column("Method"),
            *(blocks.Column(name, brief=False) for name in exhibit.descriptions),
            *(_head(column, marking.common) for column in columns),
        ),
        groups=tuple(
            Group(
                tuple(
                    Row(
                        (
                            line.row.label,
                            *line.row.described,
                            *(measured(cell, exhibit.decimals, marking) for cell in line.cells),
                        ),
                        added=bool(line.row.added),
                    )
                    for line in of_model
                ),
                heading=exhibit.paper.model(model),
                detail=manifest.models[model].label,
            )
            for model, of_model in groupby(lines, key=lambda line: line.model)
        ),
        name=exhibit.name,
        caption=f"{exhibit.caption}. Ours with 95 % interval, and the paper's",
        footnotes=marking.footnotes((line.row.label, line.row.added) for line in lines if line.row.added),
        source=source(manifest, exhibit, all_seeds(manifest), judge(manifest, judges), INTERVAL),
    )


def _head(column: ScoreColumn, mark: str) -> blocks.Column:
    tooltip = f"the paper's judge: {column.judge}; baseline: {column.baseline}" if column.judge else ""
    return blocks.Column(
        column.label, over=column.bench_label, measured=True, paper_mark=mark, number=True, tooltip=tooltip
    )


def _figure(exhibit: ScoreTable, table: Table, columns: Sequence[ScoreColumn], lines: Sequence[_Line]) -> Figure:
    """Draw base models down, metrics across, a bar for each method."""
    headings = {group.heading: f"{group.heading}, here {group.detail}" for group in table.groups}
    panels = []
    for model, of_model in groupby(lines, key=lambda line: line.model):
        methods = list(of_model)
        for place, column in enumerate(columns):
            bars = (_bar(line.row, line.cells[place]) for line in methods)
            heading = headings[exhibit.paper.model(model)]
            panels.append(BarPanel(heading, f"{column.bench_label} {column.label}", tuple(bars)))
    return Figure(
        name=exhibit.name,
        caption=f"{exhibit.label}: ours with 95 % intervals, and the paper's numbers",
        alt="Bars of the table above: ours with 95 % intervals, the paper's numbers as diamonds",
        drawing=BarChart(tuple(panels)),
        beside=True,
    )


def _bar(row: MethodRow, cell: Compared) -> Bar:
    label = f"{row.label} (ours)" if row.added else row.label
    return Bar(label, cell.score.value, cell.score.ci95, cell.published, added=bool(row.added))


def _records(exhibit: ScoreTable, columns: Sequence[ScoreColumn], lines: Sequence[_Line]) -> Records:
    """Make one line for each cell; numbers unrounded."""
    fields = (
        "model", "model_label", "method", "label", *exhibit.descriptions, "added", "bench", "metric",
        "ours", "lo", "hi", "paper", "verdict", "n", "n_asked", "n_missing", "judge", "note",
    )  # fmt: skip
    rows = []
    for line in lines:
        names = (line.model, exhibit.paper.model(line.model), line.row.method, line.row.label, *line.row.described)
        for column, cell in zip(columns, line.cells, strict=True):
            score = cell.score
            figures = (score.value, *(score.ci95 or (None, None)), cell.published, cell.verdict)
            counts = (score.n, score.n_asked, score.n_missing, score.judge, score.note)
            rows.append((*names, bool(line.row.added), column.bench, column.metric, *figures, *counts))
    return Records(fields, tuple(rows))

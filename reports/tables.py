"""The table of a report as data: ours, the paper's and the verdict, cell by cell."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from harness.core.errors import UserError
from harness.core.papers import Column, ScoreTable
from reports.compare import NOT_IN_PAPER, obstacle, verdict
from reports.manifest import Manifest, Score, ScoresPart

DASH = "—"
ADDED = "+"
INTERVAL = "[95 % interval]"
"""How `Table.source` says what stands beside a value; the terminal prints it otherwise."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Cell:
    """Ours, the paper's and the verdict; `note` is what a reader must know of ours, mostly empty."""

    score: Score
    published: float | None
    verdict: str
    note: str


@dataclass(frozen=True, slots=True)
class TableRow:
    """One method on one base model, with a cell for each column. `added` is empty for a row of the paper's."""

    method: str
    label: str
    added: str
    described: tuple[str, ...]
    """The paper's words on it, one for each of the table's `descriptions`."""
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """All methods on one base model."""

    model: str
    label: str
    reference: str
    description: str
    rows: tuple[TableRow, ...]

    @property
    def heading(self) -> str:
        """The paper's model and what stands for it here."""
        return f"{self.label}, here {self.description or self.reference}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table ready to be printed, with footnotes: a letter for each verdict, a number for each note on a cell.

    When every published number has the same verdict, its letter stands once, in the head of the paper's columns
    (`common_mark`); else each published number carries its own (`verdict_mark`).
    """

    name: str
    title: str
    caption: str
    decimals: int
    descriptions: tuple[str, ...]
    columns: tuple[Column, ...]
    panels: tuple[Panel, ...]
    source: str

    @property
    def verdicts(self) -> tuple[str, ...]:
        """Every distinct verdict on a published number, in order of appearance."""
        return tuple(dict.fromkeys(cell.verdict for cell in self._cells() if cell.verdict != NOT_IN_PAPER))

    @property
    def notes(self) -> tuple[str, ...]:
        """Every distinct note on a cell, in order of appearance."""
        return tuple(dict.fromkeys(cell.note for cell in self._cells() if cell.note))

    @property
    def common_mark(self) -> str:
        """The footnote letter for the head of the paper's columns, or nothing."""
        return "a" if len(self.verdicts) == 1 else ""

    def verdict_mark(self, cell: Cell) -> str:
        """The footnote letter of one published number, or nothing."""
        return "" if self.common_mark or cell.verdict == NOT_IN_PAPER else _LETTERS[self.verdicts.index(cell.verdict)]

    def note_mark(self, cell: Cell) -> str:
        """The footnote number of one of our cells, or nothing."""
        return str(self.notes.index(cell.note) + 1) if cell.note else ""

    def footnotes(self) -> list[tuple[str, str]]:
        """(mark, text): verdicts by letter, notes by number, and what the added rows are."""
        numbered = [(str(number), note) for number, note in enumerate(self.notes, start=1)]
        added = dict.fromkeys(row.added for panel in self.panels for row in panel.rows if row.added)
        ours = [(ADDED, f"ours, not in the paper: {text}") for text in added]
        return [*zip(_LETTERS, self.verdicts, strict=False), *numbered, *ours]

    def _cells(self) -> Iterator[Cell]:
        return (cell for panel in self.panels for row in panel.rows for cell in row.cells)

    def number(self, value: float | None) -> str:
        """`value` to the paper's number of decimals; a dash where there is none."""
        return DASH if value is None else f"{value:.{self.decimals}f}"

    def interval(self, ci95: tuple[float, float] | None) -> str:
        """``[low, high]`` with a no-break space, or nothing."""
        return "" if ci95 is None else f"[{self.number(ci95[0])},\u00a0{self.number(ci95[1])}]"

    def ours(self, cell: Cell) -> str:
        """Value and interval."""
        return f"{self.number(cell.score.value)} {self.interval(cell.score.ci95)}".strip()

    def spanned_columns(self) -> list[tuple[str, int]]:
        """The benchmarks over the columns: (label, number of columns)."""
        spans: list[tuple[str, int]] = []
        for column in self.columns:
            if spans and spans[-1][0] == column.bench_label:
                spans[-1] = (column.bench_label, spans[-1][1] + 1)
            else:
                spans.append((column.bench_label, 1))
        return spans


def build_table(manifest: Manifest, part: ScoresPart, exhibit: ScoreTable) -> Table:
    """The table of one run beside the published one.

    Raises UserError for a model, a row or a column the paper's table does not have, for two scores of one cell, and for
    a column whose scores come from two judges.
    """
    for model in part.models:
        exhibit.paper.model(model)
    scores = _scores_by_cell(part, exhibit)
    _require_one_judge_a_column(part.cells)
    scored = {(score.bench, score.metric) for score in part.cells}
    columns = tuple(column for column in exhibit.columns if (column.bench, column.metric) in scored)
    panels = tuple(
        Panel(
            model,
            exhibit.paper.models[model],
            manifest.models[model].reference,
            manifest.models[model].description,
            tuple(_row(manifest, exhibit, model, method, columns, scores) for method in part.rows),
        )
        for model in exhibit.models
        if model in part.models
    )
    return Table(
        name=part.name,
        title=f"{exhibit.label} of {exhibit.paper.name.upper()}",
        caption=exhibit.caption,
        decimals=exhibit.decimals,
        descriptions=exhibit.descriptions,
        columns=columns,
        panels=panels,
        source=_source(manifest, exhibit),
    )


_CellName = tuple[str, str, str, str]


def _scores_by_cell(part: ScoresPart, exhibit: ScoreTable) -> dict[_CellName, Score]:
    scores: dict[_CellName, Score] = {}
    for score in part.cells:
        exhibit.column(score.bench, score.metric)
        exhibit.row(score.method)
        name = (score.model, score.method, score.bench, score.metric)
        if name in scores:
            raise UserError(f"the manifest has two scores for {' / '.join(name)}")
        scores[name] = score
    return scores


def _require_one_judge_a_column(cells: Iterable[Score]) -> None:
    judges: dict[tuple[str, str], str] = {}
    for cell in cells:
        first = judges.setdefault((cell.bench, cell.metric), cell.judge)
        if cell.judge != first:
            raise UserError(
                f"column {cell.bench}/{cell.metric} mixes the judges {first or 'none'} and {cell.judge or 'none'}; "
                "scores of two judges cannot stand in one column: run again with one judge"
            )


def _row(
    manifest: Manifest,
    exhibit: ScoreTable,
    model: str,
    method: str,
    columns: Iterable[Column],
    scores: Mapping[_CellName, Score],
) -> TableRow:
    row = exhibit.row(method)
    cells = []
    for column in columns:
        missing = Score(model, method, column.bench, column.metric, value=None, note="not run")
        score = scores.get((model, method, column.bench, column.metric), missing)
        published = exhibit.published(model, method, column)
        why_not = obstacle(manifest.scale, manifest.fast, manifest.judge.name, exhibit.paper.scale, column.judge)
        said = verdict(score.value, score.ci95, published, exhibit.decimals, why_not)
        cells.append(Cell(score, published, said, _note(score)))
    return TableRow(method, row.label, row.added, row.described, tuple(cells))


def _note(score: Score) -> str:
    """What a reader must know of a cell: why it was withheld, and its n/N where verdicts are missing."""
    counts = f"n/N = {n_of_asked(score)} verdicts" if score.n_missing else ""
    withheld = "withheld" if score.value is None and not score.note else score.note
    return "; ".join(part for part in (withheld, counts) if part)


def n_of_asked(score: Score) -> str:
    """``802/805``: the verdicts that are there, of those asked for; nothing where that is not known."""
    return "" if score.n_asked is None else f"{score.n_asked - score.n_missing}/{score.n_asked}"


def _source(manifest: Manifest, exhibit: ScoreTable) -> str:
    seeds = ", ".join(map(str, manifest.seeds))
    fast = ", fast (reduced counts)" if manifest.fast else ""
    mean = f" (mean of {len(manifest.seeds)})" if len(manifest.seeds) > 1 else ""
    return (
        f"Ours: scale {manifest.scale}{fast}, {'seeds' if mean else 'seed'} {seeds}{mean}, judge {manifest.judge.name} "
        f"({manifest.judge.fingerprint}), {INTERVAL}. Paper: {exhibit.label}, arXiv:{exhibit.paper.arxiv}."
    )


CSV_FIELDS = (
    "model", "model_label", "method", "label", "added", "bench", "metric",
    "ours", "lo", "hi", "paper", "verdict", "n", "n_asked", "n_missing", "judge", "note",
)  # fmt: skip


def csv_text(table: Table) -> str:
    """One line for each cell; numbers unrounded, empty where there is none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_FIELDS)
    for panel in table.panels:
        for row in panel.rows:
            for cell in row.cells:
                score = cell.score
                low, high = score.ci95 or (None, None)
                names = (panel.model, panel.label, row.method, row.label, bool(row.added), score.bench, score.metric)
                figures = (score.value, low, high, cell.published, cell.verdict)
                counts = (score.n, score.n_asked, score.n_missing)
                writer.writerow((*names, *figures, *counts, score.judge, score.note))
    return out.getvalue()

"""The blocks that a report is made of: a few kinds, which every format knows how to print.

Exhibits of all kinds, claims, ledger and provenance become these blocks; formats know no exhibit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from reports.line_chart import LineChart
from reports.rank_chart import RankChart

DASH = "—"
ADDED = "+"
"""The footnote mark of what is ours and not in the paper."""


@dataclass(frozen=True, slots=True)
class Prose:
    """One paragraph; `quiet` ones are explanations, in small print where a format has it."""

    text: str
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """Ours with its interval, and the paper's number beside it, each with the mark of its footnote.

    `tooltip` is what else there is to know of the cell, for a format that can show it on demand.
    """

    ours: str
    interval: tuple[str, str] | None = None
    mark: str = ""
    paper: str = DASH
    paper_mark: str = ""
    tooltip: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a claim or of one test of it, such as "holds"; `note` says why where that needs saying."""

    verdict: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Differing:
    """A text that differs from the one it is to be compared with."""

    text: str


Cell = str | Measured | Outcome | Differing


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column. `over` is what columns side by side have in common.

    A `measured` column holds `Measured` cells: ours and the paper's, whose head bears `paper_mark`. `brief` is False
    for what a narrow format may leave out. `wraps` is the share of the line that a column of sentences may take.
    """

    head: str
    over: str = ""
    measured: bool = False
    paper_mark: str = ""
    number: bool = False
    wraps: float = 0
    brief: bool = True
    tooltip: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table, with a cell for each column. `added` rows are ours and not in the paper."""

    cells: tuple[Cell, ...]
    added: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Lines that belong together, such as all methods on one base model; `detail` is what stands for it here."""

    rows: tuple[Row, ...]
    heading: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table in groups, with footnotes (mark, text) and a line on where it comes from.

    A `folded` table is a detail: `folded` is what stands on it while it is closed, where a format can close it, and
    formats that show only the essence leave it out. `name` is set for the table that is a file of its own.
    """

    columns: tuple[Column, ...]
    groups: tuple[Group, ...]
    name: str = ""
    caption: str = ""
    footnotes: tuple[tuple[str, str], ...] = ()
    source: str = ""
    folded: str = ""
    dense: bool = False
    """Whether columns stand close together in a terminal, so that many of them fit."""

    @property
    def rows(self) -> Iterator[Row]:
        """The lines of all groups."""
        return (row for group in self.groups for row in group.rows)

    def spans(self) -> list[tuple[str, tuple[Column, ...]]]:
        """List what stands over the columns, with the columns that it stands over."""
        found: list[tuple[str, tuple[Column, ...]]] = []
        for column in self.columns:
            if found and column.over and found[-1][0] == column.over:
                found[-1] = (column.over, (*found[-1][1], column))
            else:
                found.append((column.over, (column,)))
        return found


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a chart, in per cent. `value` and `published` may be missing.

    `rounding` is by how much `published` may be off where that is enough to be seen.
    """

    label: str
    value: float | None
    ci95: tuple[float, float] | None = None
    published: float | None = None
    added: bool = False
    rounding: float = 0.0


@dataclass(frozen=True, slots=True)
class BarPanel:
    """One small chart of bars: `row` and `column` are the headings of its place in a grid of them."""

    row: str
    column: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class BarChart:
    """Bars with intervals and the paper's numbers as marks. `win_rates` are of two sides, and show where 50 % is.

    `interval` and `mark` say in the legend what the lines and the marks are, where they are something else.
    """

    panels: tuple[BarPanel, ...]
    win_rates: bool = False
    interval: str = "95 % interval"
    mark: str = ""


@dataclass(frozen=True, slots=True)
class HistogramSet:
    """One of the overlaid sets of a histogram. `kind` is what it holds: the same looks the same in every figure."""

    label: str
    values: tuple[float, ...]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class HistogramAxes:
    """Sets of values over the same bins."""

    title: str
    sets: tuple[HistogramSet, ...]


@dataclass(frozen=True, slots=True)
class HistogramChart:
    """Histograms one below the other, with common bins and axes. With `log_scale` bins are of equal ratio."""

    panels: tuple[HistogramAxes, ...]
    x: str
    y: str
    log_scale: bool = False


@dataclass(frozen=True, slots=True)
class Curve:
    """A line over optimizer steps; None leaves a gap. `kind` is what it shows, where a panel shows several things."""

    steps: tuple[float, ...]
    values: tuple[float | None, ...]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class CurvePanel:
    """One small chart of curves. Panels of a column whose `scale` is the same have one axis."""

    row: str
    column: str
    curves: tuple[Curve, ...]
    scale: str = ""


@dataclass(frozen=True, slots=True)
class CurveChart:
    """Curves in a grid of panels with `columns`, where a row need not have all of them."""

    columns: tuple[str, ...]
    panels: tuple[CurvePanel, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing that has files of its own, `path` with .pdf, .png and .svg. `alt` says what is to be seen.

    One `beside` a table draws what the table says, and is not itself what the paper shows.
    """

    name: str
    caption: str
    alt: str
    drawing: BarChart | HistogramChart | CurveChart | LineChart | RankChart
    beside: bool = False

    @property
    def path(self) -> str:
        """The path in the report's folder; not beside <name>.tex, whose own PDF is <name>.pdf."""
        return f"figures/{self.name}"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some words of a response beside the first one: in both, in this one alone, or in the first alone."""

    text: str
    kind: Literal["same", "added", "missing"] = "same"


@dataclass(frozen=True, slots=True)
class MarkedSample:
    """The responses to one prompt: label and pieces of each, the first being what the others are compared with."""

    id: str
    prompt: str
    responses: tuple[tuple[str, tuple[Piece, ...]], ...]


@dataclass(frozen=True, slots=True)
class MarkedSamples:
    """Responses to a few prompts."""

    title: str
    detail: str
    samples: tuple[MarkedSample, ...]


@dataclass(frozen=True, slots=True)
class Entries:
    """A ledger, not empty: entries of (term, ((word, text), ...)), all with the same words."""

    entries: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims, each with its outcome, what it says, where, a tally, and a table of its comparisons."""

    claims: tuple["ClaimEntry", ...]

    def by_exhibit(self) -> list[tuple[str, list["ClaimEntry"]]]:
        """Return the claims about each exhibit, by its label."""
        found: dict[str, list[ClaimEntry]] = {}
        for claim in self.claims:
            found.setdefault(claim.label, []).append(claim)
        return list(found.items())


@dataclass(frozen=True, slots=True)
class ClaimEntry:
    """One claim with its tests. `exhibit` is what its section is named, `label` what the paper calls it."""

    id: str
    exhibit: str
    label: str
    text: str
    where: str
    outcome: Outcome
    tally: str
    comparisons: Table


Block = Prose | Table | Figure | MarkedSamples | Entries | Claims


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under a heading. `id` is what a link names; `about` says in few words what is shown."""

    id: str
    title: str
    blocks: tuple[Block, ...]
    about: str = ""


@dataclass(frozen=True, slots=True)
class Records:
    """The numbers behind an exhibit, unrounded, as lines of `fields`."""

    fields: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


@dataclass(frozen=True, slots=True)
class ExhibitView:
    """One exhibit, ready to be printed in any format, with its numbers as records."""

    section: Section
    records: Records

    @property
    def name(self) -> str:
        """The name of its files."""
        return self.section.id

    @property
    def figures(self) -> list[Figure]:
        """The figures among its blocks."""
        return [block for block in self.section.blocks if isinstance(block, Figure)]


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report: the exhibits, then what is said of the run as a whole.

    `tests` are the tests behind the claims, each once, as a table and as records.
    """

    title: str
    lead: str
    answer: str
    """What became of the paper's claims, in a sentence."""
    arxiv: str
    exhibits: tuple[ExhibitView, ...]
    sections: tuple[Section, ...]
    tests: Table
    test_records: Records
    tests_by_verdict: tuple[Table, ...] = ()
    """The same tests, a table a verdict, what is against the paper first."""
    row_comparisons: Table | None = None
    """Tests of rows that no claim is about, in brief."""
    warning: str = ""
    """What stands above everything else, because it bears on every number."""

    @property
    def all_sections(self) -> tuple[Section, ...]:
        """The sections of exhibits, then the others, in the order in which they are printed."""
        return (*(view.section for view in self.exhibits), *self.sections)

    @property
    def claims(self) -> Claims:
        """The paper's claims; empty for a run without any."""
        blocks = (block for section in self.sections for block in section.blocks)
        return next((block for block in blocks if isinstance(block, Claims)), Claims(()))

    @property
    def figures(self) -> list[Figure]:
        """All that is drawn."""
        return [block for section in self.all_sections for block in section.blocks if isinstance(block, Figure)]

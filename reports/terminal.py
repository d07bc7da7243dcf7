"""The report in a terminal: the tables, the claims, and the names of what is drawn."""

import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.terminal import console
from reports.blocks import (
    ADDED,
    Block,
    Cell,
    Claims,
    Column,
    Differing,
    ExhibitView,
    Figure,
    Group,
    MarkedSamples,
    Measured,
    Outcome,
    Prose,
    Report,
    Row,
    Section,
    Table,
)
from reports.measured import INTERVAL

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Column as RichColumn
    from rich.table import Table as RichTable
    from rich.text import Text

_STYLES = {
    **dict.fromkeys(("holds", "above", "better"), "green"),
    **dict.fromkeys(("fails", "below", "worse"), "red"),
    "undecided": "yellow",
}
"""Of the verdicts that are one; others are dim."""


MIN_WIDTH = 80
"""Columns that a table needs."""


def print_report(report: Report, folder: Path) -> None:
    """Print the report to stdout, and where the whole of it lies: `folder`."""
    screen, rendered = console(sys.stdout), terminal_report(report)
    # In a narrower terminal lines wrap; a table made to fit would cut its numbers.
    screen.width = max(screen.width, MIN_WIDTH, least_width(rendered))
    screen.print(rendered)
    print(f"report:      {folder / 'index.html'}")


def least_width(rendered: "RenderableType") -> int:
    """Return the columns that what is rendered needs for no number to be cut."""
    from rich.measure import Measurement

    screen = console(io.StringIO())
    screen.width = 10_000
    return Measurement.get(screen, screen.options, rendered).minimum


def terminal_report(report: Report) -> "RenderableType":
    """Render the report for a rich console of 80 columns or more: each exhibit, then the claims, last the answer."""
    from rich.console import Group as Lines
    from rich.text import Text

    lines: list[RenderableType] = [Text(report.warning, style="bold red")] if report.warning else []
    has_several = len(report.exhibits) > 1
    for view in report.exhibits:
        lines += [*_exhibit(view, alone=not has_several), Text()]
    if report.claims.claims:
        lines.append(_claims(report.claims, with_exhibit=has_several))
        lines += [_comparisons(table, with_exhibit=has_several) for table in report.tests_by_verdict]
        lines.append(Text(report.tests.source, style="dim"))
    if report.row_comparisons:
        lines.append(_comparisons(report.row_comparisons, with_exhibit=True))
    if report.answer:
        lines.append(Text(report.answer, style="bold"))
    return Lines(*lines)


def terminal_sections(sections: Iterable[Section]) -> "RenderableType":
    """Render sections under their titles, for a rich console: prose, tables and the names of what is drawn."""
    from rich.console import Group as Lines
    from rich.text import Text

    lines: list[RenderableType] = []
    for section in sections:
        lines.append(Text(section.title, style="bold"))
        for block in section.blocks:
            lines += [Text(block.text)] if isinstance(block, Prose) else _block(block)
        lines.append(Text())
    return Lines(*lines)


def _exhibit(view: ExhibitView, alone: bool) -> Iterator["RenderableType"]:
    from rich.text import Text

    if not alone:
        yield Text(f"{view.section.title}. {view.section.about}", style="bold")
    for block in view.section.blocks:
        yield from _block(block)


def _block(block: Block) -> Iterator["RenderableType"]:
    from rich.text import Text

    if isinstance(block, Table) and not block.folded:
        yield from (_grid(block, group) for group in block.groups)
        yield from (Text(f"{_superscript(mark)} {text}", style="dim") for mark, text in block.footnotes)
        if block.source:
            yield Text(block.source.replace(INTERVAL, "low–high: 95 % interval"), style="dim")
    elif isinstance(block, Figure):
        yield Text(f"drawn in {block.path}.pdf, .png, .svg", style="dim")
    elif isinstance(block, MarkedSamples):
        yield Text(f"{block.detail}: {block.title}, {len(block.samples)} prompts in report.md")


def _grid(table: Table, group: Group) -> "RichTable":
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    heading = f"{group.heading}, here {group.detail}" if group.detail else group.heading
    # Three scores beside the paper's fit 80 columns, and six win rates over their intervals.
    dense = table.dense or sum(column.measured for column in table.columns) > 1
    rich = RichTable(
        box=box.SIMPLE_HEAD,
        title=Text(heading) if heading else None,
        title_justify="left",
        show_header=any(column.head for column in table.columns),
        pad_edge=False,
        padding=(0, 0 if dense else 1, 0, 0),
    )
    places = [place for place, column in enumerate(table.columns) if column.brief]
    for place in places:
        _add_column(rich, table.columns[place], any(column.over for column in table.columns))
        if table.columns[place].number and not table.columns[place].measured:
            _let_heading_wrap(rich.columns[-1], [row.cells[place] for row in group.rows])
    for row in group.rows:
        rich.add_row(*(cell for place in places for cell in _cells(row, place)))
    return rich


def _plain_table() -> "RichTable":
    from rich import box
    from rich.table import Table as RichTable

    return RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


def _comparisons(table: Table, *, with_exhibit: bool) -> "RichTable":
    """Show the comparisons of one verdict; those of an exhibit under its label where there are several."""
    from rich.text import Text

    rich = _plain_table()
    for column in table.columns:
        _add_column(rich, column, two_lines=False)
    for group in table.groups:
        if with_exhibit:
            rich.add_row(Text(group.heading, style="dim"))
        for row in group.rows:
            rich.add_row(*(cell for place in range(len(row.cells)) for cell in _cells(row, place)))
    return rich


def _add_column(rich: "RichTable", column: Column, two_lines: bool) -> None:
    from rich.text import Text

    head = f"{column.over}\n{column.head}" if two_lines else column.head
    justify: Literal["left", "right"] = "right" if column.number else "left"
    rich.add_column(Text(head), justify=justify, no_wrap=column.number, overflow="fold")
    if column.measured:
        paper = f"paper{_superscript(column.paper_mark)}"
        rich.add_column(Text(f"\n{paper}" if two_lines else paper), style="dim", no_wrap=True)


def _let_heading_wrap(column: "RichColumn", cells: Sequence[Cell]) -> None:
    """Let the heading of a table that is too wide give up what it takes beyond the numbers under it."""
    column.min_width, column.no_wrap = max(len(_plain(cell)) for cell in cells), False


def _cells(row: Row, place: int) -> Iterator["Text"]:
    from rich.text import Text

    cell = row.cells[place]
    if isinstance(cell, Measured):
        yield _ours(cell)
        yield Text(f"{cell.paper:>4}{_superscript(cell.paper_mark)}")
    elif place == 0 and row.added:
        yield Text(f"{_plain(cell)} (ours){_superscript(ADDED)}", style="italic")
    else:
        style = _STYLES.get(cell.verdict, "dim") if isinstance(cell, Outcome) else ""
        yield Text(_plain(cell), style=style)


def _plain(cell: Cell) -> str:
    if isinstance(cell, Outcome):
        return cell.verdict
    if isinstance(cell, Differing):
        return f"≠ {cell.text}"
    return cell if isinstance(cell, str) else cell.ours


def _ours(cell: Measured) -> "Text":
    from rich.text import Text

    text = Text(cell.ours, style="bold")
    if cell.interval:
        text.append(f" {cell.interval[0]}–{cell.interval[1]}", style="not bold dim")
    return text.append(_superscript(cell.mark))


def _claims(block: Claims, with_exhibit: bool) -> "RichTable":
    rich = _plain_table()
    if with_exhibit:
        rich.add_column("")
    rich.add_column("The paper's claims")
    rich.add_column("Here", no_wrap=True)
    rich.add_column("Comparisons")
    for claim in block.claims:
        row = Row((claim.label, claim.text, claim.outcome, claim.tally))
        rich.add_row(*(cell for place in range(not with_exhibit, 4) for cell in _cells(row, place)))
    return rich


_SUPERSCRIPTS = str.maketrans("abcdefghi0123456789+", "ᵃᵇᶜᵈᵉᶠᵍʰⁱ⁰¹²³⁴⁵⁶⁷⁸⁹⁺")


def _superscript(mark: str) -> str:
    return mark.translate(_SUPERSCRIPTS)

"""The table and the claims in a terminal."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.core.papers import PaperTable, load_paper_table
from reports.claims import coverage, detectable, difference, distinct, metric, needed, ordering, tally
from reports.manifest import ComparisonResult, Manifest, parse_manifest
from reports.tables import ADDED, INTERVAL, Cell, Panel, Table, build_table

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_STYLES = {"holds": "green", "fails": "red", "undecided": "yellow", "not run": "dim"}


def terminal_table(manifest: Mapping[str, Any]) -> "RenderableType":
    """The table and the claims of a run (the content of its manifest.json), for a rich console."""
    from rich.console import Group
    from rich.text import Text

    run = parse_manifest(manifest)
    paper = load_paper_table(run.paper, run.experiment).with_rows(run.added_rows)
    table = build_table(run, paper)
    footnotes = [Text(f"{_superscript(mark)} {text}", style="dim") for mark, text in table.footnotes()]
    parts: list[RenderableType] = [_terminal_panel(table, panel) for panel in table.panels]
    source = Text(table.source.replace(INTERVAL, "low–high: 95 % interval"), style="dim")
    parts += [*footnotes, source, Text(), _terminal_claims(run)]
    if undecided := [comparison for comparison in distinct(run) if comparison.verdict == "undecided"]:
        parts.append(_terminal_undecided(undecided, paper))
    return Group(*parts, Text(coverage(run), style="dim"))


def _terminal_panel(table: Table, panel: Panel) -> "RenderableType":
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    rich = RichTable(box=box.SIMPLE_HEAD, title=Text(panel.heading), title_justify="left", pad_edge=False, padding=0)
    rich.add_column("Method", no_wrap=True)
    for column in table.columns:
        rich.add_column(Text(f"{column.bench_label}\n{column.label}"), justify="right")
        rich.add_column(Text(f"\npaper{_superscript(table.common_mark)}"), style="dim")
    for row in panel.rows:
        label = f"{row.label} (ours){_superscript(ADDED)}" if row.added else row.label
        cells = [Text(label, style="italic" if row.added else "")]
        for cell in row.cells:
            paper = f"{table.number(cell.published):>4}{_superscript(table.verdict_mark(cell))}"
            cells += [_ours(table, cell), Text(paper)]
        rich.add_row(*cells)
    return rich


def _ours(table: Table, cell: Cell) -> "Text":
    """Value and interval without a space in it, since rich would wrap there."""
    from rich.text import Text

    text = Text(table.number(cell.score.value), style="bold")
    if cell.score.ci95:
        low, high = cell.score.ci95
        text.append(f" {table.number(low)}–{table.number(high)}", style="not bold dim")
    return text.append(_superscript(table.note_mark(cell)))


def _terminal_claims(run: Manifest) -> "RenderableType":
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    rich = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    rich.add_column("The paper's claims")
    rich.add_column("Here", no_wrap=True)
    rich.add_column("Comparisons")
    for claim in run.claims:
        rich.add_row(Text(claim.says), Text(claim.verdict, style=_STYLES.get(claim.verdict, "")), Text(tally(claim)))
    return rich


def _terminal_undecided(undecided: Sequence[ComparisonResult], paper: PaperTable) -> "RenderableType":
    """What each of them could have found, and what would decide it."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    rich = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for head in ("Undecided", "", "", "difference", "detectable", "needed"):
        rich.add_column(head, justify="right" if head == "detectable" else "left")
    for each in undecided:
        cells = (
            ordering(paper, each),
            each.model,
            metric(paper, each),
            difference(each),
            detectable(each),
            needed(each),
        )
        rich.add_row(*map(Text, cells))
    return rich


_SUPERSCRIPTS = str.maketrans("abcdefghi0123456789+", "ᵃᵇᶜᵈᵉᶠᵍʰⁱ⁰¹²³⁴⁵⁶⁷⁸⁹⁺")


def _superscript(mark: str) -> str:
    return mark.translate(_SUPERSCRIPTS)

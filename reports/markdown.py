"""The report in Markdown."""

from collections.abc import Iterable, Iterator, Sequence

from harness.core.papers import PaperTable
from reports import uncertainty
from reports.claims import HEAD, coverage, line, tally
from reports.manifest import ClaimResult, Manifest
from reports.provenance import facts, shown
from reports.tables import ADDED, Panel, Table


def markdown(table: Table) -> str:
    """The table alone: one part for each base model, footnotes below."""
    footnotes = [f"<sup>{mark}</sup> {_text(text)}  " for mark, text in table.footnotes()]
    blocks = [_panel(table, panel) for panel in table.panels]
    return "\n\n".join([*blocks, "\n".join([*footnotes, _text(table.source)])])


def markdown_report(manifest: Manifest, paper: PaperTable, table: Table, figure: str) -> str:
    """The whole report; `figure` is the file name of the chart beside it."""
    parts = [
        f"# {_text(table.title)}, reproduced at scale {_text(manifest.scale)}",
        f"{_text(paper.title)} ({paper.label} in {paper.where}, arXiv:{paper.arxiv}). {_text(paper.caption)}.",
        markdown(table),
        f"![{_text(table.title)}: ours with 95 % intervals, and the paper's]({figure})",
        "## The paper's claims, tested here",
        _text(coverage(manifest)),
        *_claims(manifest.claims, paper),
    ]
    if components := uncertainty.components(manifest, paper):
        parts += [f"## {uncertainty.TITLE}", _text(uncertainty.EXPLANATION), _rows(uncertainty.HEAD, components)]
    parts += [
        "## Deviations from the paper",
        _rows(
            ("", "the paper says", "we do", "why"),
            ((d.id, d.paper_says, d.we_do, d.why) for d in manifest.deviations),
        ),
    ]
    if paper.discrepancies:
        parts += [
            "## Where the paper's text and its table disagree",
            _rows(
                ("where", "text", "table", "note"), ((d.where, d.text, d.table, d.note) for d in paper.discrepancies)
            ),
        ]
    if manifest.diagnostics:
        names = list(dict.fromkeys(name for entry in manifest.diagnostics for name in entry))
        entries = ([shown(entry.get(name)) for name in names] for entry in manifest.diagnostics)
        parts += ["## Diagnostics", _rows([name.replace("_", " ") for name in names], entries)]
    parts += ["## Provenance", _rows(("", ""), facts(manifest))]
    return "\n\n".join(parts) + "\n"


def _panel(table: Table, panel: Panel) -> str:
    head = ["Method"]
    for column in table.columns:
        head += [_text(f"{column.bench_label} {column.label}"), "paper" + _sup(table.common_mark)]
    lines = [_row(head), _row(["---"] + ["---:"] * (len(head) - 1))]
    for row in panel.rows:
        cells = [f"*{_text(row.label)}* (ours){_sup(ADDED)}" if row.added else _text(row.label)]
        for cell in row.cells:
            cells.append(table.ours(cell) + _sup(table.note_mark(cell)))
            cells.append(table.number(cell.published) + _sup(table.verdict_mark(cell)))
        lines.append(_row(cells))
    return f"**{_text(panel.heading)}**\n\n" + "\n".join(lines)


def _claims(claims: Sequence[ClaimResult], paper: PaperTable) -> Iterator[str]:
    yield _rows(
        ("claim", "where", "here", "comparisons"),
        ((claim.says, claim.where, claim.verdict, tally(claim)) for claim in claims),
    )
    comparisons = ((claim.id, *line(paper, each)) for claim in claims for each in claim.comparisons)
    yield (
        "<details><summary>Every comparison: difference in points, 95 % interval, p of the paired test by itself and "
        "Holm-adjusted</summary>"
    )
    yield _rows(("claim", *HEAD), comparisons)
    yield "</details>"


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [_row(map(_text, head)), _row(["---"] * len(head)), *(_row(map(_text, row)) for row in rows)]
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _sup(mark: str) -> str:
    return f" <sup>{mark}</sup>" if mark else ""


def _text(text: str) -> str:
    """`text` on one line, with the characters escaped that Markdown or a table in it would take as markup."""
    for character in "\\`*_[]<>|":
        text = text.replace(character, "\\" + character)
    return text.replace("\n", " ")

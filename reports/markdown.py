"""The report in Markdown."""

import re
from collections.abc import Iterable, Iterator, Sequence

from harness.terminal import visible
from reports.blocks import (
    ADDED,
    Block,
    Cell,
    Claims,
    Column,
    Differing,
    Entries,
    Figure,
    Group,
    MarkedSamples,
    Measured,
    Outcome,
    Piece,
    Prose,
    Report,
    Row,
    Section,
    Table,
)


def markdown_report(report: Report) -> str:
    """Render `report.md`: everything but the pairs of answers. Figures are linked by their file names."""
    lead = f"{_text(report.lead)} (arXiv:{report.arxiv})."
    contents = "\n".join(f"- [{_text(_heading(section))}](#{section.id})" for section in report.all_sections)
    sections = [text for section in report.all_sections for text in _section(section)]
    emphasised = [f"**{_text(text)}**" for text in (report.warning, report.answer) if text]
    return "\n\n".join([f"# {_text(report.title)}", lead, *emphasised, contents, *sections]) + "\n"


def _heading(section: Section) -> str:
    return f"{section.title}: {section.about}" if section.about else section.title


def _section(section: Section) -> Iterator[str]:
    yield f'<a id="{section.id}"></a>\n\n## {_text(section.title)}'
    for block in section.blocks:
        yield from markdown(block)


def markdown(block: Block) -> Iterator[str]:
    """Yield the paragraphs of one block."""
    if isinstance(block, Prose):
        yield _text(block.text)
    elif isinstance(block, Table):
        yield from _folded_table(block) if block.folded else _table(block)
    elif isinstance(block, Figure):
        yield f"![{_text(block.alt)}]({block.path}.png)"
        yield f"*{_text(block.caption)}*"
    elif isinstance(block, MarkedSamples):
        yield from _samples(block)
    elif isinstance(block, Entries):
        words = [word for word, _ in block.entries[0][1]]
        yield _rows(["", *words], ([term, *(text for _, text in facts)] for term, facts in block.entries))
    else:
        yield from _claims(block)


def _folded_table(table: Table) -> Iterator[str]:
    yield f"<details><summary>{_text(table.folded)}</summary>"
    yield from _table(table)
    yield "</details>"


def _table(table: Table) -> Iterator[str]:
    for group in table.groups:
        if group.heading:
            yield f"**{_text(group.heading)}**" + (f", here {_text(group.detail)}" if group.detail else "")
        yield _grid(table, group)
    footnotes = [f"<sup>{mark}</sup> {_text(text)}  " for mark, text in table.footnotes]
    if footnotes or table.source:
        yield "\n".join([*footnotes, _text(table.source)]).rstrip()


def _grid(table: Table, group: Group) -> str:
    head, ruler = [], []
    for column in table.columns:
        head += _heads(column)
        ruler += ["---:" if column.number else "---"] * (2 if column.measured else 1)
    lines = [_line(head), _line(ruler)]
    lines += [_line(cell for cell in _cells(row)) for row in group.rows]
    return "\n".join(lines)


def _heads(column: Column) -> list[str]:
    head = _text(f"{column.over} {column.head}".strip())
    return [head, "paper" + _sup(column.paper_mark)] if column.measured else [head]


def _cells(row: Row) -> Iterator[str]:
    for place, cell in enumerate(row.cells):
        if isinstance(cell, Measured):
            yield _ours(cell) + _sup(cell.mark)
            yield _text(cell.paper) + _sup(cell.paper_mark)
        elif place == 0 and row.added:
            yield f"*{_cell(cell)}* (ours){_sup(ADDED)}"
        else:
            yield _cell(cell)


def _ours(cell: Measured) -> str:
    return cell.ours if cell.interval is None else f"{cell.ours} [{cell.interval[0]},\u00a0{cell.interval[1]}]"


def _cell(cell: Cell) -> str:
    if isinstance(cell, Outcome):
        return _text(cell.verdict)
    if isinstance(cell, Differing):
        return f"≠ **{_text(cell.text)}**"
    if isinstance(cell, Measured):
        return _ours(cell)
    return _text(cell)


def _claims(block: Claims) -> Iterator[str]:
    yield _rows(
        ("", "claim", "where", "here", "comparisons"),
        ((claim.label, claim.text, claim.where, claim.outcome.verdict, claim.tally) for claim in block.claims),
    )
    for label, claims in block.by_exhibit():
        columns = claims[0].comparisons.columns
        rows = [Row((claim.id, *row.cells)) for claim in claims for row in claim.comparisons.rows]
        if rows:
            table = Table((Column("claim"), *columns), (Group(tuple(rows)),), folded=f"{label}: every comparison")
            yield from _folded_table(table)


def _samples(block: MarkedSamples) -> Iterator[str]:
    yield f"**{_text(block.title)}**. {_text(block.detail)}."
    for sample in block.samples:
        yield _quote("prompt", _escaped(sample.prompt))
        for label, pieces in sample.responses:
            yield _quote(label, "".join(map(_piece, pieces)).strip())


def _quote(label: str, text: str) -> str:
    """Quote a text beside its label, every line of it a line of one quotation, none of them a list or a heading."""
    first, *others = text.split("\n")
    lines = [f"**{_text(label)}:** {first}", *map(_plain_line, others)]
    return "  \n".join(f"> {line}".rstrip() for line in lines)


def _plain_line(line: str) -> str:
    """Escape a line, with nothing at its start that Markdown takes as markup."""
    words = line.lstrip(" \t")
    indent = "\u00a0" * (len(line) - len(words))
    return indent + re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", words)


def _piece(piece: Piece) -> str:
    if piece.kind == "missing":
        return f"~~{_inline(piece.text)}~~ "
    return f"**{_inline(piece.text)}**" if piece.kind == "added" else _escaped(piece.text)


def _inline(text: str) -> str:
    """Return `text` escaped and on one line, since a mark does not reach over two."""
    return _escaped(" ".join(text.split()))


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [_line(map(_text, head)), _line(["---"] * len(head)), *(_line(map(_text, row)) for row in rows)]
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _sup(mark: str) -> str:
    return f" <sup>{mark}</sup>" if mark else ""


def _text(text: str) -> str:
    """Return `text` on one line, safe in Markdown and in a table of it."""
    return _escaped(text).replace("\n", " ")


def _escaped(text: str) -> str:
    """Return `text` with the characters escaped that Markdown or a table in it would take as markup, or a terminal
    obey."""
    text = visible(text)
    for character in "\\`*_[]<>|~#":
        text = text.replace(character, "\\" + character)
    return text

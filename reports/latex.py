"""LaTeX with booktabs: each exhibit, and the tests."""

import re
from collections.abc import Iterable, Iterator, Sequence

from reports.blocks import (
    ADDED,
    Block,
    Cell,
    Column,
    Differing,
    ExhibitView,
    Figure,
    Group,
    MarkedSamples,
    Measured,
    Outcome,
    Piece,
    Prose,
    Report,
    Row,
    Table,
)

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "\u00a0": "~",
    "—": "---",
    "–": "--",
    "−": "$-$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "→": r"$\rightarrow$",
    "…": r"\ldots{}",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "θ": r"$\theta$",
    "π": r"$\pi$",
    "φ": r"$\phi$",
    "λ": r"$\lambda$",
    "µ": r"$\mu$",
    "σ": r"$\sigma$",
    "ŷ": r"$\hat{y}$",
    "ỹ": r"$\tilde{y}$",
    "◦": r"$^\circ$",
    "≈": r"$\approx$",
    "≠": r"$\neq$",
    "≫": r"$\gg$",
    "∪": r"$\cup$",
    "½": r"$\frac{1}{2}$",
    "✓": r"$\checkmark$",
    "✗": r"$\times$",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
    "|": r"$|$",
}


_PACKAGES = r"""\usepackage[utf8]{inputenc}
\usepackage{amssymb,array,booktabs,graphicx,longtable}
\usepackage[margin=2cm]{geometry}
"""

_ALONE_HEAD = r"""% Compiles on its own. Inside a document that loads amssymb, array, booktabs, graphicx and longtable,
% \input{%s} gives the content alone.
\makeatletter
\newif\ifharnessalone
\ifx\@nodocument\relax \harnessalonefalse \else \harnessalonetrue \fi
\makeatother
\ifharnessalone
\documentclass{article}
%p\begin{document}
\fi
"""

_ALONE_FOOT = r"""
\ifharnessalone \def\harnessend{\end{document}} \else \let\harnessend\relax \fi
\harnessend
"""


def latex_text(text: str) -> str:
    """Escape `text` for pdfLaTeX; a character it has no glyph for is printed by its code point."""
    # Two hyphens, as in the name of an option, would be printed as one dash.
    return "{}".join("".join(map(_latex_character, part)) for part in re.split(r"(?<=-)(?=-)", text))


def _latex_character(character: str) -> str:
    if character in _LATEX:
        return _LATEX[character]
    if character.isspace():
        return " "
    # Latin-1 letters are in every font; what lies beyond would stop the compiler.
    known = character.isprintable() and (character.isascii() or "¡" <= character <= "ÿ")
    return character if known else rf"\texttt{{U+{ord(character):04X}}}"


def latex_exhibit(view: ExhibitView) -> str:
    """Write what the paper shows and we set beside it; the file compiles alone and can be \\input."""
    blocks = [block for block in view.section.blocks if _is_essential(block)]
    return _alone(view.name, [line for block in blocks for line in _block(block)])


def _is_essential(block: Block) -> bool:
    if isinstance(block, Figure):
        return not block.beside
    return not (isinstance(block, Prose) or (isinstance(block, Table) and block.folded))


def latex_tests(report: Report) -> str:
    """Write the tests of the claims, each once, and where the uncertainty of scores comes from, where that is known.

    The file compiles alone and can be \\input.
    """
    tables = [block for view in report.exhibits for block in view.section.blocks if isinstance(block, Table)]
    uncertainties = [table for table in tables if table.name.endswith("-uncertainty")]
    return _alone("tests", [line for table in [report.tests, *uncertainties] for line in _long_table(table)])


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Table):
        yield from _floating_table(block)
    elif isinstance(block, Figure):
        yield from _figure(block)
    elif isinstance(block, MarkedSamples):
        yield from _samples(block)


def _floating_table(table: Table) -> Iterator[str]:
    yield r"\begin{table}[htbp]"
    yield r"\centering"
    yield from _caption(table)
    yield r"\smallskip\footnotesize"
    yield r"\setlength{\tabcolsep}{5pt}"
    # No wider than the line; narrower tables keep their size.
    yield r"\setbox0=\hbox{%"
    yield rf"\begin{{tabular}}{{{''.join(map(_column_layout, table.columns))}}}"
    yield r"\toprule"
    yield from _head(table.columns, table)
    yield from _body(table)
    yield r"\bottomrule"
    yield r"\end{tabular}}"
    yield r"\ifdim\wd0>\linewidth \resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi"
    yield from _notes(table)
    yield r"\end{table}"


def _long_table(table: Table) -> Iterator[str]:
    yield r"{\scriptsize\setlength{\tabcolsep}{2.5pt}\setlength{\LTcapwidth}{\linewidth}"
    yield rf"\begin{{longtable}}{{{''.join(map(_column_layout, table.columns))}}}"
    caption = "".join(_caption(table))
    head = [r"\toprule", *_head(table.columns, table), r"\midrule"]
    yield rf"{caption} \\" if caption else ""
    yield from (*head, r"\endfirsthead")
    yield from (*head, r"\endhead")
    yield r"\bottomrule"
    yield r"\endlastfoot"
    yield from _body(table, begun=True)
    yield r"\end{longtable}}"
    yield from _notes(table)


def _caption(table: Table) -> Iterator[str]:
    if table.caption:
        label = "".join(c for c in table.name if c.isalnum())
        yield rf"\caption{{{latex_text(table.caption)}.}}" + (rf"\label{{tab:{label}}}" if label else "")


def _column_layout(column: Column) -> str:
    if column.measured:
        return r"r@{\hspace{3pt}}r"
    if column.wraps:
        return rf">{{\raggedright\arraybackslash}}p{{{column.wraps}\linewidth}}"
    return "r" if column.number else "l"


def _width(columns: Sequence[Column]) -> int:
    return sum(2 if column.measured else 1 for column in columns)


def _head(columns: Sequence[Column], table: Table) -> Iterator[str]:
    if any(column.over for column in columns):
        spans, rules, start = [], [], 1
        for label, under in table.spans():
            width = _width(under)
            spans.append(rf"\multicolumn{{{width}}}{{c}}{{{latex_text(label)}}}")
            if label:
                rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
            start += width
        yield " & ".join(spans) + r" \\"
        yield "".join(rules)
    if any(column.head for column in columns):
        yield " & ".join(map(_column_head, columns)) + r" \\"


def _column_head(column: Column) -> str:
    head = latex_text(column.head)
    return rf"{head} & paper{_sup(column.paper_mark)}" if column.measured else head


def _body(table: Table, begun: bool = False) -> Iterator[str]:
    """Yield the lines of all groups, each below its heading; `begun` where a rule stands above the first already."""
    for place, group in enumerate(table.groups):
        if place or not begun:
            yield r"\midrule"
        if group.heading:
            yield _group_head(group, _width(table.columns))
        yield from map(_row, group.rows)


def _group_head(group: Group, width: int) -> str:
    heading = f"{group.heading}, here {group.detail}" if group.detail else group.heading
    return rf"\multicolumn{{{width}}}{{l}}{{\textit{{{latex_text(heading)}}}}} \\"


def _row(row: Row) -> str:
    first, *others = row.cells
    label = rf"\textit{{{_cell(first)}}} (ours){_sup(ADDED)}" if row.added else _cell(first)
    line = " & ".join([label, *map(_cell, others)]) + r" \\"
    return f"{{}}{line}" if line.startswith(("[", "*")) else line  # or it would be an option of the line before


def _cell(cell: Cell) -> str:
    if isinstance(cell, Measured):
        interval = rf" {{\scriptsize [{cell.interval[0]},~{cell.interval[1]}]}}" if cell.interval else ""
        paper = latex_text(cell.paper) + _sup(cell.paper_mark)
        return f"{latex_text(cell.ours)}{interval}{_sup(cell.mark)} & {paper}"
    if isinstance(cell, Outcome):
        return latex_text(cell.verdict)
    if isinstance(cell, Differing):
        return rf"$\neq$~\textbf{{{latex_text(cell.text)}}}"
    return latex_text(cell)


def _notes(table: Table) -> Iterator[str]:
    """Yield the small print below a table."""
    lines = [f"{_sup(mark)} {latex_text(text)}. " for mark, text in table.footnotes]
    if table.source:
        lines.append(latex_text(table.source))
    if lines:
        yield from (
            "",
            r"\smallskip\noindent",
            r"\begin{minipage}{\linewidth}\scriptsize\raggedright",
            *lines,
            r"\end{minipage}",
            "",
        )


def _figure(figure: Figure) -> Iterator[str]:
    yield r"\begin{figure}[htbp]"
    yield r"\centering"
    # At its own size, unless that is wider than the line.
    yield rf"\setbox0=\hbox{{\includegraphics{{{figure.path}.pdf}}}}%"
    yield r"\ifdim\wd0>\linewidth \resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi"
    yield rf"\caption{{{latex_text(figure.caption)}.}}"
    yield r"\end{figure}"


def _samples(block: MarkedSamples) -> Iterator[str]:
    yield rf"\subsection*{{{latex_text(block.title)}}}"
    yield latex_text(block.detail) + "."
    for sample in block.samples:
        yield r"\begin{description}\raggedright\setlength{\itemsep}{1pt}"
        yield rf"\item[Prompt] {_paragraphs(sample.prompt)}"
        for label, pieces in sample.responses:
            yield rf"\item[{{{latex_text(label)}}}] {''.join(map(_piece, pieces))}"
        yield r"\end{description}"
        yield r"\medskip\hrule\medskip"


def _paragraphs(text: str) -> str:
    return r"\par ".join(map(latex_text, text.split("\n")))


def _piece(piece: Piece) -> str:
    """Mark a word as bold where it is added; in brackets, behind a minus sign, where it is missing."""
    if piece.kind == "missing":
        return rf"{{\footnotesize[$-$\,{latex_text(piece.text)}]}} "
    if piece.kind == "added":
        return rf"\textbf{{{latex_text(piece.text)}}}"
    return _paragraphs(piece.text)


def _alone(name: str, lines: Iterable[str]) -> str:
    """Return the lines as a file that compiles alone and can be \\input."""
    return _ALONE_HEAD.replace("%s", name).replace("%p", _PACKAGES) + "\n".join(lines) + _ALONE_FOOT


def _sup(mark: str) -> str:
    return rf"\textsuperscript{{{mark}}}" if mark else ""

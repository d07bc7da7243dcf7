"""LaTeX with booktabs."""

from collections.abc import Iterator

from reports.tables import ADDED, Cell, Table, TableRow

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
    "†": r"\textsuperscript{\textdagger}",
    "‡": r"\textsuperscript{\textdaggerdbl}",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "θ": r"$\theta$",
    "π": r"$\pi$",
    "φ": r"$\phi$",
}


def latex_text(text: str) -> str:
    """`text` safe for pdfLaTeX; a character it has no glyph for is printed by its code point."""
    return "".join(_latex_character(character) for character in text)


def _latex_character(character: str) -> str:
    if character in _LATEX:
        return _LATEX[character]
    # Latin-1 letters are in every font; what lies beyond would stop the compiler.
    return character if character.isascii() or "¡" <= character <= "ÿ" else rf"\texttt{{U+{ord(character):04X}}}"


_LATEX_HEAD = r"""% Compiles on its own; inside a document that loads booktabs, \input{%s} gives the table alone.
\makeatletter
\newif\ifharnessalone
\ifx\@nodocument\relax \harnessalonefalse \else \harnessalonetrue \fi
\makeatother
\ifharnessalone
\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage{booktabs}
\usepackage[margin=2cm]{geometry}
\begin{document}
\fi
"""

_LATEX_FOOT = r"""
\ifharnessalone \def\harnessend{\end{document}} \else \let\harnessend\relax \fi
\harnessend
"""


def latex(table: Table) -> str:
    """A booktabs table with a part for each base model; the file compiles alone and can be \\input."""
    width = 1 + 2 * len(table.columns)
    lines = [
        r"\begin{table}[htbp]",
        r"\centering",
        rf"\caption{{{latex_text(table.caption)}. Ours with 95\,\% interval, and the paper's.}}",
        rf"\label{{tab:{''.join(c for c in table.name if c.isalnum())}}}",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{5pt}",
        rf"\begin{{tabular}}{{l*{{{len(table.columns)}}}{{r@{{\hspace{{3pt}}}}r}}}}",
        r"\toprule",
        *_latex_head(table),
    ]
    for panel in table.panels:
        lines += [r"\midrule", rf"\multicolumn{{{width}}}{{l}}{{\textit{{{latex_text(panel.heading)}}}}} \\"]
        lines += [_latex_row(table, row) for row in panel.rows]
    lines += [
        r"\bottomrule",
        r"\end{tabular}",
        "",
        r"\smallskip",
        r"\begin{minipage}{\linewidth}\scriptsize\raggedright",
    ]
    lines += [f"{_sup(mark)} {latex_text(text)}. " for mark, text in table.footnotes()]
    lines += [latex_text(table.source), r"\end{minipage}", r"\end{table}"]
    return _LATEX_HEAD.replace("%s", table.name) + "\n".join(lines) + _LATEX_FOOT


def _latex_head(table: Table) -> Iterator[str]:
    spans, rules, start = [], [], 2
    for label, count in table.spanned_columns():
        spans.append(rf"\multicolumn{{{2 * count}}}{{c}}{{{latex_text(label)}}}")
        rules.append(rf"\cmidrule(lr){{{start}-{start + 2 * count - 1}}}")
        start += 2 * count
    paper = "paper" + _sup(table.common_mark)
    yield " & ".join(["", *spans]) + r" \\"
    yield "".join(rules)
    yield " & ".join(["Method", *(rf"{latex_text(column.label)} & {paper}" for column in table.columns)]) + r" \\"


def _latex_row(table: Table, row: TableRow) -> str:
    cells = [rf"\textit{{{latex_text(row.label)}}} (ours){_sup(ADDED)}" if row.added else latex_text(row.label)]
    for cell in row.cells:
        cells.append(_ours(table, cell) + _sup(table.note_mark(cell)))
        cells.append(latex_text(table.number(cell.published)) + _sup(table.verdict_mark(cell)))
    return " & ".join(cells) + r" \\"


def _ours(table: Table, cell: Cell) -> str:
    value, interval = table.number(cell.score.value), table.interval(cell.score.ci95)
    return latex_text(value) + (rf" {{\scriptsize {latex_text(interval)}}}" if interval else "")


def _sup(mark: str) -> str:
    return rf"\textsuperscript{{{mark}}}" if mark else ""

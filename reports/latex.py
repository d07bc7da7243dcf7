"""LaTeX with booktabs."""

from collections.abc import Iterable, Iterator, Sequence

from harness.core.papers import PaperTable
from reports import uncertainty
from reports.claims import HEAD, coverage, distinct, line
from reports.manifest import Manifest
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
    # Two hyphens, as in the name of an option, would be printed as one dash.
    return "-{}-".join("".join(map(_latex_character, part)) for part in text.split("--"))


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
        lines += _part_head(panel.heading, width)
        lines += [_latex_row(table, row) for row in panel.rows]
    footnotes = [f"{_sup(mark)} {latex_text(text)}. " for mark, text in table.footnotes()]
    lines += [r"\bottomrule", r"\end{tabular}", *_note([*footnotes, latex_text(table.source)]), r"\end{table}"]
    return _alone(table.name, lines)


def latex_tests(manifest: Manifest, paper: PaperTable, name: str) -> str:
    """The tests of the claims, each once, and where the uncertainty of the scores comes from, where that is known.

    The file `name`.tex compiles alone and can be \\input.
    """
    caption = f"Paired tests of the orderings that the paper's claims about {paper.label} rest on."
    tests = (line(paper, comparison) for comparison in distinct(manifest))
    lines = _text_table(caption, coverage(manifest), "llrrrlrl", HEAD, tests)
    if parts := uncertainty.components(manifest, paper):
        caption = f"{uncertainty.TITLE}."
        lines += ["", *_text_table(caption, uncertainty.EXPLANATION, "llrrrr", uncertainty.HEAD, parts)]
    return _alone(name, lines)


def _text_table(caption: str, note: str, columns: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A small booktabs table of plain text with a part for each first cell, and a note below."""
    parts: dict[str, list[str]] = {}
    for first, *others in rows:
        parts.setdefault(first, []).append(_text_row(others))
    return [
        r"\begin{table}[htbp]",
        r"\centering",
        rf"\caption{{{latex_text(caption)}}}",
        r"\scriptsize",
        r"\setlength{\tabcolsep}{3pt}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _text_row(head[1:]),
        *(row for first, its_rows in parts.items() for row in (*_part_head(first, len(columns)), *its_rows)),
        r"\bottomrule",
        r"\end{tabular}",
        *_note([latex_text(note)]),
        r"\end{table}",
    ]


def _text_row(cells: Iterable[str]) -> str:
    return " & ".join(map(latex_text, cells)) + r" \\"


def _part_head(text: str, width: int) -> list[str]:
    """The line above a part of a table with `width` columns."""
    return [r"\midrule", rf"\multicolumn{{{width}}}{{l}}{{\textit{{{latex_text(text)}}}}} \\"]


def _note(lines: Iterable[str]) -> list[str]:
    """Small print below a table."""
    return ["", r"\smallskip", r"\begin{minipage}{\linewidth}\scriptsize\raggedright", *lines, r"\end{minipage}"]


def _alone(name: str, lines: Iterable[str]) -> str:
    """The lines as a file that compiles alone and can be \\input."""
    return _LATEX_HEAD.replace("%s", name) + "\n".join(lines) + _LATEX_FOOT


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

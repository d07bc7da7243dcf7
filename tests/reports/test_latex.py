"""The LaTeX table."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.core.papers import PaperTable
from reports.latex import latex, latex_text
from reports.manifest import parse_manifest
from reports.tables import build_table


@pytest.fixture
def source(manifest: dict[str, Any], paper: PaperTable) -> str:
    manifest["models"]["qwen"]["description"] = r"every & special % $ # _ { } ~ ^ \ < > — é 汉 character"
    return latex(build_table(parse_manifest(manifest), paper))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b & 5 %", r"a\_b \& 5 \%"),
        ("\\{x}^~#$", r"\textbackslash{}\{x\}\textasciicircum{}\textasciitilde{}\#\$"),
        ("θ* < SGPO†", r"$\theta$* $<$ SGPO\textsuperscript{\textdagger}"),
        ("é 汉", r"é \texttt{U+6C49}"),
    ],
)
def test_escaping(text: str, expected: str) -> None:
    assert latex_text(text) == expected


def test_rows(source: str) -> None:
    assert r"SFT & 20.0 {\scriptsize [17.5,~22.8]} & 5.8 & 30.0" in source
    assert r"\textit{$\theta$*} (ours)\textsuperscript{+} & " in source
    assert r"SPIN & ---\textsuperscript{1} & 7.5 & " in source
    assert r"paper\textsuperscript{a}" in source
    assert r"\textsuperscript{a} not comparable: scale." in source


def test_every_row_has_as_many_cells_as_the_table_has_columns(source: str) -> None:
    body = source[source.index(r"\toprule") : source.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\") and r"\multicolumn" not in line]
    assert len(rows) == 15
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {6}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
@pytest.mark.parametrize("alone", [True, False])
def test_compiles_alone_and_inside_a_document(tmp_path: Path, source: str, alone: bool) -> None:
    (tmp_path / "table3.tex").write_text(source, encoding="utf-8")
    host = r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{table3}\input{table3}\end{document}"
    (tmp_path / "host.tex").write_text(host, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table3.tex" if alone else "host.tex"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120)
    assert run.returncode == 0, run.stdout[-2000:]

"""The LaTeX table."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.core.papers import PaperTable
from reports.latex import latex, latex_tests, latex_text
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
        ("--seeds 3 – 4", "-{}-seeds 3 -- 4"),
        ("é 汉", r"é \texttt{U+6C49}"),
    ],
)
def test_escaping(text: str, expected: str) -> None:
    assert latex_text(text) == expected


def test_rows(source: str) -> None:
    assert r"SFT & 20.0 {\scriptsize [17.5,~22.8]} & 5.8 & 30.0" in source
    assert r"\textit{$\theta$*} (ours)\textsuperscript{+} & " in source
    assert r"SPIN & ---\textsuperscript{2} & 7.5 & " in source
    assert r"\textsuperscript{2} withheld: verdicts are missing; n/N = 786/805 verdicts." in source
    assert r"\textsuperscript{1} & 23.9" in source
    assert r"\textsuperscript{1} n/N = 993/1000 verdicts." in source
    assert r"paper\textsuperscript{a}" in source
    assert r"\textsuperscript{a} not comparable: scale." in source


def test_every_row_has_as_many_cells_as_the_table_has_columns(source: str) -> None:
    body = source[source.index(r"\toprule") : source.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\") and r"\multicolumn" not in line]
    assert len(rows) == 15
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {6}


@pytest.fixture
def tests_source(manifest: dict[str, Any], paper: PaperTable) -> str:
    manifest["cells"][0]["uncertainty"] = {"prompts": 1.25, "judge": 0.5, "training_seeds": None, "total": 1.346}
    return latex_tests(parse_manifest(manifest), paper, "table3_tests")


def test_the_tests_of_the_claims(tests_source: str) -> None:
    assert r"Holm-adjusted over 8 tests; the 95 \% intervals are not adjusted." in tests_source
    undecided = "AlpacaEval 2.0 WR & +0.4 [-1.6,~2.4] & 0.700 & 0.700 & undecided & 2.9 & 12,345 prompts"
    assert rf"SGPO $>$ SPIN & {undecided} \\" in tests_source
    assert r"SFT & AlpacaEval 2.0 LC & 1.25 & 0.50 & --- & 1.35 \\" in tests_source
    assert tests_source.count("SGPO $>$ ") == 10
    assert tests_source.count(r"\multicolumn{8}{l}{\textit{Llama3-Base (8B)}}") == 1


def test_without_parts_of_the_uncertainty_there_is_no_table_of_them(
    manifest: dict[str, Any], paper: PaperTable
) -> None:
    assert "uncertainty" not in latex_tests(parse_manifest(manifest), paper, "table3_tests")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
@pytest.mark.parametrize("alone", [True, False])
def test_compiles_alone_and_inside_a_document(tmp_path: Path, source: str, tests_source: str, alone: bool) -> None:
    (tmp_path / "table3.tex").write_text(source, encoding="utf-8")
    (tmp_path / "table3_tests.tex").write_text(tests_source, encoding="utf-8")
    body = r"\input{table3}\input{table3}\input{table3_tests}"
    host = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{body}\end{{document}}"
    (tmp_path / "host.tex").write_text(host, encoding="utf-8")
    for file in ("table3.tex", "table3_tests.tex") if alone else ("host.tex",):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", file]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120)
        assert run.returncode == 0, run.stdout[-2000:]

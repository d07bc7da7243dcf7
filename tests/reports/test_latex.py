"""LaTeX: escaping, shape, and that all of it compiles."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reports.latex import latex_exhibit, latex_tests, latex_text
from tests.reports.conftest import made_up_manifest, report_of, view_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b & 5 %", r"a\_b \& 5 \%"),
        ("\\{x}^~#$", r"\textbackslash{}\{x\}\textasciicircum{}\textasciitilde{}\#\$"),
        ("θ* < SGPO†", r"$\theta$* $<$ SGPO$^\dagger$"),
        ("--seeds 3 – 4", "-{}-seeds 3 -- 4"),
        ("é 汉\tx\u0007", r"é \texttt{U+6C49} x\texttt{U+0007}"),
        ("ŷ_φ, ỹ_φ ✓ ✗ ≈ |", r"$\hat{y}$\_$\phi$, $\tilde{y}$\_$\phi$ $\checkmark$ $\times$ $\approx$ $|$"),
    ],
)
def test_escaping(text: str, expected: str) -> None:
    assert latex_text(text) == expected


@pytest.fixture
def source(manifest: dict[str, Any]) -> str:
    manifest["models"]["qwen"]["description"] = r"every & special % $ # _ { } ~ ^ \ < > — é 汉 character"
    return latex_exhibit(view_of(manifest))


def test_rows(source: str) -> None:
    assert r"SFT & 20.0 {\scriptsize [17.5,~22.8]} & 5.8 & 30.0" in source
    assert r"\textit{$\theta$*} (ours)\textsuperscript{+} & " in source
    assert r"SPIN & ---\textsuperscript{2} & 7.5 & " in source
    assert r"\textsuperscript{2} withheld: verdicts are missing; n/N = 786/805 verdicts." in source
    assert r"{\scriptsize [41.8,~47.0]}\textsuperscript{1} & 23.9" in source
    assert r"paper\textsuperscript{a}" in source
    assert r"\textsuperscript{a} not comparable: scale." in source
    assert r"\multicolumn{4}{c}{AlpacaEval 2.0} & \multicolumn{2}{c}{Arena-Hard}" in source
    assert r"\includegraphics" not in source


def test_ticks_of_described_rows_are_printed() -> None:
    source = latex_exhibit(view_of(made_up_manifest("table5")))
    assert r"SGPO-v1 & $\hat{y}$\_$\phi$ & $\times$ & 2.12" in source
    assert r"SGPO-v2 & $\hat{y}$\_$\phi$ & $\checkmark$ & 3.12" in source


def test_a_figure_of_the_paper_is_in_its_file() -> None:
    assert r"\includegraphics{figures/fig3.pdf}" in latex_exhibit(view_of(made_up_manifest("fig3")))


def test_every_row_has_as_many_cells_as_the_table_has_columns(source: str) -> None:
    body = source[source.index(r"\toprule") : source.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\") and r"\multicolumn" not in line]
    assert len(rows) == 15
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {6}


def test_a_row_that_begins_with_a_bracket_is_no_option_of_the_one_before(manifest: dict[str, Any]) -> None:
    manifest["results"][0]["exhibit"]["rows"][0]["label"] = "[SFT]"
    assert "\n{}[SFT] & 20.0" in latex_exhibit(view_of(manifest))


def test_the_tests_of_the_claims(manifest: dict[str, Any]) -> None:
    assert "uncertainty" not in latex_tests(report_of(manifest))
    manifest["results"][0]["cells"][0]["uncertainty"] = {
        "prompts": 1.25,
        "judge": 0.5,
        "training_seeds": None,
        "total": 1.346,
    }
    source = latex_tests(report_of(manifest))
    assert r"Verdicts, at 5 \% over all 19 claims of the paper, and over its 98 orderings, are Holm-adjusted" in source
    undecided = "AlpacaEval 2.0 WR & +0.4 [-1.6,~2.4] & 0.700 & 0.700 & undecided & 2.9 & 12,345 prompts"
    assert rf"SGPO $>$ SPIN & Llama3-Base (8B) & {undecided} \\" in source
    assert r"SFT & AlpacaEval 2.0 LC & 1.25 & 0.50 & --- & 1.35 & --- \\" in source
    assert source.count("SGPO $>$ ") == 10


def test_samples_mark_what_is_added_and_what_is_missing() -> None:
    source = latex_exhibit(view_of(made_up_manifest("samples")))
    assert r"its color is {\footnotesize[$-$\,red]} \textbf{blue , and *sharp*} ." in source


def compiled(folder: Path, file: str) -> str:
    """What pdflatex says, run twice as references ask for."""
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", file]
    for _ in range(2):
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=120)
        assert run.returncode == 0, run.stdout[-2000:]
    return run.stdout


needs_pdflatex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy of the report of everything."""
    copy = tmp_path / "copy"
    shutil.copytree(written, copy)
    return copy


@needs_pdflatex
@pytest.mark.parametrize("name", ["table5", "fig5", "samples", "tests"])
def test_an_exhibit_compiles_alone_is_not_too_wide_and_spoils_no_figure(folder: Path, name: str) -> None:
    before = {path: path.read_bytes() for path in (folder / "figures").iterdir()}
    assert "Overfull" not in compiled(folder, f"{name}.tex")
    assert {path: path.read_bytes() for path in (folder / "figures").iterdir()} == before


@needs_pdflatex
def test_all_compile_inside_a_document(folder: Path) -> None:
    names = [path.stem for path in folder.glob("*.tex")]
    assert len(names) == 11
    packages = r"\usepackage{amssymb,array,booktabs,graphicx,longtable}"
    body = "".join(rf"\input{{{name}}}\clearpage" for name in [*names, *names])
    host = rf"\documentclass{{article}}{packages}\begin{{document}}{body}\end{{document}}"
    (folder / "host.tex").write_text(host, encoding="utf-8")
    compiled(folder, "host.tex")


def test_hyphens_in_a_row_stay_hyphens() -> None:
    assert latex_text("--fast a---b – c") == "-{}-fast a-{}-{}-b -- c"

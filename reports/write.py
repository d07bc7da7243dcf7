"""Writes a run's report beside its manifest."""

from pathlib import Path

from harness.core.errors import UserError
from harness.core.files import replace_file
from harness.core.papers import load_paper_table
from reports import figures
from reports.html import html_report
from reports.latex import latex, latex_tests
from reports.manifest import read_manifest
from reports.markdown import markdown_report
from reports.tables import build_table, csv_text


def write_report(folder: Path) -> None:
    """Reads `folder`/manifest.json and writes <experiment>.md, .tex, .csv, .png, .svg, <experiment>_tests.tex and
    index.html beside it.

    Every file is replaced as a whole. Raises UserError for a missing or damaged manifest, for names that the published
    table does not have, for a column with two judges, and for a folder that cannot be written.
    """
    manifest = read_manifest(folder)
    paper = load_paper_table(manifest.paper, manifest.experiment).with_rows(manifest.added_rows)
    table = build_table(manifest, paper)
    chart, name = figures.svg(table), manifest.experiment
    texts = {
        f"{name}.md": markdown_report(manifest, paper, table, f"{name}.png"),
        f"{name}.tex": latex(table),
        f"{name}_tests.tex": latex_tests(manifest, paper, f"{name}_tests"),
        f"{name}.csv": csv_text(table),
        f"{name}.svg": figures.svg_file(chart),
        "index.html": html_report(manifest, paper, table, chart),
    }
    try:
        for file, text in texts.items():
            replace_file(folder / file, text.encode("utf-8"))
        replace_file(folder / f"{name}.png", figures.png(table))
    except OSError as error:
        raise UserError(f"cannot write the report in {folder}: {error.strerror}") from None

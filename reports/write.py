"""Writes a run's report beside its manifest."""

import csv
import io
from pathlib import Path

from harness.errors import UserError
from harness.files import replace_file
from harness.results.manifest import Manifest, read_manifest
from harness.results.training_curves import read_curves
from reports.blocks import Records, Report
from reports.figures import draw
from reports.html import html_report
from reports.latex import latex_exhibit, latex_tests
from reports.markdown import markdown_report
from reports.pairs import judged_pairs
from reports.report import build_report
from reports.viewer import viewer_html


def write_report(folder: Path) -> Report:
    """Write the report of the run in `folder` beside its manifest, from what lies there alone, and return it.

    index.html and report.md hold everything; <exhibit>.csv and .tex each exhibit, tests.csv and .tex the tests of the
    claims, and figures/<name>.pdf, .png and .svg what is drawn. Every file is replaced as a whole, and none before all
    are made. Raises UserError for a missing or damaged manifest, for what the paper does not have, for a column with
    two judges, and for a folder that cannot be written.
    """
    manifest = read_manifest(folder)
    report = build_report(manifest, read_curves(folder))
    drawings = {figure: draw(figure) for figure in report.figures}
    files: dict[str, bytes] = {name: text.encode("utf-8") for name, text in _texts(report).items()}
    for figure, drawing in drawings.items():
        path = figure.path
        files |= {f"{path}.pdf": drawing.pdf, f"{path}.png": drawing.png, f"{path}.svg": drawing.svg_file}
    svgs = {figure.name: drawing.svg for figure, drawing in drawings.items()}
    page = html_report(report, svgs, _viewer(manifest, folder))
    files["index.html"] = page.encode("utf-8")
    try:
        for name, content in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            replace_file(folder / name, content)
    except OSError as error:
        raise UserError(f"cannot write the report in {folder}: {error.strerror}") from None
    return report


def _viewer(manifest: Manifest, folder: Path) -> str:
    """Render the pair viewer; nothing for a run that judged no pairs."""
    judged = judged_pairs(manifest, folder)
    if not judged.pairs and not judged.note:
        return ""
    return viewer_html(judged.pairs, heading="Pairs of answers", note=judged.note)


def _texts(report: Report) -> dict[str, str]:
    """Return the files by name, without the page."""
    texts = {"report.md": markdown_report(report)}
    for view in report.exhibits:
        texts |= {f"{view.name}.csv": csv_text(view.records), f"{view.name}.tex": latex_exhibit(view)}
    return texts | {"tests.csv": csv_text(report.test_records), "tests.tex": latex_tests(report)}


def csv_text(records: Records) -> str:
    """Make one line for each record below one with the fields; numbers unrounded, empty where there is none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(records.fields)
    writer.writerows(records.rows)
    return out.getvalue()

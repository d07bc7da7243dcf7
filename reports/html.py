"""The report as one self-contained page."""

from pathlib import Path

from harness.core.papers import PaperTable
from reports import claims, provenance, uncertainty
from reports.manifest import Manifest
from reports.tables import Table

TEMPLATES = Path(__file__).parent / "templates"


def html_report(manifest: Manifest, paper: PaperTable, table: Table, chart: str) -> str:
    """`index.html`: table, chart, claims, deviations, provenance, steps. `chart` is an `<svg>` element.

    The page loads nothing: style and chart are inside it, and it has no script.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    columns = dict.fromkeys(name for entry in manifest.diagnostics for name in entry)
    return environment.get_template("report.html.j2").render(
        run=manifest,
        paper=paper,
        table=table,
        chart=chart,
        claims=claims,
        provenance=provenance,
        uncertainty=uncertainty,
        diagnostic_columns=list(columns),
    )

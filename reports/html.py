"""The report as one self-contained page."""

from collections.abc import Mapping

from reports.blocks import DASH, Report
from reports.templating import templates


def html_report(report: Report, drawings: Mapping[str, str], pairs: str = "") -> str:
    """Render `index.html`: everything there is. `drawings` are `<svg>` elements by figure, `pairs` is the viewer's
    fragment.

    The page loads nothing: style, figures and viewer are inside it.
    """
    environment = templates()
    # The macros choose by the kind of a block or cell; a text has none.
    environment.tests["kind"] = lambda value, name: type(value).__name__ == name
    claims = {found[0].exhibit: found for _, found in report.claims.by_exhibit()}
    return environment.get_template("report.html.j2").render(
        report=report, drawings=drawings, pairs=pairs, claims=claims, dash=DASH
    )

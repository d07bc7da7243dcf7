"""The report as one self-contained page."""

from collections.abc import Mapping

from reports.blocks import DASH, ClaimEntry, Claims, Report
from reports.templating import templates


def html_report(report: Report, drawings: Mapping[str, str], pairs: str = "") -> str:
    """`index.html`: everything there is. `drawings` are `<svg>` elements by figure, `pairs` is the viewer's fragment.

    The page loads nothing: style, figures and viewer are inside it.
    """
    environment = templates()
    # The macros choose by the kind of a block or cell; a text has none.
    environment.tests["kind"] = lambda value, name: type(value).__name__ == name
    return environment.get_template("report.html.j2").render(
        report=report, drawings=drawings, pairs=pairs, claims=_by_exhibit(report), dash=DASH
    )


def _by_exhibit(report: Report) -> dict[str, list[ClaimEntry]]:
    """The claims of the report by the name of the exhibit that they are about."""
    found: dict[str, list[ClaimEntry]] = {}
    for block in (block for section in report.sections for block in section.blocks if isinstance(block, Claims)):
        for claim in block.claims:
            found.setdefault(claim.exhibit, []).append(claim)
    return found

"""Drawings as PDF, PNG and SVG."""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports.bars import bar_figure
from reports.blocks import BarChart, CurveChart, Figure
from reports.curves import curve_figure
from reports.histogram import histogram_figure
from reports.line_chart import LineChart
from reports.lines import line_figure
from reports.rank_chart import RankChart, rank_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawn

INK = "#1c2431"
"""The colour of text, lines and axes, used for nothing else: in the SVG of a page it follows the page's text colour."""

FONTS: Mapping[str, Any] = {"pdf.fonttype": 42, "pdf.compression": 9, "svg.fonttype": "none", "font.size": 8.5}
"""Fonts embedded as TrueType (Type 42) in a PDF, text as text in an SVG."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """One figure: a PDF and a PNG on white, and an `<svg>` element that refers to nothing outside it."""

    pdf: bytes
    png: bytes
    svg: str

    @property
    def svg_file(self) -> bytes:
        """The element as a file of its own, dark on transparent."""
        whole = self.svg.replace("currentColor", INK)
        return f'<?xml version="1.0" encoding="utf-8"?>\n{whole}'.encode()


def draw(figure: Figure) -> Drawing:
    """Return the figure, the same bytes for the same content. Raises UserError for what a histogram cannot show."""
    from matplotlib import rc_context

    # Nothing that differs from run to run, and ids that are the figure's own: several stand on one page.
    settings: Any = {**FONTS, "svg.hashsalt": figure.name}
    with rc_context(settings):
        drawn = to_matplotlib(figure)
        drawn.draw_without_rendering()  # lays it out, once for all three
        drawn.set_layout_engine("none")
        pdf = _saved(drawn, "pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
        png = _saved(drawn, "png", metadata={"Software": None}, dpi=200, facecolor="white")
        svg = _saved(drawn, "svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return Drawing(pdf, png, _element(svg.decode("utf-8"), figure.name))


def to_matplotlib(figure: Figure) -> "Drawn":
    """Return the figure before it is written. Raises UserError for what a histogram cannot show."""
    if isinstance(figure.drawing, BarChart):
        return bar_figure(figure.drawing, INK)
    if isinstance(figure.drawing, CurveChart):
        return curve_figure(figure.drawing, INK)
    if isinstance(figure.drawing, LineChart):
        return line_figure(figure.drawing, INK)
    if isinstance(figure.drawing, RankChart):
        return rank_figure(figure.drawing, INK)
    return histogram_figure(figure.drawing, INK)


def _saved(drawn: "Drawn", format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    drawn.savefig(out, format=format, **options)
    return out.getvalue()


def _element(whole: str, name: str) -> str:
    """Return the `<svg>` element alone, its text in the page's colour and its ids unlike those of any other figure."""
    element = re.sub(r"<metadata>.*?</metadata>", "", whole[whole.index("<svg") :], flags=re.DOTALL)
    element = re.sub(r'\bid="', f'id="{name}-', element)
    element = re.sub(r'href="#', f'href="#{name}-', element).replace("url(#", f"url(#{name}-")
    return element.replace(INK, "currentColor")

"""The chart of a report: our bars with intervals, the paper's numbers as diamonds."""

import io
import re
from typing import TYPE_CHECKING, Any

from reports.tables import Panel, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Two colours of the Okabe-Ito palette; bars and diamonds differ in shape as well.
OURS = "#56B4E9"
OURS_ADDED = "#7FA6BE"
PAPER = "#D55E00"
# Everything drawn in this colour follows the page's text colour in the SVG.
_INK = "#123456"
_DIAMOND: dict[str, Any] = {
    "linestyle": "none",
    "marker": "D",
    "markersize": 5,
    "color": PAPER,
    "markeredgecolor": "white",
    "markeredgewidth": 0.6,
}


def png(table: Table) -> bytes:
    """The chart as PNG on white, 200 dots per inch."""
    return _saved(_figure(table, ink="#222222"), "png", dpi=200, facecolor="white")


def svg(table: Table) -> str:
    """The chart as one `<svg>` element that takes its text colour from the page and refers to nothing outside it."""
    whole = _saved(_figure(table, ink=_INK), "svg", transparent=True).decode("utf-8")
    element = re.sub(r"<metadata>.*?</metadata>", "", whole[whole.index("<svg") :], flags=re.DOTALL)
    return element.replace(_INK, "currentColor")


def svg_file(element: str) -> str:
    """The element of `svg` as a file of its own, black on transparent."""
    return f'<?xml version="1.0" encoding="utf-8"?>\n{element.replace("currentColor", "#222222")}'


def _saved(figure: "Figure", format: str, **options: Any) -> bytes:
    from matplotlib import rc_context

    out = io.BytesIO()
    # Text as text, and nothing that differs from run to run: the same table gives the same bytes.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "harness"}):
        metadata = {"Date": None} if format == "svg" else {"Software": None}
        figure.savefig(out, format=format, metadata=metadata, **options)
    return out.getvalue()


def _figure(table: Table, ink: str) -> "Figure":
    """A grid of small charts: base models down, metrics across, one bar a method."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    height = 0.9 + sum(0.6 + 0.27 * len(panel.rows) for panel in table.panels)
    figure = Figure(figsize=(2.4 + 2.3 * len(table.columns), height), layout="constrained")
    grid = figure.subplots(len(table.panels), len(table.columns), squeeze=False, sharex="col", sharey="row")
    for axes, panel in zip(grid, table.panels, strict=True):
        for index, cell_axes in enumerate(axes):
            _draw(cell_axes, panel, index, ink)
        axes[0].set_title(panel.heading, loc="left", fontsize=9, color=ink, pad=18)
        for cell_axes, column in zip(axes, table.columns, strict=True):
            cell_axes.annotate(
                f"{column.bench_label} {column.label}", (0, 1), (0, 4), "axes fraction", "offset points",
                fontsize=8, color=ink, annotation_clip=False,
            )  # fmt: skip
    handles = [Patch(color=OURS, label="ours, 95 % interval"), Line2D([], [], label="the paper", **_DIAMOND)]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8, labelcolor=ink)
    return figure


def _draw(axes: "Axes", panel: Panel, index: int, ink: str) -> None:
    cells = [row.cells[index] for row in panel.rows]
    for position, (row, cell) in enumerate(zip(panel.rows, cells, strict=True)):
        if cell.published is not None:
            axes.plot(cell.published, position, zorder=4, **_DIAMOND)
        if cell.score.value is None:
            beside = (cell.published or 0, position)
            axes.annotate("no value", beside, (7, 0), textcoords="offset points", va="center", fontsize=7, color=ink)
            continue
        axes.barh(position, cell.score.value, height=0.62, color=OURS_ADDED if row.added else OURS, zorder=2)
        if cell.score.ci95:
            axes.plot(cell.score.ci95, (position, position), color=ink, linewidth=1.1, zorder=3)
    axes.set_yticks(range(len(panel.rows)), [f"{row.label} (ours)" if row.added else row.label for row in panel.rows])
    axes.set_ylim(len(panel.rows) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.tick_params(labelsize=8, colors=ink, length=0)
    axes.grid(axis="x", color=ink, alpha=0.15, linewidth=0.6, zorder=0)
    axes.spines[:].set_visible(False)

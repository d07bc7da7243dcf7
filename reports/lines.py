"""Line charts: win rates along an axis, with whiskers for intervals and the paper's own bands."""

from collections.abc import Iterator, Sequence
from itertools import chain, cycle, pairwise
from typing import TYPE_CHECKING, Any

from reports.bars import EVEN, PAPER
from reports.line_chart import ChartLine, LineChart, LinePanel, LinePoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES: Sequence[dict[str, Any]] = (
    {"color": "#0072B2", "marker": "o", "linestyle": "solid"},
    {"color": "#E69F00", "marker": "s", "linestyle": (0, (5, 1.5))},
    {"color": "#009E73", "marker": "^", "linestyle": (0, (1.5, 1.5))},
    {"color": "#CC79A7", "marker": "v", "linestyle": (0, (5, 1.5, 1, 1.5))},
    {"color": "#56B4E9", "marker": "P", "linestyle": (0, (8, 2))},
    {"color": "#8C99A3", "marker": "X", "linestyle": (0, (3, 1, 1, 1, 1, 1))},
)
"""Of lines in their order, and again from the first; marker and dashes tell them apart in grey too."""

PANEL = (3.4, 2.5)
"""Inches of a panel."""
SPREAD = 0.035
"""By how much whiskers of neighbouring lines stand apart, as a share of the distance between two places."""
MARGIN = 0.05


def line_figure(chart: LineChart, ink: str) -> "Figure":
    """Draw a grid of small charts, `LinePanel.row` down and `LinePanel.column` across, all with the same axes."""
    from matplotlib.figure import Figure

    rows = list(dict.fromkeys(panel.row for panel in chart.panels))
    columns = list(dict.fromkeys(panel.column for panel in chart.panels))
    size = (max(5.2, PANEL[0] * len(columns)), 0.7 + PANEL[1] * len(rows))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(
        len(rows), len(columns), squeeze=False, sharex=True, sharey=True if chart.win_rates else "col"
    )
    for panel in chart.panels:
        axes = grid[rows.index(panel.row)][columns.index(panel.column)]
        axes.set_ylim(*_limits(chart, panel))
        if chart.log_x:
            axes.set_xscale("log")
        _draw(axes, panel, bool(chart.band))
        _style(axes, panel, ink)
        if chart.win_rates:
            axes.axhline(EVEN, color=ink, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    for axes in grid[-1]:
        axes.set_xlabel(chart.x, fontsize=8, color=ink)
    for row_axes in grid:
        row_axes[0].set_ylabel(chart.y, fontsize=8, color=ink)
    _legend(figure, chart, ink)
    return figure


def _limits(chart: LineChart, of: LinePanel) -> tuple[float, float]:
    """Return the limits of a panel's axis: over all that is drawn in any panel that shares it, and an even win rate."""
    panels = [panel for panel in chart.panels if chart.win_rates or panel.column == of.column]
    lines = chain.from_iterable(panel.lines for panel in panels)
    drawn = [end for line in lines for point in line.points for end in _ends(point)]
    drawn = [EVEN, *drawn] if chart.win_rates else drawn or [0.0]
    margin = MARGIN * (max(drawn) - min(drawn)) or 1.0
    return min(drawn) - margin, max(drawn) + margin


def _ends(point: LinePoint) -> Iterator[float]:
    """Find how far a point, its whisker, its band and the paper's mark reach."""
    yield from (each for each in (point.value, point.published) if each is not None)
    yield from point.ci95 or ()
    yield from point.band or ()


def _draw(axes: "Axes", panel: LinePanel, with_band: bool) -> None:
    for place, line in enumerate(panel.lines):
        style = STYLES[place % len(STYLES)]
        shift = _distance(line) * SPREAD * (place - (len(panel.lines) - 1) / 2)
        xs = [point.x + shift for point in line.points]
        values = [float("nan") if point.value is None else point.value for point in line.points]
        axes.plot(xs, values, **style, linewidth=1.3, markersize=4, zorder=4)
        if with_band:
            _shade(axes, line, xs, style["color"])
        for x, point in zip(xs, line.points, strict=True):
            if point.ci95:
                axes.plot((x, x), point.ci95, color=style["color"], linewidth=0.9, alpha=0.8, zorder=3)
            if point.published is not None:
                axes.plot(x, point.published, zorder=6, **_diamond(style["color"]))


def _distance(line: ChartLine) -> float:
    """Return the least distance between two places on the axis."""
    xs = [point.x for point in line.points]
    return min((second - first for first, second in pairwise(xs)), default=1.0)


def _shade(axes: "Axes", line: ChartLine, xs: Sequence[float], color: str) -> None:
    missing = (float("nan"), float("nan"))
    low, high = zip(*(point.band or missing for point in line.points), strict=True)
    axes.fill_between(xs, low, high, color=color, alpha=0.13, linewidth=0, zorder=2)


def _diamond(edge: str) -> dict[str, Any]:
    return {"linestyle": "none", "marker": "D", "markersize": 5.5, "color": PAPER, "markeredgecolor": edge}


def _style(axes: "Axes", panel: LinePanel, ink: str) -> None:
    from matplotlib.ticker import MaxNLocator

    places = sorted({point.x for line in panel.lines for point in line.points})
    axes.set_xticks(places, [f"{x:g}" for x in places])
    axes.set_xticks([], minor=True)  # which a logarithmic axis has by itself
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.tick_params(labelsize=8, colors=ink, length=0)
    axes.grid(axis="y", color=ink, alpha=0.15, linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    heading = ": ".join(filter(None, (panel.row, panel.column)))
    axes.set_title(heading, loc="left", fontsize=8.5, color=ink)


def _legend(figure: "Figure", chart: LineChart, ink: str) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    lines = {line.label: line for panel in chart.panels for line in panel.lines}
    handles: list[Any] = [
        Line2D([], [], **style, linewidth=1.3, markersize=4, label=f"{label} (ours)" if line.added else label)
        for (label, line), style in zip(lines.items(), cycle(STYLES), strict=False)
    ]
    points = [point for panel in chart.panels for line in panel.lines for point in line.points]
    if any(point.ci95 for point in points):
        handles.append(Line2D([], [], color=ink, linewidth=0.9, marker="|", linestyle="none", label="95 % interval"))
    if chart.band:
        handles.append(Patch(color=ink, alpha=0.15, label=chart.band))
    if any(point.published is not None for point in points):
        handles.append(Line2D([], [], label="the paper", **_diamond("white")))
    if chart.win_rates:
        handles.append(Line2D([], [], color=ink, linewidth=0.8, linestyle=(0, (2, 2)), label="neither is better"))
    several = len({panel.column for panel in chart.panels}) > 1
    figure.legend(
        handles=handles, loc="outside lower center", ncols=4 if several else 3, frameon=False, fontsize=8,
        labelcolor=ink, handlelength=3,
    )  # fmt: skip

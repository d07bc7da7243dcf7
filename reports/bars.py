"""Bar charts: scores with intervals beside the paper's numbers, one quantity on each axis."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from reports.blocks import Bar, BarChart, BarPanel
from reports.mathtext import with_subscripts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# A blue, a vermilion and a grey; bars and diamonds differ in shape as well. On bars of medium lightness both the dark
# lines of a light page and the light ones of a dark page can be seen.
OURS = "#3F9BD1"
OURS_ADDED = "#8C99A3"
PAPER = "#D55E00"

EVEN = 50.0
"""The win rate, in per cent, of two sides of which neither is better."""

_MARGIN = 0.03
"""Room beyond the outermost bar, interval or mark, as a share of what is shown: half a diamond fits in it."""

_DIAMOND: dict[str, Any] = {
    "linestyle": "none",
    "marker": "D",
    "markersize": 5,
    "color": PAPER,
    "markeredgecolor": "white",
    "markeredgewidth": 0.6,
    "clip_on": False,  # a mark at 0 is whole
}


def bar_figure(chart: BarChart, ink: str) -> "Figure":
    """Draw a grid of small charts, `BarPanel.row` down and `BarPanel.column` across; a column has one axis."""
    from matplotlib.figure import Figure

    rows = list(dict.fromkeys(panel.row for panel in chart.panels))
    columns = list(dict.fromkeys(panel.column for panel in chart.panels))
    ratios = [0.6 + 0.27 * next(len(panel.bars) for panel in chart.panels if panel.row == row) for row in rows]
    width = 7.4 if chart.win_rates else 2.4 + 2.3 * len(columns)
    figure = Figure(figsize=(width, 0.75 + sum(ratios)), layout="constrained")
    engine: Any = figure.get_layout_engine()
    engine.set(wspace=0.04)  # so that the last number of one axis stands apart from the first of the next
    grid = figure.subplots(len(rows), len(columns), squeeze=False, sharex="col", sharey="row", height_ratios=ratios)
    limits = {name: _limits(chart, [panel for panel in chart.panels if panel.column == name]) for name in columns}
    for panel in chart.panels:
        axes = grid[rows.index(panel.row)][columns.index(panel.column)]
        axes.set_xlim(limits[panel.column])
        _draw(axes, panel, ink)
        _style(axes, panel, ink)
        if chart.win_rates:
            axes.axvline(EVEN, color=ink, linewidth=0.9, linestyle=(0, (2, 2)), zorder=3)
            axes.set_xlabel("judge win rate (%)", fontsize=8, color=ink)
    for row_axes, heading in zip(grid, rows, strict=True):
        row_axes[0].set_title(heading, loc="left", fontsize=9, color=ink, pad=18 if any(columns) else 6)
    _legend(figure, chart, ink)
    return figure


def _limits(chart: BarChart, panels: Sequence[BarPanel]) -> tuple[float, float]:
    """Return the limits of the axis that `panels` share: from 0, where bars begin, over all that is drawn on any of
    them."""
    drawn = [0.0, *(end for panel in panels for bar in panel.bars for end in _ends(bar))]
    if chart.win_rates:
        drawn.append(100.0)
    low, high = min(drawn), max(drawn)
    margin = _MARGIN * (high - low) or 1.0
    return (low - margin if low < 0 else 0.0), high + margin


def _ends(bar: Bar) -> Iterator[float]:
    """Find how far the bar, its interval and the paper's mark reach."""
    if bar.value is not None:
        yield bar.value
        yield from bar.ci95 or ()
    if bar.published is not None:
        yield bar.published - bar.rounding
        yield bar.published + bar.rounding


def _style(axes: "Axes", panel: BarPanel, ink: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.set_yticks(range(len(panel.bars)), [with_subscripts(bar.label) for bar in panel.bars])
    axes.set_ylim(len(panel.bars) - 0.4, -0.6)
    axes.tick_params(labelsize=8, colors=ink, length=0)
    axes.grid(axis="x", color=ink, alpha=0.15, linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    if panel.column:
        axes.annotate(
            panel.column, (0, 1), (0, 4), "axes fraction", "offset points",
            fontsize=8, color=ink, annotation_clip=False,
        )  # fmt: skip


def _draw(axes: "Axes", panel: BarPanel, ink: str) -> None:
    for position, bar in enumerate(panel.bars):
        if bar.value is None:
            _say_no_value(axes, bar, position, ink)
        else:
            axes.barh(position, bar.value, height=0.62, color=OURS_ADDED if bar.added else OURS, zorder=2)
        if bar.value is not None and bar.ci95:
            axes.plot(bar.ci95, (position, position), color=ink, linewidth=1.1, solid_capstyle="butt", zorder=4)
        if bar.published is not None:
            _mark(axes, bar.published, bar.rounding, position)


def _mark(axes: "Axes", published: float, rounding: float, position: int) -> None:
    """Draw the paper's number, with a line over all that would be rounded to it where that can be seen.

    Both lie in the lower part of the bar, so that they hide no interval.
    """
    below = position + 0.17
    if rounding:
        ends = (published - rounding, published + rounding)
        axes.plot(ends, (below, below), color="white", linewidth=3.4, solid_capstyle="butt", zorder=5)
        axes.plot(ends, (below, below), color=PAPER, linewidth=1.8, solid_capstyle="butt", zorder=5)
    axes.plot(published, below, zorder=6, **_DIAMOND)


def _say_no_value(axes: "Axes", bar: Bar, position: int, ink: str) -> None:
    """Write "no value" on the side of the paper's mark on which there is space."""
    ends = list(_ends(bar)) or [0.0]
    on_the_left = max(ends) > sum(axes.get_xlim()) / 2
    axes.annotate(
        "no value", (min(ends) if on_the_left else max(ends), position), (-7 if on_the_left else 7, 0),
        textcoords="offset points", va="center", ha="right" if on_the_left else "left", fontsize=7, color=ink,
    )  # fmt: skip


def _legend(figure: "Figure", chart: BarChart, ink: str) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    bars = [bar for panel in chart.panels for bar in panel.bars]
    handles: list[Any] = [Patch(color=OURS, label=f"ours, {chart.interval}")]
    if any(bar.added for bar in bars):
        handles.append(Patch(color=OURS_ADDED, label="ours, not in the paper"))
    if any(bar.published is not None for bar in bars):
        rounded = any(bar.rounding for bar in bars)
        handles.append(
            Line2D([], [], label=chart.mark or ("the paper, as rounded" if rounded else "the paper"), **_DIAMOND)
        )
    if chart.win_rates:
        handles.append(Line2D([], [], color=ink, linewidth=0.9, linestyle=(0, (2, 2)), label="neither is better"))
    figure.legend(
        handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=8, labelcolor=ink
    )

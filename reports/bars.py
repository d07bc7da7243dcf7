"""Bar charts: scores with intervals beside the paper's numbers, and shares of wins, ties and losses."""

from typing import TYPE_CHECKING, Any

from reports.blocks import Bar, BarChart, BarPanel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# A blue, a vermilion and greys of different lightness; bars and diamonds differ in shape as well. On bars of medium
# lightness both the dark lines of a light page and the light ones of a dark page can be seen.
OURS = "#3F9BD1"
OURS_ADDED = "#8C99A3"
PAPER = "#D55E00"
EVEN = "#6E6E6E"
SHARES = {"win": "#0072B2", "tie": "#E6E6E6", "loss": "#9A9A9A"}

_SHARE_FIELDS = ("win", "tie", "loss")
_DIAMOND: dict[str, Any] = {
    "linestyle": "none",
    "marker": "D",
    "markersize": 5,
    "color": PAPER,
    "markeredgecolor": "white",
    "markeredgewidth": 0.6,
}


def bar_figure(chart: BarChart, ink: str) -> "Figure":
    """A grid of small charts, `BarPanel.row` down and `BarPanel.column` across."""
    from matplotlib.figure import Figure

    rows = list(dict.fromkeys(panel.row for panel in chart.panels))
    columns = list(dict.fromkeys(panel.column for panel in chart.panels))
    bars = [next(len(panel.bars) for panel in chart.panels if panel.row == row) for row in rows]
    width = 7.4 if chart.stacked else 2.4 + 2.3 * len(columns)
    height = 0.75 + sum(0.6 + 0.27 * count for count in bars)
    figure = Figure(figsize=(width, height), layout="constrained")
    ratios = [0.6 + 0.27 * count for count in bars]
    grid = figure.subplots(len(rows), len(columns), squeeze=False, sharex="col", sharey="row", height_ratios=ratios)
    for panel in chart.panels:
        axes = grid[rows.index(panel.row)][columns.index(panel.column)]
        _draw_shares(axes, panel, ink) if chart.stacked else _draw_scores(axes, panel, ink)
        _style(axes, panel, ink)
        if panel.column:
            axes.annotate(
                panel.column, (0, 1), (0, 4), "axes fraction", "offset points",
                fontsize=8, color=ink, annotation_clip=False,
            )  # fmt: skip
    for row_axes, heading in zip(grid, rows, strict=True):
        row_axes[0].set_title(heading, loc="left", fontsize=9, color=ink, pad=18 if any(columns) else 6)
    has_paper = any(bar.published is not None for panel in chart.panels for bar in panel.bars)
    _legend(figure, chart, ink, has_paper)
    return figure


def _style(axes: "Axes", panel: BarPanel, ink: str) -> None:
    axes.set_yticks(range(len(panel.bars)), [bar.label for bar in panel.bars])
    axes.set_ylim(len(panel.bars) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.tick_params(labelsize=8, colors=ink, length=0)
    axes.grid(axis="x", color=ink, alpha=0.15, linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)


def _draw_scores(axes: "Axes", panel: BarPanel, ink: str) -> None:
    for position, bar in enumerate(panel.bars):
        if bar.published is not None:
            axes.plot(bar.published, position, zorder=4, **_DIAMOND)
        if bar.value is None:
            _say(axes, "no value", bar.published or 0, position, ink)
            continue
        axes.barh(position, bar.value, height=0.62, color=OURS_ADDED if bar.added else OURS, zorder=2)
        if bar.ci95:
            axes.plot(bar.ci95, (position, position), color=ink, linewidth=1.1, zorder=3)


def _draw_shares(axes: "Axes", panel: BarPanel, ink: str) -> None:
    """Wins from the left, losses from the right, and what is printed beside each bar beyond 100 %."""
    for position, bar in enumerate(panel.bars):
        _stack(axes, bar, position, ink)
        if bar.published is not None:
            _mark_rounded(axes, bar.published, bar.rounding, position)
        axes.annotate(
            bar.beside, (100, position), (6, 0), textcoords="offset points", va="center", fontsize=8, color=ink,
            annotation_clip=False,
        )  # fmt: skip
    axes.axvline(50, color=EVEN, linewidth=0.9, linestyle=(0, (2, 2)), zorder=3)
    axes.set_xlim(0, 100)
    axes.set_xlabel("prompts (%)", fontsize=8, color=ink)


def _mark_rounded(axes: "Axes", published: float, rounding: float, position: int) -> None:
    """The paper's number, with a line over all that would be rounded to it where that can be seen."""
    if rounding:
        ends = (published - rounding, published + rounding)
        axes.plot(ends, (position, position), color="white", linewidth=3.4, solid_capstyle="butt", zorder=4)
        axes.plot(ends, (position, position), color=PAPER, linewidth=1.8, solid_capstyle="butt", zorder=4)
    axes.plot(published, position, zorder=5, **_DIAMOND)


def _stack(axes: "Axes", bar: Bar, position: int, ink: str) -> None:
    if bar.shares is None:
        _say(axes, "no value", 0, position, ink)
        return
    left = 0.0
    for name, share in zip(_SHARE_FIELDS, bar.shares, strict=True):
        axes.barh(
            position, share, left=left, height=0.62, color=SHARES[name], edgecolor="white", linewidth=0.6, zorder=2,
        )  # fmt: skip
        left += share


def _say(axes: "Axes", text: str, x: float, y: float, ink: str) -> None:
    axes.annotate(text, (x, y), (7, 0), textcoords="offset points", va="center", fontsize=7, color=ink)


def _legend(figure: "Figure", chart: BarChart, ink: str, has_paper: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    if chart.stacked:
        names = {"win": "won", "tie": "tied", "loss": "lost"}
        handles += [Patch(color=SHARES[name], label=names[name]) for name in _SHARE_FIELDS]
    else:
        handles.append(Patch(color=OURS, label="ours, 95 % interval"))
        if any(bar.added for panel in chart.panels for bar in panel.bars):
            handles.append(Patch(color=OURS_ADDED, label="ours, not in the paper"))
    if has_paper:
        rounded = any(bar.rounding for panel in chart.panels for bar in panel.bars)
        name = "the paper's win rate" if chart.stacked else "the paper"
        label = f"{name}, as rounded" if rounded else name
        handles.append(Line2D([], [], label=label, **_DIAMOND))
    figure.legend(
        handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=8, labelcolor=ink
    )

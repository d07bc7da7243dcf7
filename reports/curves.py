"""Small multiples of training curves: a row a stage, a column a quantity, thin lines for training seeds."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.config.learning_rates import rate_text
from reports.blocks import CurveChart, CurvePanel
from reports.mathtext import with_subscripts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES: Mapping[str, Any] = {
    "": {"color": "#3F9BD1", "linestyle": "solid"},
    "chosen": {"color": "#3F9BD1", "linestyle": "solid"},
    "rejected": {"color": "#C2569B", "linestyle": (0, (4, 1.2))},
}
"""Colour and line by what a curve shows; the line tells them apart in grey too."""
FIXED: Mapping[str, tuple[float, float]] = {"reward accuracy": (0.0, 1.0)}
"""Limits of the columns whose numbers lie between two bounds."""
FROM_ZERO = ("gradient norm", "learning rate")
EVEN: Mapping[str, float] = {"reward margin": 0.0, "reward accuracy": 0.5}
"""Where chosen and rejected answers are level."""

# Inches: one panel, what stands between two, the heads above the rows of one scale, and the margins of the figure.
PANEL, GAP, HEAD, LEFT, RIGHT, TOP, BOTTOM = (1.2, 0.8), (0.42, 0.46), 0.24, 0.36, 0.06, 0.34, 0.4
WIDE = 2.0
"""Inches of a panel where there are no more than `FEW` columns of them."""
FEW = 3
MARGIN = 0.05
"""Room beyond the outermost point, as a share of what is shown."""


def curve_figure(chart: CurveChart, ink: str) -> "Figure":
    """Draw the panels of `chart`; those of a column with the same `CurvePanel.scale` have one axis.

    Rows of one scale stand below the names of their columns.
    """
    from matplotlib.figure import Figure

    rows = list(dict.fromkeys((panel.scale, panel.row) for panel in chart.panels))
    tops = _tops([scale for scale, _ in rows])
    across = WIDE if len(chart.columns) <= FEW else PANEL[0]
    width = LEFT + RIGHT + len(chart.columns) * (across + GAP[0]) - GAP[0]
    height = tops[-1] + PANEL[1] + BOTTOM
    figure = Figure(figsize=(width, height))
    for panel in chart.panels:
        column = chart.columns.index(panel.column)
        place = rows.index((panel.scale, panel.row))
        left, bottom = LEFT + column * (across + GAP[0]), height - tops[place] - PANEL[1]
        axes = figure.add_axes((left / width, bottom / height, across / width, PANEL[1] / height))
        _draw(axes, panel)
        axes.set_ylim(*_limits(chart.panels, panel))
        _style(axes, panel, ink)
        if column == 0:
            _write(axes, with_subscripts(panel.row), 5, ink, weight="bold")
        if column == 0 and place == len(rows) - 1:
            axes.set_xlabel("optimizer step", fontsize=7, color=ink, labelpad=2)
        if place == 0 or rows[place - 1][0] != panel.scale:
            _write(axes, panel.column, 20, ink)
            _explain(axes, panel, ink)
    return figure


def _tops(scales: Sequence[str]) -> list[float]:
    """Return how far below the figure's top edge each row of panels begins."""
    found, below = [], TOP
    for place, scale in enumerate(scales):
        below += HEAD if place == 0 or scales[place - 1] != scale else 0.0
        found.append(below)
        below += PANEL[1] + GAP[1]
    return found


def _write(axes: "Axes", text: str, above: float, ink: str, weight: str = "normal") -> None:
    """Write a text `above` the panel, in points, from its left edge."""
    axes.annotate(
        text, (0, 1), (0, above), "axes fraction", "offset points",
        fontsize=7.5, color=ink, weight=weight, annotation_clip=False,
    )  # fmt: skip


def _explain(axes: "Axes", panel: CurvePanel, ink: str) -> None:
    """Put a legend above the panel where it has curves of several kinds."""
    from matplotlib.lines import Line2D

    kinds = dict.fromkeys(curve.kind for curve in panel.curves if curve.kind)
    lines = [Line2D([], [], **STYLES[kind], label=kind) for kind in kinds]
    if lines:
        axes.legend(
            handles=lines, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=6.5,
            labelcolor=ink, borderpad=0, borderaxespad=0.3, handlelength=1.2, handletextpad=0.4, columnspacing=0.8,
        )  # fmt: skip


def _draw(axes: "Axes", panel: CurvePanel) -> None:
    for curve in panel.curves:
        values = [float("nan") if value is None else value for value in curve.values]
        marker = "." if len(values) == 1 else ""
        axes.plot(curve.steps, values, **STYLES[curve.kind], linewidth=0.7, alpha=0.75, marker=marker)


def _limits(panels: Iterable[CurvePanel], panel: CurvePanel) -> tuple[float, float]:
    """Return the limits of the axis that a panel shares with those of its column and scale."""
    alike = [each for each in panels if (each.column, each.scale) == (panel.column, panel.scale)]
    drawn = [value for each in alike for curve in each.curves for value in curve.values if value is not None]
    drawn += [0.0] if panel.column in FROM_ZERO else []
    drawn += [EVEN[panel.column]] if panel.column in EVEN else []
    low, high = FIXED.get(panel.column) or (min(drawn, default=0.0), max(drawn, default=1.0))
    margin = MARGIN * (high - low) or 0.5
    return (low - margin, high + margin)


def _style(axes: "Axes", panel: CurvePanel, ink: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(_short)
    axes.tick_params(labelsize=6.5, colors=ink, pad=1.5, left=False, bottom=False)
    axes.grid(axis="y", color=ink, alpha=0.15, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    if panel.column in EVEN:
        axes.axhline(EVEN[panel.column], color=ink, linewidth=0.6, linestyle=(0, (2, 2)), zorder=1)


def _short(value: float, _place: float) -> str:
    """Format the number at a tick: ``0.5``, ``-40``, ``5e-5``."""
    return rate_text(value) if 0 < abs(value) < 0.01 else f"{round(value, 9):g}"

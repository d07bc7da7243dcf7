"""Rank intervals as lines, a model below the other, with its rank as a point."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINT = "#3F9BD1"


@dataclass(frozen=True, slots=True)
class RankLine:
    """One model: its rank, 1 being the best, and the interval of that."""

    label: str
    rank: int
    ci95: tuple[int, int]


@dataclass(frozen=True, slots=True)
class RankChart:
    """Models by one metric, the best first."""

    lines: tuple[RankLine, ...]
    x: str


def rank_figure(chart: RankChart, ink: str) -> "Figure":
    """Draw the intervals, with the best model on top and the best rank on the left."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    places = range(len(chart.lines))
    figure = Figure(figsize=(7.4, 0.8 + 0.19 * len(chart.lines)), layout="constrained")
    axes = figure.subplots()
    lows, highs = zip(*(line.ci95 for line in chart.lines), strict=True)
    axes.hlines(places, lows, highs, color=ink, linewidth=1.4)
    axes.plot([line.rank for line in chart.lines], places, "o", color=POINT, markersize=4.5, zorder=3)
    axes.set_yticks(places, [line.label for line in chart.lines])
    axes.set_ylim(len(chart.lines) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_xlabel(chart.x, fontsize=8, color=ink)
    axes.tick_params(labelsize=7, colors=ink, length=0)
    axes.grid(axis="x", color=ink, alpha=0.15, linewidth=0.6)
    axes.spines[:].set_visible(False)
    return figure

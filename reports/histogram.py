"""Overlaid histograms of several sets of values, as in SGPO's figures 3, 4, 5 and 9."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.errors import UserError
from reports.blocks import HistogramAxes, HistogramChart
from reports.mathtext import with_subscripts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES: Mapping[str, tuple[str, str]] = {
    "unfiltered": ("#8C99A3", "dotted"),
    "reference": ("#009E73", "dashdot"),
    "teacher_improvement": ("#0072B2", "solid"),
    "teacher_answer": ("#A66A00", "solid"),
    "policy_answer": ("#4D4D4D", "dotted"),
    "draft": ("#4D4D4D", "dotted"),
    "self_improvement": ("#AA4499", "solid"),
    "initial_improvement": ("#E69F00", "dashed"),
}
"""Colour and line of a set by its kind, the same in every figure; the line tells sets of one panel apart in grey too.

From the palettes of Okabe and Ito and of Tol, safe for colour-blind readers, without what bar charts use for the paper.
"""
OTHERS = (("#0072B2", "solid"), ("#E69F00", "dashed"), ("#009E73", "dashdot"), ("#AA4499", "dotted"))
"""Colours and lines of sets of no known kind, by their place; a panel has no more sets than these."""
BINS = 40


def histogram_figure(histograms: HistogramChart, ink: str) -> "Figure":
    """Draw the panels one below the other, over the same bins: counts, not densities.

    Raises UserError where there is nothing to draw, for more than four sets in a panel, and for values that a
    logarithmic scale cannot show.
    """
    from matplotlib.figure import Figure

    edges = bin_edges(histograms)
    count = len(histograms.panels)
    figure = Figure(figsize=(5.2, 0.6 + 2.4 * count), layout="constrained")
    grid = figure.subplots(count, 1, squeeze=False, sharex=True)[:, 0]
    for axes, panel in zip(grid, histograms.panels, strict=True):
        _draw(axes, panel, edges)
        _style(axes, histograms, edges, ink)
        if panel.title:
            axes.set_title(with_subscripts(panel.title), loc="left", fontsize=9, color=ink)
    grid[-1].set_xlabel(histograms.x, color=ink)
    return figure


def _draw(axes: "Axes", panel: HistogramAxes, edges: Sequence[float]) -> None:
    for each, other in zip(panel.sets, OTHERS, strict=False):
        colour, line = STYLES.get(each.kind, other)
        label = f"{with_subscripts(each.label)} (n = {len(each.values):,})"
        axes.hist(each.values, bins=edges, histtype="stepfilled", color=colour, alpha=0.25)
        axes.hist(each.values, bins=edges, histtype="step", color=colour, linestyle=line, linewidth=1.4, label=label)
    axes.set_ylim(top=axes.get_ylim()[1] * (1 + 0.11 * len(panel.sets)))  # room for the legend


def _style(axes: "Axes", histograms: HistogramChart, edges: Sequence[float], ink: str) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    if histograms.log_scale:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylabel(histograms.y, color=ink)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.tick_params(colors=ink, which="both")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(ink)
    axes.legend(frameon=False, labelcolor=ink)


def bin_edges(histograms: HistogramChart) -> list[float]:
    """Return `BINS` bins from the smallest to the largest of all values; a single value stands in the middle.

    Counts get bins of equally many whole numbers, at most `BINS`: others would hold now one, now two of them.
    Raises UserError as `histogram_figure`.
    """
    import numpy as np

    every = np.array(
        [value for panel in histograms.panels for each in panel.sets for value in each.values], dtype=float
    )
    if not len(every):
        raise UserError("there are no values to draw a histogram of")
    if (most := max(len(panel.sets) for panel in histograms.panels)) > len(OTHERS):
        raise UserError(f"a histogram shows at most {len(OTHERS)} sets of values, not {most}; leave some out")
    if not np.isfinite(every).all():
        raise UserError("a histogram cannot show values that are not finite")
    if histograms.log_scale and every.min() <= 0:
        raise UserError("a logarithmic histogram cannot show values of 0 or less")
    low, high = every.min(), every.max()
    if not histograms.log_scale and (every == np.round(every)).all():
        return _whole_number_edges(int(low), int(high))
    if low == high:
        low, high = (low / 2, high * 2) if histograms.log_scale else (low - 0.5, high + 0.5)
    edges = np.geomspace(low, high, BINS + 1) if histograms.log_scale else np.linspace(low, high, BINS + 1)
    edges[0], edges[-1] = low, high  # geomspace may miss its own ends
    found: list[float] = edges.tolist()
    return found


def _whole_number_edges(low: int, high: int) -> list[float]:
    width = math.ceil((high - low + 1) / BINS)
    count = math.ceil((high - low + 1) / width)
    return [low - 0.5 + width * place for place in range(count + 1)]

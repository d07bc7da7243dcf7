"""Overlaid histograms of several sets of values, as in SGPO's figures 3, 4, 5 and 9."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UserError

# Okabe and Ito's palette, safe for colour-blind readers; the line style tells the sets apart in grey too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
LINES = ("solid", "dashed", "dashdot", "dotted")
BINS = 40


@dataclass(frozen=True, slots=True)
class Axes:
    """What the figure says of itself. With `log_scale` the bins are equally wide in the logarithm of the values."""

    x: str
    y: str = "number of responses"
    title: str = ""
    log_scale: bool = False


def draw_histogram(values: Mapping[str, Sequence[float]], axes: Axes, path: Path) -> tuple[Path, Path]:
    """Draws the sets of `values` (name -> values) over the same bins, to `path` with the suffixes .pdf and .png.

    Counts, not densities. The PDF is a vector graphic with its fonts embedded as TrueType (Type 42), the PNG has 200
    dots per inch. Equal values give equal files. Returns the paths of the two. Raises UserError where there is nothing
    to draw, for more than four sets, and for values that a logarithmic scale cannot show.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    edges = bin_edges(values, axes.log_scale)
    with rc_context({"pdf.fonttype": 42, "pdf.compression": 9, "font.size": 9}):
        figure = Figure(figsize=(5.2, 3.0), layout="constrained")
        plot = figure.subplots()
        for (name, each), colour, line in zip(values.items(), COLOURS, LINES, strict=False):
            label = f"{name} (n = {len(each):,})"
            plot.hist(each, bins=edges, histtype="stepfilled", color=colour, alpha=0.25)
            plot.hist(each, bins=edges, histtype="step", color=colour, linestyle=line, linewidth=1.4, label=label)
        if axes.log_scale:
            plot.set_xscale("log")
            plot.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            plot.xaxis.set_major_formatter("{x:g}")
            plot.xaxis.set_minor_formatter(NullFormatter())
        plot.set(xlabel=axes.x, ylabel=axes.y, title=axes.title, xlim=(edges[0], edges[-1]))
        plot.yaxis.set_major_locator(MaxNLocator(integer=True))
        plot.spines[["top", "right"]].set_visible(False)
        plot.legend(frameon=False)
        pdf, png = path.with_name(f"{path.name}.pdf"), path.with_name(f"{path.name}.png")
        figure.savefig(pdf, metadata={"CreationDate": None})
        figure.savefig(png, dpi=200, metadata={"Software": None})
    return pdf, png


def bin_edges(values: Mapping[str, Sequence[float]], log_scale: bool) -> list[float]:
    """`BINS` bins from the smallest to the largest of all values; a single value stands in the middle.

    Raises UserError as `draw_histogram`.
    """
    import numpy as np

    every = np.array([value for each in values.values() for value in each], dtype=float)
    if not len(every):
        raise UserError("there are no values to draw a histogram of")
    if len(values) > len(COLOURS):
        raise UserError(f"a histogram shows at most {len(COLOURS)} sets of values, not {len(values)}; leave some out")
    if not np.isfinite(every).all():
        raise UserError("a histogram cannot show values that are not finite")
    if log_scale and every.min() <= 0:
        raise UserError("a logarithmic histogram cannot show values of 0 or less")
    low, high = every.min(), every.max()
    if low == high:
        low, high = (low / 2, high * 2) if log_scale else (low - 0.5, high + 0.5)
    edges = np.geomspace(low, high, BINS + 1) if log_scale else np.linspace(low, high, BINS + 1)
    edges[0], edges[-1] = low, high  # geomspace may miss its own ends
    found: list[float] = edges.tolist()
    return found

"""How often 95 % intervals cover the truth, on verdicts of the mini judge where the truth is known; draws a figure.

    .venv/bin/python benchmarks/coverage.py [--simulations 1000] [--resamples 1000] [--figure docs/coverage.png]

Each simulation draws a set of prompts from a population whose every verdict is known (tests/evals/populations.py),
computes the interval as an evaluation would, and looks whether the population's score is inside. The error bars are
95 % Wilson intervals of the share. Takes about a quarter of an hour, nearly all of it for the length-controlled fits.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.evals import populations

NOMINAL = 0.95
ACCEPTED = (0.93, 0.97)


@dataclass(frozen=True)
class Row:
    """The measured coverage of one interval."""

    name: str
    n_prompts: int
    share: float
    lower: float
    upper: float

    def __str__(self) -> str:
        return f"{self.name:55} n = {self.n_prompts}: {self.share:6.1%} [{self.lower:.1%}, {self.upper:.1%}]"


@dataclass(frozen=True)
class Panel:
    """Some rows of the figure, on a scale from `from_percent` to 100."""

    title: str
    rows: Sequence[Row]
    from_percent: float
    color: str
    marker: str


def wilson(share: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share of `n` (Wilson 1927)."""
    center = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return center - half, center + half


def measure(cases: Sequence[Any], simulations: int, resamples: int) -> list[Row]:
    """The coverage of each case, printed as it comes."""
    rows = []
    for make in cases:
        case = make()
        share = populations.coverage(case, simulations, resamples)
        rows.append(Row(case.name, case.n_prompts, share, *wilson(share, simulations)))
        print(rows[-1], flush=True)
    return rows


def draw(panels: Sequence[Panel], simulations: int, path: str) -> None:
    """One panel below the other, each on a scale of its own."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    heights = [len(panel.rows) + 0.8 for panel in panels]
    figure, axes = plt.subplots(len(panels), 1, figsize=(9, 0.62 * sum(heights)), height_ratios=heights)
    for each, panel in zip(axes, panels, strict=True):
        _draw_panel(each, panel)
    figure.supxlabel(f"coverage of nominal 95 % intervals in {simulations} simulated evaluations (%)", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def _draw_panel(axes: Any, panel: Panel) -> None:
    rows, color = panel.rows, panel.color
    places = range(len(rows))
    shares = [100 * row.share for row in rows]
    errors = [[100 * (row.share - row.lower) for row in rows], [100 * (row.upper - row.share) for row in rows]]
    axes.axvspan(100 * ACCEPTED[0], 100 * ACCEPTED[1], color="0.9")
    axes.axvline(100 * NOMINAL, color="0.4", linewidth=1, linestyle="--")
    axes.errorbar(shares, places, xerr=errors, color=color, marker=panel.marker, linestyle="none", capsize=4)
    for place, share in zip(places, shares, strict=True):
        axes.annotate(f"{share:.1f}", (share, place), (0, 7), textcoords="offset points", ha="center", fontsize=9)
    axes.set_yticks(list(places), [f"{row.name} (n = {row.n_prompts})" for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.7)
    axes.set_xlim(panel.from_percent, 100)
    axes.set_title(panel.title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Prints a line for each interval and saves the figure, in Okabe and Ito's colours."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--figure", default="docs/coverage.png")
    arguments = parser.parse_args()
    panels = [
        Panel(title, measure(cases, arguments.simulations, arguments.resamples), *look)
        for title, cases, look in (
            ("Ours: prompts resampled, fits repeated", populations.OURS, (90, "#0072B2", "o")),
            ("Ours, over three training seeds", populations.TRAINING_SEEDS, (90, "#009E73", "D")),
            ("Ours, the difference of two methods", populations.DIFFERENCES, (90, "#CC79A7", "^")),
            ("The peers' errors of the same scores", populations.PEERS, (0, "#D55E00", "s")),
        )
    ]
    draw(panels, arguments.simulations, arguments.figure)


if __name__ == "__main__":
    main()

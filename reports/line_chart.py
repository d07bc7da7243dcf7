"""Line charts, before they are drawn: win rates along an axis, a line a method."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinePoint:
    """A point of a line, in per cent: what is missing is None. `band` is shaded around the line, `ci95` a whisker."""

    x: float
    value: float | None
    ci95: tuple[float, float] | None = None
    band: tuple[float, float] | None = None
    published: float | None = None


@dataclass(frozen=True, slots=True)
class ChartLine:
    """One line, its points in the order of the axis. An `added` one is ours and not in the paper."""

    label: str
    points: tuple[LinePoint, ...]
    added: bool = False


@dataclass(frozen=True, slots=True)
class LinePanel:
    """One small chart: `row` and `column` are the headings of its place in a grid of them."""

    row: str
    column: str
    lines: tuple[ChartLine, ...]


@dataclass(frozen=True, slots=True)
class LineChart:
    """Lines in a grid of panels, all with the same axes. `band` says what is shaded, if anything is.

    Lines are of `win_rates`, which show where 50 % is, or of other scores, of which each column has an axis of its own.
    """

    panels: tuple[LinePanel, ...]
    x: str
    y: str
    band: str = ""
    win_rates: bool = True
    log_x: bool = False

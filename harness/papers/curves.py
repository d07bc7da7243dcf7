"""Figures and tables of win rates along a curve: over the number of revisions, or over a setting of the method."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.errors import UserError, named
from harness.papers.claims import EVEN
from harness.papers.exhibit import Exhibit, require_distinct
from harness.papers.paper import Number

METRIC = "win_rate"


@dataclass(frozen=True, slots=True)
class CurveAxis:
    """The horizontal axis: the number of revisions or, where it is named, a `setting` of the lines' methods.

    `point` is what one place on it is called, such as ``{x}-rev.``.
    """

    label: str
    point: str
    values: tuple[float, ...]
    setting: str = ""

    def name(self, x: float) -> str:
        """Return what a place on the axis is called: ``3-rev.``."""
        return self.point.replace("{x}", f"{x:g}")


@dataclass(frozen=True, slots=True)
class CurvePrompts:
    """One panel: the prompts of a data role, and the answers that win rates are against.

    These are the role's own or, on a scale that has the model role `baseline`, the answers of that model. `bench`
    judges.
    """

    id: str
    label: str
    data: str
    about: str = ""
    """What a heading says beside the label, such as "out of distribution"."""
    bench: str = "pairwise"
    baseline: str = ""

    @property
    def heading(self) -> str:
        """The label, and what the panel is about."""
        return ", ".join(filter(None, (self.label, self.about)))


@dataclass(frozen=True, slots=True)
class CurveLine:
    """One line: a method, whose name may have changed settings (``srpo:alpha=0``).

    `revisions` is how often its answers are revised where the axis is a setting. With `against` win rates are against
    that method's answers, revised as often. `added` says what a line is that the paper does not have.
    """

    id: str
    label: str
    method: str
    revisions: int = 0
    against: str = ""
    added: str = ""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """The bootstrap behind the paper's bands: `resamples` win rates, each on `size` prompts drawn with replacement from
    the first `prompts`."""

    resamples: int
    size: int
    prompts: int


@dataclass(frozen=True, slots=True)
class PrintedMargin:
    """A difference of two points that the paper's text prints, in percentage points, and where."""

    panel: str
    better: str
    worse: str
    points: float
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveFigure(Exhibit):
    """Win rates of each line at each place of the axis, in each panel; `published` holds printed ones as panel -> point
    -> per cent.

    A point is written as its line's id, a slash and its place on the axis: ``srpo/3``.
    """

    judge: str
    decimals: int
    x: CurveAxis
    panels: tuple[CurvePrompts, ...]
    lines: tuple[CurveLine, ...]
    bootstrap: Bootstrap | None = None
    published: dict[str, dict[str, float]] = field(default_factory=dict)
    margins: tuple[PrintedMargin, ...] = ()
    as_figure: bool = True
    """Whether the paper draws them instead of printing a table."""

    def panel(self, id: str) -> CurvePrompts:
        """Return a panel. Raises UserError with the nearest id."""
        return named(f"panel of {self.paper.name} {self.name}", id, {each.id: each for each in self.panels})

    def line(self, id: str) -> CurveLine:
        """Return a line. Raises UserError with the nearest id."""
        return named(f"line of {self.paper.name} {self.name}", id, {each.id: each for each in self.lines})

    def places(self) -> Iterator[tuple[CurveLine, float]]:
        """Yield every line with every place on the axis."""
        return ((line, x) for line in self.lines for x in self.x.values)

    def row(self, line: CurveLine, x: float) -> str:
        """Return the method of a point, with its changed settings: ``srpo:alpha=0.25``."""
        return f"{line.method}:{self.x.setting}={x:g}" if self.x.setting else line.method

    def revisions(self, line: CurveLine, x: float) -> int:
        """Return how often the answers of a point are revised."""
        return line.revisions if self.x.setting else int(x)

    def subject(self, id: str) -> str:
        """Return what a claim calls ``srpo/3``: ``SRPO 3-rev.``; an even win rate is ``50 %``."""
        names = {point_id(line.id, x): f"{line.label} {self.x.name(x)}" for line, x in self.places()}
        return named(f"point of {self.paper.name} {self.name}", id, {**names, EVEN: "50 %"})

    def measure(self, bench: str, metric: str) -> str:
        """Return ``TL;DR WR``: a panel stands in the place of a bench."""
        measures = {f"{each.id}/{METRIC}": f"{each.label} WR" for each in self.panels}
        return named(f"measure of {self.paper.name} {self.name}", f"{bench}/{metric}", measures)

    def printed(self, panel: str, point: str) -> float | None:
        """Return the printed win rate of a point, or None."""
        return self.published.get(panel, {}).get(point)

    def numbers(self) -> dict[str, Number]:
        """Return the printed win rates by ``panel/line/x``."""
        places = ((panel, point) for panel, points in self.published.items() for point in points)
        return {f"{panel}/{point}": self._number(panel, point) for panel, point in places}

    def number(self, model: str, id: str, bench: str, metric: str) -> Number | None:
        """Return the printed win rate of a point."""
        if id == EVEN:
            return Number(50, 0, (EVEN,), self.subject(EVEN))
        return None if self.printed(bench, id) is None else self._number(bench, id)

    def _number(self, panel: str, point: str) -> Number:
        label = f"{self.label}: {self.subject(point)}, {self.measure(panel, METRIC)}"
        return Number(self.published[panel][point], self.decimals, (self.name, panel, point), label)

    def check(self) -> None:
        """Raise UserError where a number or a margin is of what the figure does not have, or an id is there twice."""
        for kind, ids in (
            ("panel", [each.id for each in self.panels]),
            ("line", [each.id for each in self.lines]),
            ("place on the axis", [f"{x:g}" for x in self.x.values]),
        ):
            require_distinct(kind, ids)
        for panel, points in self.published.items():
            self.panel(panel)
            for point in points:
                self.subject(point)
        for margin in self.margins:
            self.panel(margin.panel)
            self.subject(margin.better)
            self.subject(margin.worse)
        for problem in self._problems():
            raise UserError(problem)

    def _problems(self) -> Iterator[str]:
        if not self.x.setting and any(x < 0 or x != int(x) for x in self.x.values):
            yield "numbers of revisions must be whole and 0 or more"
        if any(line.revisions < 0 for line in self.lines):
            yield "revisions of a line must be 0 or more"
        if self.bootstrap and min(self.bootstrap.resamples - 1, self.bootstrap.size, self.bootstrap.prompts) < 1:
            yield "a bootstrap needs 2 resamples or more, of 1 prompt or more"


def point_id(line: str, x: float) -> str:
    """Return the id of a point of the line with this id: ``srpo/3``."""
    return f"{line}/{x:g}"

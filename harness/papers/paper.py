"""A paper: what it is, the numbers of its text, where it disagrees with itself, and our deviations from it."""

import math
from dataclasses import dataclass

from harness.errors import named


@dataclass(frozen=True, slots=True)
class Number:
    """A number as the paper prints it, rounded to `decimals` (-1: to tens)."""

    value: float
    decimals: int
    quantity: tuple[str, ...]
    """What it is of. Two numbers of one quantity are the same number, wherever they are printed."""
    label: str

    def __str__(self) -> str:
        return f"{self.value:.{max(self.decimals, 0)}f}"


@dataclass(frozen=True, slots=True)
class TextStatement:
    """A number in the paper's text that can be worked out from its own tables, and what we make of it.

    `says` is the number as printed, rounded to `decimals`. It is that of each cell in `of`, less the one in `minus`
    where there is one; where it is a `bound`, none of them may be above it. A cell is written as in `Exhibit.numbers`,
    after the exhibit's name and a slash.
    """

    where: str
    text: str
    says: float
    decimals: int
    of: tuple[str, ...]
    minus: str = ""
    bound: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class PrintedShare:
    """A printed percentage of the points that `of` items could have, `parts` an item at most: with ties as half a win,
    2."""

    where: str
    text: str
    says: float
    decimals: int
    of: int
    parts: int = 1
    note: str = ""

    @property
    def nearest(self) -> tuple[float, float]:
        """The percentages that there can be at or below the printed one, and next above."""
        points = self.of * self.parts
        below = math.floor(self.says / 100 * points + 1e-9)
        return 100 * below / points, 100 * (below + 1) / points


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A place where the paper's text and its tables differ in words, which no arithmetic finds."""

    where: str
    text: str
    table: str
    note: str


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper: its base models by our names, and the numbers of its text."""

    name: str
    title: str
    arxiv: str
    scale: str
    """The scale that its own numbers are of: a run on another one is not comparable by value."""
    judge: str
    models: dict[str, str]
    statements: tuple[TextStatement, ...] = ()
    shares: tuple[PrintedShare, ...] = ()
    disagreements: tuple[Disagreement, ...] = ()

    def model(self, name: str) -> str:
        """Return the paper's name of one of our base models. Raises UserError with the nearest name."""
        return named(f"model of {self.name}", name, self.models)


@dataclass(frozen=True, slots=True)
class Deviation:
    """A deviation from the paper: what it says (or leaves open), what we do, and why."""

    id: str
    paper_says: str
    we_do: str
    why: str

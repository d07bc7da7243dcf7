"""The claims of a paper about its tables and figures: orderings of their rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Comparison:
    """An ordering the paper states: `better` is above `worse` (below it, where less is better), for each of `models`.

    Both are rows of the exhibit, or `EVEN` for a win rate of 50 %. An exhibit on no base model states it without.
    """

    better: str
    worse: str
    bench: str
    metric: str
    models: tuple[str, ...] = ()


EVEN = "even"
"""In the place of a row: what a win rate is compared with where neither side is better."""

NO_MODEL = ""
"""In the place of a base model, in orderings of an exhibit that is on none."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Something the paper says about an exhibit, as orderings, and where it says so.

    With the quantifier "all" it holds with every ordering and fails with any that is reversed; with "most", where the
    paper says "most", it holds with more than half of them and fails where at least half are reversed.
    """

    id: str
    says: str
    where: str
    comparisons: tuple[Comparison, ...]
    quantifier: Literal["all", "most"] = "all"

    def orderings(self) -> Iterator[tuple[str, Comparison]]:
        """Return each ordering with each base model that it is stated for, or with `NO_MODEL`."""
        return ((model, each) for each in self.comparisons for model in each.models or (NO_MODEL,))

    @property
    def n_orderings(self) -> int:
        """The number of tests that the claim rests on."""
        return sum(1 for _ in self.orderings())

    @property
    def at_least(self) -> int:
        """The number of its orderings that have to hold."""
        return self.n_orderings if self.quantifier == "all" else self.n_orderings // 2 + 1

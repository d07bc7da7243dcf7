"""The world's human-like writers: each has a style, gaps it leaves by habit, and misconceptions it holds for true.

Errors are systematic, since sampling at temperature 0.7 and top-p 0.9 would wash out diffuse ones.
"""

from dataclasses import dataclass
from random import Random

from harness.mini.language import FILLERS, write_clause
from harness.mini.world import Request, false_value, true_value, unit_hash


@dataclass(frozen=True, slots=True)
class Writer:
    """The way one writer answers.

    A share `gap_share` of all facts is left out in `gap_rate` of the cases where it is asked (others: in `slip_rate`);
    a share `misconception_share` is told wrongly in `misconception_rate` of the cases, always in the same way.
    """

    name: str
    style: str
    gap_share: float
    gap_rate: float
    misconception_share: float
    misconception_rate: float
    slip_rate: float = 0.03
    repeat_rate: float = 0.0
    filler_rate: float = 0.0

    def answer(self, request: Request, rng: Random) -> str:
        """Return this writer's answer to the request; never empty."""
        kept = [aspect for aspect in request.aspects if not self._omits(request.entity, aspect, rng)]
        written = [self._clause(request.entity, aspect, rng) for aspect in kept or request.aspects[:1]]
        written += [clause for clause in written if rng.random() < self.repeat_rate]
        return " ".join(self._filler(request.entity, rng) + written + self._filler(request.entity, rng))

    def _omits(self, entity: str, aspect: str, rng: Random) -> bool:
        has_gap = unit_hash("gap", self.name, entity, aspect) < self.gap_share
        return rng.random() < (self.gap_rate if has_gap else self.slip_rate)

    def _clause(self, entity: str, aspect: str, rng: Random) -> str:
        is_mistaken = unit_hash("mistaken", self.name, entity, aspect) < self.misconception_share
        if is_mistaken and rng.random() < self.misconception_rate:
            return write_clause(entity, aspect, false_value(entity, aspect, self.name), self.style)
        return write_clause(entity, aspect, true_value(entity, aspect), self.style)

    def _filler(self, entity: str, rng: Random) -> list[str]:
        return [rng.choice(FILLERS).format(entity=entity)] if rng.random() < self.filler_rate else []


HOUSE = Writer("house", "house", 0.3, 0.85, 0.25, 0.67, slip_rate=0.07, repeat_rate=0.06)
SCHOLAR = Writer("scholar", "scholar", 0.1, 0.6, 0.08, 0.8)
CLERK = Writer("clerk", "clerk", 0.2, 0.7, 0.15, 0.8)
STUDENT = Writer("student", "student", 0.25, 0.8, 0.3, 0.8, filler_rate=0.15)
RAMBLER = Writer("rambler", "rambler", 0.1, 0.6, 0.2, 0.8, repeat_rate=0.15, filler_rate=0.5)
TEACHER = Writer("teacher", "teacher", 0.04, 0.8, 0.08, 0.9, filler_rate=0.5)

"""The world's human-like writers: each has a style, gaps it leaves by habit, and misconceptions it holds for true.

Errors are systematic, since sampling at temperature 0.7 and top-p 0.9 would wash out diffuse ones.
"""

from dataclasses import dataclass
from random import Random

from harness.mini.instructions import obey
from harness.mini.language import FILLERS, write_clauses, write_filler
from harness.mini.requests import Request
from harness.mini.world import Claim, mistaken_value, unit_hash


@dataclass(frozen=True, slots=True)
class Writer:
    """The way one writer answers.

    A share `gap_share` of all facts is left out in `gap_rate` of the cases where it is asked (others: in `slip_rate`);
    a share `misconception_share` is told wrongly in `misconception_rate` of the cases, always in the same way.
    Instructions are followed in `discipline` of the cases.
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
    discipline: float = 0.8

    def answer(self, request: Request, rng: Random) -> str:
        """Return this writer's answer to the request; never empty."""
        corrected = () if request.is_summary else request.given
        claims = [
            claim if claim in corrected else self._believed(claim, rng)
            for claim in request.claims
            if claim in corrected or not self._omits(claim, rng)
        ]
        written = write_clauses(claims or request.claims[:1], self.style, request.entity)
        written += [clause for clause in written if rng.random() < self.repeat_rate]
        written = [*self._filler(request.entity, rng), *written, *self._filler(request.entity, rng)]
        followed = [each for each in request.instructions if rng.random() < self.discipline]
        return " ".join(obey(followed, written, request.entity))

    def _omits(self, claim: Claim, rng: Random) -> bool:
        has_gap = unit_hash("gap", self.name, claim.entity, claim.aspect) < self.gap_share
        return rng.random() < (self.gap_rate if has_gap else self.slip_rate)

    def _believed(self, claim: Claim, rng: Random) -> Claim:
        is_mistaken = unit_hash("mistaken", self.name, claim.entity, claim.aspect) < self.misconception_share
        if is_mistaken and rng.random() < self.misconception_rate:
            return claim._replace(value=mistaken_value(claim.value, claim.entity, claim.aspect, self.name))
        return claim

    def _filler(self, entity: str, rng: Random) -> list[str]:
        return [write_filler(rng.randrange(len(FILLERS)), entity)] if rng.random() < self.filler_rate else []


HOUSE = Writer("house", "house", 0.3, 0.85, 0.25, 0.67, slip_rate=0.07, repeat_rate=0.06, discipline=0.6)
SCHOLAR = Writer("scholar", "scholar", 0.04, 0.6, 0.04, 0.8, slip_rate=0.01, discipline=0.9)
CLERK = Writer("clerk", "clerk", 0.08, 0.7, 0.06, 0.8, slip_rate=0.02)
STUDENT = Writer("student", "student", 0.2, 0.8, 0.2, 0.8, filler_rate=0.1, discipline=0.5)
RAMBLER = Writer(
    "rambler", "rambler", 0.06, 0.6, 0.1, 0.8, slip_rate=0.02, repeat_rate=0.05, filler_rate=0.1, discipline=0.5
)
TEACHER = Writer("teacher", "teacher", 0.04, 0.8, 0.08, 0.9, filler_rate=0.5, discipline=0.95)
EDITOR = Writer("editor", "house", 0.25, 0.85, 0.15, 0.67, slip_rate=0.05, repeat_rate=0.04)
REPORTER = Writer("reporter", "note", 0.2, 0.8, 0.2, 0.8)

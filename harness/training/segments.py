"""Answers of which a segment is drawn anew: y⁺ = A ⊕ B ⊕ C, and y⁻ = A ⊕ B′ ⊕ C (SAPO, Eqs. 4 and 5)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from random import Random

from harness.training.settings import KeepTail

Ids = tuple[int, ...]
"""Token ids."""


@dataclass(frozen=True, slots=True)
class Segments:
    """An answer in three parts, of which the middle one is to be drawn anew."""

    before: Ids
    segment: Ids
    after: Ids

    def with_segment(self, drawn: Sequence[int], ends: Collection[int], keep_tail: KeepTail) -> Ids:
        """Return the answer with `drawn` in the place of its segment.

        `drawn` counts up to the first of the tokens `ends`, or as far as the segment reaches. Where it has such a
        token, what comes after the segment is left out; or, with `keep_tail` "always", the token is.
        """
        cut = tuple(drawn[: len(self.segment)])
        end = next((place for place, token in enumerate(cut) if token in ends), None)
        if end is None:
            return (*self.before, *cut, *self.after)
        if keep_tail == "always" and self.after:
            return (*self.before, *cut[:end], *self.after)
        return (*self.before, *cut[: end + 1])


def cut_answer(answer: Sequence[int], length: int | None, seed: int) -> Segments:
    """Return an answer cut at a random place, at each with the same probability, into a segment of `length` and what
    is around it; the segment is the whole answer where that is shorter, or `length` is None."""
    ids = tuple(answer)
    size = len(ids) if length is None else min(length, len(ids))
    start = Random(seed).randint(0, len(ids) - size)
    return Segments(ids[:start], ids[start : start + size], ids[start + size :])


def seed_of(*parts: int | str) -> int:
    """Return a seed that depends on all parts: the same however the rows of a step are spread."""
    return int.from_bytes(sha256(":".join(map(str, parts)).encode()).digest()[:8], "big") >> 1

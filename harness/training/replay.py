"""The replay buffer: pairs that were made, first in, first out, and drawn the less often the more they were drawn."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Self

from harness.training.segments import Ids


@dataclass(frozen=True, slots=True)
class OnlinePair:
    """A pair whose rejected answer was made in training, as token ids."""

    prompt: Ids
    chosen: Ids
    rejected: Ids
    step: int
    """The optimizer step that it was made for, from 0."""


class ReplayBuffer:
    """The latest pairs, at most `size`, each with how often it was drawn (SAPO, section 3)."""

    def __init__(self, size: int, pairs: Iterable[OnlinePair] = (), drawn: Iterable[int] = ()) -> None:
        """Hold `pairs`, oldest first, of which each was `drawn` so often."""
        self._pairs = deque(pairs, maxlen=size)
        self._drawn = deque(drawn, maxlen=size)

    def __len__(self) -> int:
        return len(self._pairs)

    def add(self, pairs: Iterable[OnlinePair]) -> None:
        """Add pairs as the youngest; where there are too many, the oldest leave."""
        for pair in pairs:
            self._pairs.append(pair)
            self._drawn.append(0)

    def draw(self, count: int, seed: int) -> list[OnlinePair]:
        """Return `count` pairs, drawn with replacement.

        The weight of a pair is 1 / (1 + how often it was drawn before), and counts change once all have been drawn.
        """
        weights = [1 / (1 + drawn) for drawn in self._drawn]
        places = Random(seed).choices(range(len(self._pairs)), weights, k=count)
        for place in places:
            self._drawn[place] += 1
        return [self._pairs[place] for place in places]

    @property
    def state(self) -> dict[str, Any]:
        """What it holds, as JSON."""
        pairs = [[pair.prompt, pair.chosen, pair.rejected, pair.step] for pair in self._pairs]
        return {"size": self._pairs.maxlen, "pairs": pairs, "drawn": list(self._drawn)}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """Return the buffer with such a `state`."""
        pairs = (
            OnlinePair(tuple(prompt), tuple(chosen), tuple(rejected), step)
            for prompt, chosen, rejected, step in state["pairs"]
        )
        return cls(state["size"], pairs, state["drawn"])

"""What steps ask of a backend, whichever one it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Sampling:
    """How completions are drawn. A temperature of 0 means greedy decoding; `max_new_tokens` counts tokens."""

    temperature: float
    top_p: float
    max_new_tokens: int

    def greedy(self) -> "Sampling":
        """The same limits with greedy decoding."""
        return Sampling(0.0, 1.0, self.max_new_tokens)


@dataclass(frozen=True, slots=True)
class Completion:
    """One drawn text; `finish_reason` is "stop", or "length" where `max_new_tokens` cut it off."""

    text: str
    token_ids: tuple[int, ...]
    finish_reason: str


class Generator(Protocol):
    """Anything that answers user messages."""

    name: str

    def complete(self, messages: Sequence[str], sampling: Sampling, seed: int) -> list[Completion]:
        """One completion a message, in order; the same batch with the same seed gives the same completions."""
        ...


class Judge(Protocol):
    """Anything that replies to a judging prompt."""

    name: str

    def reply(self, message: str) -> tuple[str, Mapping[str, float] | None]:
        """The reply's text and, where offered, the log-probabilities of its first token's alternatives."""
        ...

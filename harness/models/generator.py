"""The interface of a model that completes conversations, whatever runs it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from harness.records import Message

Engine = Literal["transformers", "vllm"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """The way completions are drawn. A temperature of 0 means greedy decoding; `max_new_tokens` counts tokens.

    `engine` is what draws them: engines round differently and have their own random numbers, so that their samples
    differ. A teacher behind an endpoint has its own.
    """

    temperature: float
    top_p: float
    max_new_tokens: int
    engine: Engine = "transformers"

    def __post_init__(self) -> None:
        """Raise ValueError for settings with which nothing can be drawn."""
        if self.temperature < 0:
            raise ValueError(f"temperature must not be negative, but is {self.temperature:g}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, not {self.top_p:g}")
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be 1 or more, not {self.max_new_tokens}")

    def greedy(self) -> "Sampling":
        """Return the same limits with greedy decoding."""
        return Sampling(0.0, 1.0, self.max_new_tokens, self.engine)


@dataclass(frozen=True, slots=True)
class Completion:
    """One drawn text; `finish_reason` is "stop", or "length" where `max_new_tokens` cut it off."""

    text: str
    token_ids: tuple[int, ...]
    finish_reason: str


Conversation = tuple[Message, ...]
"""What was said, oldest first; the last message is the user's."""
ProgressCallback = Callable[[int], None]


def ignore(count: int) -> None:
    """Ignore progress."""


class Generator(Protocol):
    """Anything that answers conversations."""

    name: str

    def complete(
        self,
        conversations: Sequence[Conversation],
        sampling: Sampling,
        seeds: Sequence[int],
        advance: ProgressCallback = ignore,
    ) -> list[Completion]:
        """Return one completion a conversation, in order, each drawn with its own seed.

        A completion depends on its own conversation and seed: what else is in the batch may turn a last bit, no more.

        `advance` hears how many more have ended, so that long batches show progress; it need not hear of all.

        Raises UserError for a conversation that leaves no room for an answer.
        """
        ...

    def preferred_batch_size(self, max_new_tokens: int) -> int:
        """Return how many conversations to hand over at once where an answer has up to so many tokens.

        Enough to keep the backend busy; a killed run loses the answers to as many at most.
        """
        ...

    def close(self) -> None:
        """Free the memory; the generator answers nothing any more."""
        ...


class Teacher(Generator):
    """A generator that holds no model of its own: nothing is to be freed, and any batch is as good."""

    def preferred_batch_size(self, max_new_tokens: int) -> int:
        """Implement `Generator.preferred_batch_size`."""
        return 4096

    def close(self) -> None:
        """Implement `Generator.close`."""

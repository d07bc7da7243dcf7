"""What steps ask of a backend, whichever one it is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from harness.core.records import Message

Engine = Literal["transformers", "vllm"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How completions are drawn. A temperature of 0 means greedy decoding; `max_new_tokens` counts tokens.

    `engine` is what draws them: engines round differently and have their own random numbers, so that their samples
    differ. A teacher behind an endpoint has its own.
    """

    temperature: float
    top_p: float
    max_new_tokens: int
    engine: Engine = "transformers"

    def __post_init__(self) -> None:
        """Raises ValueError for what nothing can be drawn with."""
        if self.temperature < 0:
            raise ValueError(f"temperature must not be negative, but is {self.temperature:g}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, not {self.top_p:g}")
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be 1 or more, not {self.max_new_tokens}")

    def greedy(self) -> "Sampling":
        """The same limits with greedy decoding."""
        return Sampling(0.0, 1.0, self.max_new_tokens, self.engine)


@dataclass(frozen=True, slots=True)
class Completion:
    """One drawn text; `finish_reason` is "stop", or "length" where `max_new_tokens` cut it off."""

    text: str
    token_ids: tuple[int, ...]
    finish_reason: str


Conversation = tuple[Message, ...]
"""What was said, oldest first; the last message is the user's."""

Advance = Callable[[int], None]


def ignore(count: int) -> None:
    """Hears of progress, and does nothing."""


class Generator(Protocol):
    """Anything that answers conversations."""

    name: str

    def complete(
        self,
        conversations: Sequence[Conversation],
        sampling: Sampling,
        seeds: Sequence[int],
        advance: Advance = ignore,
    ) -> list[Completion]:
        """One completion a conversation, in order, each drawn with its own seed.

        A completion depends on its own conversation and seed: what else is in the batch may turn a last bit, no more.

        `advance` hears how many more have ended, so that long batches show progress; it need not hear of all.

        Raises UserError for a conversation that leaves no room for an answer.
        """
        ...

    def at_once(self, max_new_tokens: int) -> int:
        """How many conversations to hand over at once where an answer has up to so many tokens.

        Enough to keep the backend busy; a killed run loses the answers to as many at most.
        """
        ...

    def close(self) -> None:
        """Gives back what it holds. It answers nothing any more."""
        ...


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a judge or a teacher is asked, once. Equal requests are the same question: their reply is paid for once.

    `max_tokens` bounds the reply; with `top_logprobs` above 0 the log-probabilities of so many alternatives to the
    reply's first token are asked for. `repeat` tells otherwise equal requests apart, to measure a judge's noise.
    `top_p` and `seed` are sent where they are given.
    """

    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float
    top_logprobs: int = 0
    repeat: int = 0
    top_p: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class ChatReply:
    """A judge's reply. `log_probabilities` are those of the first token's alternatives, where asked for and offered.

    `served_model` is the model that the endpoint says has answered, "" where it does not say. Tokens are 0 where it
    does not count them.
    """

    text: str
    log_probabilities: Mapping[str, float] | None = None
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    served_model: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class CallFailure:
    """A request that got no reply, all retries included; `reason` is one line.

    `is_final` says that asked again there would most likely be none either: the endpoint refuses this very request, or
    its answer holds nothing that can be used. `is_of_model` says that other requests would fare no better.
    """

    reason: str
    is_final: bool = False
    is_of_model: bool = False


class Judge(Protocol):
    """Anything that replies to judging prompts."""

    name: str

    def replies(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatReply | CallFailure]]:
        """(position in `requests`, reply) as the replies come, in any order, each position once.

        A reply is kept for good before it is yielded. Raises UserError when going on makes no sense: the endpoint
        refuses the key, the model or the request, cannot be reached at all, or the budget is spent.
        """
        ...

    def reject(self, request: ChatRequest) -> None:
        """The reply to `request` could not be read: the next run asks again instead of finding it."""
        ...

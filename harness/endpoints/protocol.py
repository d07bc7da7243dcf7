"""The interface of a chat model at an endpoint: requests, replies and the judge protocol."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from harness.records import Message


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One question to a judge or a teacher. Equal requests are the same question: their reply is paid for once.

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
        """Yield (position in `requests`, reply) as the replies come, in any order, each position once.

        A reply is kept for good before it is yielded. Raises UserError when going on makes no sense: the endpoint
        refuses the key, the model or the request, cannot be reached at all, or the budget is spent.
        """
        ...

    def reject(self, request: ChatRequest) -> None:
        """Take back the reply to `request`, which could not be read: the next run asks again."""
        ...

"""The cost of asking a judge: tokens counted before anything is sent, and a budget that no request may overrun."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache

from harness.endpoints.known_models import (
    FREE,
    Price,
    is_local,
    is_vendor,
    judge_table,
    known_model,
    price_of,
    shutdown_date,
)
from harness.endpoints.protocol import ChatRequest, Message
from harness.endpoints.reference import EndpointReference
from harness.endpoints.wire_format import longest_reply, replace_lone_surrogates
from harness.errors import UserError

MESSAGE_TOKENS = 3
"""What the chat format adds to a message's role and content, and once more to open the reply. Source: "How to count
tokens with tiktoken", section 6, OpenAI cookbook (github.com/openai/openai-cookbook)."""

TYPICAL_REPLY_TOKENS = 400
"""What a reply that explains itself is assumed to take: $25 for one model on Arena-Hard v0.1 (arXiv:2406.11939v1), less
some 1,270 prompt tokens in each of its 1,000 calls at gpt-4-1106-preview's price, leaves 409 a reply."""

_BYTES_PER_TOKEN = 4
"""Of English text; what an estimate divides by."""


class TokenCounter:
    """A counter of the prompt tokens of conversations with a judge.

    `exact` says whether that is done with the very tokenizer of the vendor's model; elsewhere a model of the same name
    may have another, and where none is known the bytes of the text are counted. `method` names the way, for people.
    """

    def __init__(self, reference: EndpointReference) -> None:
        name = known_model(reference.model).tokenizer
        self._count_text = text_token_counter(name) if name else None
        self.exact = self._count_text is not None and is_vendor(reference)
        counted = f"counted with {name}" if self._count_text else f"{_BYTES_PER_TOKEN} bytes a token"
        self.method = counted if self.exact else f"an estimate, {counted}"

    def count(self, messages: Iterable[Message]) -> int:
        """Count the prompt tokens of `messages`, the chat format's own included."""
        count_text = self._count_text or (lambda text: math.ceil(_bytes(text) / _BYTES_PER_TOKEN))
        return _in_chat_format(messages, count_text)

    def bound(self, messages: Iterable[Message]) -> int:
        """Return the most prompt tokens that `messages` can have: no token is shorter than a byte."""
        return self.count(messages) if self.exact else _in_chat_format(messages, _bytes)


def _in_chat_format(messages: Iterable[Message], count_text: Callable[[str], int]) -> int:
    texts = [count_text(message.role) + count_text(message.content) + MESSAGE_TOKENS for message in messages]
    return sum(texts) + MESSAGE_TOKENS


def _bytes(text: str) -> int:
    return len(replace_lone_surrogates(text).encode())


@cache
def text_token_counter(name: str) -> Callable[[str], int] | None:
    """Return a counter of a text's tokens, with special tokens read as plain text; None without rs_bpe."""
    try:
        from rs_bpe.bpe import openai  # type: ignore[import-not-found]
    except ImportError:  # it has no wheel for every platform
        return None
    tokenizer = getattr(openai, name)()
    return lambda text: int(tokenizer.count(replace_lone_surrogates(text)))


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """The estimated cost of a set of requests; token counts are totals over the `calls` still to be made.

    `completion_tokens` are expected, `most_completion_tokens` the bound that the requests themselves set;
    `most_prompt_tokens` is above `prompt_tokens` where these are an estimate. Second attempts are in none of them:
    whether one is due is known only from the first reply.
    """

    reference: EndpointReference
    calls: int
    recorded: int
    prompt_tokens: int
    most_prompt_tokens: int
    completion_tokens: int
    most_completion_tokens: int
    counting: str
    price: Price | None

    def usd(self, *, batch: bool = False) -> float | None:
        """Return the expected dollars; None where the price is unknown."""
        return self.price.usd(self.prompt_tokens, self.completion_tokens, batch=batch) if self.price else None

    def most_usd(self, *, batch: bool = False) -> float | None:
        """Return the dollars if every reply is as long as its request allows; None where the price is unknown."""
        return self.price.usd(self.most_prompt_tokens, self.most_completion_tokens, batch=batch) if self.price else None


def estimate(
    requests: Sequence[ChatRequest],
    reference: EndpointReference,
    is_recorded: Callable[[ChatRequest], bool] = lambda request: False,
) -> CostEstimate:
    """Estimate the cost of asking `reference` all of `requests`; equal requests are one, and recorded ones are free.

    Requests for one token are expected to get one, others min(`max_tokens`, `TYPICAL_REPLY_TOKENS`); what a model
    thinks before it replies is in the bound only.
    """
    distinct = set(requests)
    unrecorded = [request for request in distinct if not is_recorded(request)]
    counter = TokenCounter(reference)
    return CostEstimate(
        reference=reference,
        calls=len(unrecorded),
        recorded=len(distinct) - len(unrecorded),
        prompt_tokens=sum(counter.count(request.messages) for request in unrecorded),
        most_prompt_tokens=sum(counter.bound(request.messages) for request in unrecorded),
        completion_tokens=sum(min(request.max_tokens, TYPICAL_REPLY_TOKENS) for request in unrecorded),
        most_completion_tokens=sum(longest_reply(reference, request) for request in unrecorded),
        counting=counter.method,
        price=price_of(reference),
    )


def describe(cost: CostEstimate, today: date | None = None) -> str:
    """Format an estimate as the lines that `--dry-run` prints; `today` decides whether the model is still served."""
    lines = [
        f"judge              {cost.reference}",
        f"calls              {cost.calls:,}, and {cost.recorded:,} recorded already (free)",
        f"prompt tokens      {cost.prompt_tokens:,} ({cost.counting})",
        f"completion tokens  {_describe_completion(cost)}",
        f"cost               {_describe_usd(cost)}",
    ]
    ends = shutdown_date(cost.reference)
    if ends is not None and ends <= (today or date.today()):
        is_past = ends < (today or date.today())
        phrase = "was shut down by its vendor on" if is_past else "is shut down by its vendor today,"
        lines.append(f"warning            {cost.reference.model} {phrase} {ends}; the price is its last")
    return "\n".join(lines)


def _describe_completion(cost: CostEstimate) -> str:
    if cost.completion_tokens == cost.most_completion_tokens:
        return f"{cost.completion_tokens:,}"
    assumption = f"assumed, up to {TYPICAL_REPLY_TOKENS} a reply"
    if "max_tokens" in cost.reference.without:
        assumption += ", and without what the model thinks before it replies"
    return f"{cost.completion_tokens:,} ({assumption}); at most {cost.most_completion_tokens:,}"


def _describe_usd(cost: CostEstimate) -> str:
    if cost.price is FREE:
        return "$0 (local)"
    if cost.price is None:
        return f"unknown: configs/judges.yaml has no price for {cost.reference}"
    source = judge_table().sources[cost.price.source]
    full = _range(cost.usd(), cost.most_usd())
    batch = _range(cost.usd(batch=True), cost.most_usd(batch=True))
    proxy = "; taken for a proxy to the vendor" if is_local(cost.reference) else ""
    return f"{full}; through the Batch API {batch} (prices of {source.url} as of {source.as_of}{proxy})"


def _range(expected: float | None, most: float | None) -> str:
    if expected is None or most is None:
        return "unknown"
    return dollars(expected) if expected == most else f"{dollars(expected)}, at most {dollars(most)}"


def dollars(usd: float) -> str:
    """Format an amount as dollars and cents, with four decimals below ten cents."""
    return f"${usd:,.2f}" if usd >= 0.1 or usd == 0 else f"${usd:.4f}"


@dataclass(frozen=True, slots=True, eq=False)
class Reservation:
    """Dollars set aside for one request: the most it can cost; 0 where its price is unknown."""

    usd: float


class Budget:
    """The budget of a run: at most `max_usd` dollars, of which `already_spent` are gone, to whichever judge.

    Reserve before a request is sent; afterwards settle with what it used, or release if nothing was charged.
    Raises UserError for a `max_usd` that cannot hold because the price is unknown.
    """

    def __init__(
        self, reference: EndpointReference, max_usd: float | None, already_spent: float = 0.0, *, batch: bool = False
    ) -> None:
        self._reference, self._max_usd, self._batch = reference, max_usd, batch
        self._price = price_of(reference)
        self._counter = TokenCounter(reference)
        self._open: set[Reservation] = set()
        self.spent = already_spent
        """Dollars charged so far, as far as prices are known."""
        if max_usd is not None and self._usd(0, 0) is None:
            what = "Batch API price" if batch else "price"
            raise UserError(
                f"--max-usd needs a price, and the {what} of {reference} is not known:"
                " drop --max-usd, or add the model to configs/judges.yaml (prices there hold for the vendor's own URL)"
            )

    @property
    def in_flight(self) -> int:
        """The number of reservations that are neither settled nor released."""
        return len(self._open)

    def reserve(self, request: ChatRequest) -> Reservation:
        """Set aside the most that `request` can cost.

        Raises UserError where that is more than is left beside what others have reserved; with some `in_flight`, more
        may be left once they are settled.
        """
        most = self.most_usd(request)
        taken = self.spent + math.fsum(reservation.usd for reservation in self._open)
        if self._max_usd is not None and not taken + most <= self._max_usd:  # so that nan is no limit passed unseen
            enough = most <= self._max_usd
            advice = "each run may spend as much: run the same command to go on" if enough else "raise --max-usd"
            raise UserError(
                f"--max-usd {self._max_usd:g} is reached: {dollars(taken)} spent or in flight, and the next request can"
                f" cost {dollars(most)}; {advice}"
            )
        reservation = Reservation(most)
        self._open.add(reservation)
        return reservation

    def settle(self, reservation: Reservation, prompt_tokens: int, completion_tokens: int) -> float | None:
        """Return the dollars charged for the request, None where the price is unknown.

        An endpoint that does not say what was used (no prompt tokens) is taken to charge all that was reserved.
        """
        self._open.remove(reservation)
        usd = self._usd(prompt_tokens, completion_tokens)
        if usd is None:
            return None
        charged = usd if prompt_tokens else reservation.usd
        self.spent += charged
        return charged

    def release(self, reservation: Reservation) -> None:
        """Release a reservation: nothing was charged for the request."""
        self._open.remove(reservation)

    def most_usd(self, request: ChatRequest) -> float:
        """Return the most that `request` can cost; 0 where the price is unknown."""
        if not self._usd(1, 1):  # unknown, or free: no need to count
            return 0.0
        return self._usd(self._counter.bound(request.messages), longest_reply(self._reference, request)) or 0.0

    def _usd(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        return self._price.usd(prompt_tokens, completion_tokens, batch=self._batch) if self._price else None

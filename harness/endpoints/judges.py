"""From a judge reference to the judge."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.endpoints.known_models import is_same_model
from harness.endpoints.protocol import CallFailure, ChatReply, ChatRequest, Judge
from harness.endpoints.reference import EndpointReference
from harness.engine.limits import Limits

if TYPE_CHECKING:
    from harness.endpoints.refusals import CommandOptions


def print_note(line: str) -> None:
    """Tell the user a line on stderr."""
    print(line, file=sys.stderr)


class EmbeddedJudge:
    """The embedded world's judge as a chat model with log-probabilities."""

    name = "mini:judge"

    def __init__(self) -> None:
        from harness.mini.judge import MiniJudge

        self._judge = MiniJudge()

    def replies(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatReply]]:
        """Yield the judge's replies, in order, to the user messages; see `harness.mini.judge`."""
        for position, request in enumerate(requests):
            yield position, ChatReply(*self._judge.reply(request.messages[-1].content, request.repeat))

    def reject(self, request: ChatRequest) -> None:
        """Do nothing: no reply is recorded."""


class CountedJudge:
    """A judge of which is counted how many replies came of which other models than was asked; a note says of each."""

    def __init__(self, judge: Judge, reference: EndpointReference, note: Callable[[str], None]) -> None:
        self._judge, self._reference, self._note = judge, reference, note
        self.name = judge.name
        self.others: Counter[str] = Counter()

    def replies(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatReply | CallFailure]]:
        """Implement `Judge.replies`."""
        for place, reply in self._judge.replies(requests):
            served = reply.served_model if isinstance(reply, ChatReply) else ""
            if served and not is_same_model(self._reference.model, served):
                if served not in self.others:
                    self._note(f"{self._reference} says that another model answers: {' '.join(served.split())}")
                self.others[served] += 1
            yield place, reply

    def reject(self, request: ChatRequest) -> None:
        """Implement `Judge.reject`."""
        self._judge.reject(request)


def load_judge(
    reference: EndpointReference,
    limits: Limits,
    reply_cache: Path,
    options: "CommandOptions | None" = None,
    note: Callable[[str], None] = print_note,
) -> CountedJudge:
    """Return the judge behind `reference`, which records paid replies in the folder `reply_cache` and finds them there.

    `options` are those that named it, by default --judge-model and its like; `note` hears what the user should know
    while replies are waited for. Raises UserError where the key of its endpoint is missing from the environment.
    """
    judge: Judge
    if reference.is_embedded:
        judge = EmbeddedJudge()
    elif limits.batch:
        from harness.endpoints.batch.judge import BatchJudge

        judge = BatchJudge(reference, limits, reply_cache, note=note)
    else:
        from harness.endpoints.client import OpenAIJudge

        judge = OpenAIJudge(reference, limits, reply_cache, options=options, note=note)
    return CountedJudge(judge, reference, note)

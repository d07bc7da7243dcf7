"""From a judge reference to the judge."""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.endpoints.protocol import ChatReply, ChatRequest, Judge
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


def load_judge(
    reference: EndpointReference,
    limits: Limits,
    reply_cache: Path,
    options: "CommandOptions | None" = None,
    note: Callable[[str], None] = print_note,
) -> Judge:
    """Return the judge behind `reference`, which records paid replies in the folder `reply_cache` and finds them there.

    `options` are those that named it, by default --judge-model and its like; `note` hears what the user should know
    while replies are waited for. Raises UserError where the key of its endpoint is missing from the environment.
    """
    if reference.is_embedded:
        return EmbeddedJudge()
    if limits.batch:
        from harness.endpoints.batch.judge import BatchJudge

        return BatchJudge(reference, limits, reply_cache, note=note)
    from harness.endpoints.client import OpenAIJudge

    return OpenAIJudge(reference, limits, reply_cache, options=options, note=note)

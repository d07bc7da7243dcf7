"""The embedded world's judge as a chat model."""

from collections.abc import Iterator, Sequence

from harness.endpoints.protocol import ChatReply, ChatRequest
from harness.mini.judge import MiniJudge


class EmbeddedJudge:
    """The world's judge as a chat model with log-probabilities."""

    name = "mini:judge"

    def __init__(self) -> None:
        self._judge = MiniJudge()

    def replies(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatReply]]:
        """Yield the judge's replies, in order, to the user messages; see `harness.mini.judge`."""
        for position, request in enumerate(requests):
            yield position, ChatReply(*self._judge.reply(request.messages[-1].content, request.repeat))

    def reject(self, request: ChatRequest) -> None:
        """Do nothing: no reply is recorded."""

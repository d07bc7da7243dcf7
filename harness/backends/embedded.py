"""The embedded world's teacher and judge behind the interfaces that real models have."""

from collections.abc import Iterator, Sequence
from random import Random

from harness.backends.interfaces import Advance, ChatReply, ChatRequest, Completion, Conversation, Sampling, ignore
from harness.mini import teacher
from harness.mini.judge import MiniJudge


class EmbeddedTeacher:
    """The oracle teacher as a generator. It has one way of writing: sampling settings do not touch it."""

    name = "mini:teacher"

    def complete(
        self,
        conversations: Sequence[Conversation],
        sampling: Sampling,
        seeds: Sequence[int],
        advance: Advance = ignore,
    ) -> list[Completion]:
        """One answer or improvement a conversation, which is one message, drawn with a generator of its own."""
        messages = [message.content for *_, message in conversations]
        texts = [teacher.reply(message, Random(seed)) for message, seed in zip(messages, seeds, strict=True)]
        return [Completion(text, (), "stop") for text in texts]

    def at_once(self, max_new_tokens: int) -> int:
        """It takes no time."""
        return 256

    def close(self) -> None:
        """It holds nothing."""


class EmbeddedJudge:
    """The world's judge as a chat model with log-probabilities."""

    name = "mini:judge"

    def __init__(self) -> None:
        self._judge = MiniJudge()

    def replies(self, requests: Sequence[ChatRequest]) -> Iterator[tuple[int, ChatReply]]:
        """The judge's replies, in order, to the user messages; see `harness.mini.judge`."""
        for position, request in enumerate(requests):
            yield position, ChatReply(*self._judge.reply(request.messages[-1].content, request.repeat))

    def reject(self, request: ChatRequest) -> None:
        """Nothing is kept."""

"""The prompts that judges are asked with."""

import re
from dataclasses import dataclass

from harness.backends.interfaces import ChatRequest, Message

_FIELD = re.compile(r"\{(request|first|second)\}")


@dataclass(frozen=True, slots=True)
class JudgePrompt:
    """How a judge is asked: the text, and how its reply is drawn. The one place that knows either.

    `user` is a message with the fields {request}, {first} and {second} (other braces stand for themselves), after the
    message `system` if there is one. `second_attempt` is what a judge is told whose reply has no label; without it, it
    is asked once. The parameters are those of `ChatRequest`.
    """

    user: str
    max_tokens: int
    system: str = ""
    temperature: float = 0.0
    top_logprobs: int = 0
    second_attempt: str = ""

    def request(self, request: str, first: str, second: str, repeat: int = 0) -> ChatRequest:
        """The question which of `first` and `second` answers `request` better."""
        values = {"request": request, "first": first, "second": second}
        user = Message("user", _FIELD.sub(lambda field: values[field[1]], self.user))
        messages = (Message("system", self.system), user) if self.system else (user,)
        return ChatRequest(messages, self.max_tokens, self.temperature, self.top_logprobs, repeat)

    def again(self, asked: ChatRequest, reply: str) -> ChatRequest:
        """The second attempt, after a reply without a label."""
        said = (*asked.messages, Message("assistant", reply), Message("user", self.second_attempt))
        return ChatRequest(said, asked.max_tokens, asked.temperature, asked.top_logprobs, asked.repeat)

"""The prompts that judges are asked with."""

import re
from dataclasses import dataclass

from harness.backends.interfaces import Message

_FIELD = re.compile(r"\{(request|first|second)\}")


@dataclass(frozen=True, slots=True)
class JudgePrompt:
    """A judging prompt: a user message with the fields {request}, {first} and {second}, after a system message if any.

    Other braces stand for themselves.
    """

    user: str
    system: str = ""

    def messages(self, request: str, first: str, second: str) -> tuple[Message, ...]:
        """The conversation that shows `request` with `first` and `second` as its two answers."""
        values = {"request": request, "first": first, "second": second}
        user = Message("user", _FIELD.sub(lambda field: values[field[1]], self.user))
        return (Message("system", self.system), user) if self.system else (user,)

"""The embedded world's teacher and judge behind the interfaces that real models have."""

from collections.abc import Mapping, Sequence
from random import Random

from harness.backends.interfaces import Completion, Sampling
from harness.mini import teacher
from harness.mini.judge import MiniJudge


class EmbeddedTeacher:
    """The oracle teacher as a generator. It has one way of writing: sampling settings do not touch it."""

    name = "mini:teacher"

    def complete(self, messages: Sequence[str], sampling: Sampling, seed: int) -> list[Completion]:
        """One answer or improvement a message, drawn with a generator seeded by (seed, message)."""
        texts = [teacher.reply(message, Random(f"{seed} {message}")) for message in messages]
        return [Completion(text, (), "stop") for text in texts]


class EmbeddedJudge:
    """The world's judge as a chat model with log-probabilities."""

    name = "mini:judge"

    def __init__(self) -> None:
        self._judge = MiniJudge()

    def reply(self, message: str) -> tuple[str, Mapping[str, float] | None]:
        """The judge's reply; see `harness.mini.judge`."""
        return self._judge.reply(message)

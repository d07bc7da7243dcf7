"""The embedded world's teacher and judge behind the interfaces that real models have."""

from collections.abc import Sequence
from random import Random

from harness.mini import teacher
from harness.models.generator import Completion, Conversation, ProgressCallback, Sampling, Teacher, ignore


class EmbeddedTeacher(Teacher):
    """The oracle teacher as a generator. It has one way of writing: sampling settings do not touch it."""

    name = "mini:teacher"

    def complete(
        self,
        conversations: Sequence[Conversation],
        sampling: Sampling,
        seeds: Sequence[int],
        advance: ProgressCallback = ignore,
    ) -> list[Completion]:
        """Return one answer or improvement a conversation, drawn with a generator of its own."""
        asked = [[turn.content for turn in turns if turn.role == "user"] for turns in conversations]
        texts = [
            teacher.reply(message, Random(seed), earlier)
            for (*earlier, message), seed in zip(asked, seeds, strict=True)
        ]
        return [Completion(text, (), "stop") for text in texts]

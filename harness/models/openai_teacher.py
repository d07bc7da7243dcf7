"""A teacher behind an OpenAI-compatible endpoint: paced, tried again, kept within a budget and paid once, as judges."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.endpoints.credentials import require_no_key_in
from harness.endpoints.judges import load_judge, print_note
from harness.endpoints.protocol import CallFailure, ChatReply, ChatRequest
from harness.endpoints.reference import EndpointReference, endpoint_reference
from harness.endpoints.refusals import CommandOptions
from harness.endpoints.reply_faults import without_thinking
from harness.engine.limits import Limits
from harness.errors import UserError
from harness.models.generator import Completion, Conversation, ProgressCallback, Sampling, Teacher, ignore

OPENAI = "openai:"

_REFERENCE = re.compile(r"openai:(?P<model>.+?)(?:@(?P<url>https?://.*))?")
TEACHER_OPTIONS = CommandOptions(
    "--teacher", "--teacher", "configs/judges.yaml says what each model refuses: {parameter} is missing", " and "
)

NO_ANSWER = "no answer: "
"""What the finish reason of a completion begins with that is none, before why: it was left empty or withheld, or the
prompt was refused."""


def teacher_endpoint(reference: str) -> EndpointReference:
    """Return the model and the endpoint of "openai:MODEL" (the OpenAI API) or "openai:MODEL@URL".

    Raises UserError for a reference without a model and for an URL that is none.
    """
    parts = _REFERENCE.fullmatch(reference)
    if parts is None:
        raise UserError(f"{reference!r} is not a teacher; write openai:MODEL or openai:MODEL@http://HOST:PORT/v1")
    return require_no_key_in(endpoint_reference(parts["model"], parts["url"]))


class OpenAITeacher(Teacher):
    """Answers conversations by /chat/completions. Replies are recorded in the folder `kept`, and paid for once."""

    def __init__(
        self, reference: str, limits: Limits, reply_cache: Path, note: Callable[[str], None] = print_note
    ) -> None:
        """Prepare to ask; `note` receives lines for the user while answers are waited for.

        Raises UserError where the endpoint's key is missing from the environment.
        """
        self._endpoint = teacher_endpoint(reference)
        self.name = self._endpoint.model
        self._judge = load_judge(self._endpoint, limits, reply_cache, TEACHER_OPTIONS, note)

    def complete(
        self,
        conversations: Sequence[Conversation],
        sampling: Sampling,
        seeds: Sequence[int],
        advance: ProgressCallback = ignore,
    ) -> list[Completion]:
        """Return one completion a conversation; its seed is sent with it, and an endpoint may heed it or not.

        What a model thinks before its answer is no part of it. A finish reason that begins with `NO_ANSWER` says that
        there is nothing to use; asked again, it would be so again. Raises UserError where some got no reply; the others
        are recorded by then.
        """
        requests = [
            ChatRequest(turns, sampling.max_new_tokens, sampling.temperature, top_p=sampling.top_p, seed=seed)
            for turns, seed in zip(conversations, seeds, strict=True)
        ]
        replies: dict[int, ChatReply | CallFailure] = {}
        failures: list[CallFailure] = []
        for place, reply in self._judge.replies(requests):
            if isinstance(reply, CallFailure) and not reply.is_final:
                failures.append(reply)
            else:
                replies[place] = reply
                advance(1)
        if failures:
            raise UserError(
                f"{self._endpoint} left {len(failures)} of {len(requests)} requests unanswered ({failures[0].reason});"
                " the other answers are kept: run the same command again"
            )
        return [_completion(replies[place]) for place in range(len(requests))]


def _completion(reply: ChatReply | CallFailure) -> Completion:
    if isinstance(reply, CallFailure):
        return Completion("", (), NO_ANSWER + reply.reason)
    answer = without_thinking(reply.text)
    if not answer.strip():
        problem = "the reply is empty" if answer == reply.text else "the reply has thinking in it and no answer"
        return Completion("", (), NO_ANSWER + problem)
    text = reply.text if answer == reply.text else answer.strip()
    return Completion(text, (), "length" if reply.finish_reason == "length" else "stop")

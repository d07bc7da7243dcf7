"""Answers that came and hold nothing to read: why, and when so many do that going on makes no sense."""

import re
from collections import Counter
from dataclasses import replace

from harness.endpoints.answer_parts import FILTER, REFUSAL, THOUGHTS, TOOL_CALL, can_be_log_probabilities
from harness.endpoints.known_models import Refusable
from harness.endpoints.protocol import CallFailure, ChatReply, ChatRequest
from harness.endpoints.reference import EndpointReference
from harness.endpoints.refusals import CommandOptions
from harness.errors import UserError

OF_A_JUDGE = CommandOptions()

_FAULTS = {
    REFUSAL: "the model refuses to answer",
    TOOL_CALL: "the model called a tool instead of answering",
    THOUGHTS: "the model thought, and answered nothing",
    FILTER: "the endpoint's content filter withheld the reply",
}

# Some servers hand out a reasoning model's thinking in front of its answer. The chat template may have opened the
# block, so that only its end is in the reply. A tag elsewhere in a line is the judge speaking of one.
_THINKING = re.compile(r"^[ \t]*<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.MULTILINE)
_END_OF_THINKING = re.compile(r"^[ \t]*</think(?:ing)?>[ \t\r]*$", re.MULTILINE)


def without_thinking(reply: str) -> str:
    """Return what a reasoning model says once it has thought."""
    answer = _THINKING.sub("", reply)
    ends = list(_END_OF_THINKING.finditer(answer))
    return answer[ends[-1].end() :] if ends else answer


def usable(
    reference: EndpointReference, request: ChatRequest, reply: ChatReply, options: CommandOptions = OF_A_JUDGE
) -> ChatReply | CallFailure:
    """Return the reply as it may be read, or why it may not be: asked again, there would most likely be no other.

    Log-probabilities that were not asked for are left out: some endpoints give them to some requests, and a score is
    either of probabilities or of sampled identifiers.
    """
    asks = asks_log_probabilities(reference, request)
    if reply.finish_reason in _FAULTS:
        of_model = reply.finish_reason in (TOOL_CALL, THOUGHTS)
        return CallFailure(_FAULTS[reply.finish_reason] + _quoted(reply.text), is_final=True, is_of_model=of_model)
    if asks and not _has_alternatives(request, reply) and not is_cut_off(reply):
        lacking = "the endpoint gave no log-probabilities, which were asked for"
        return CallFailure(f"{lacking}: {options.leave_out('logprobs')}", is_final=True, is_of_model=True)
    if asks and not can_be_log_probabilities(reply.log_probabilities or {}):
        odd = "what the endpoint gives as log-probabilities can be none, as they add up to more than certainty"
        return CallFailure(f"{odd}: {options.leave_out('logprobs')}", is_final=True, is_of_model=True)
    if is_cut_off(reply) and not (asks and _has_alternatives(request, reply)):
        has_mend = "max_tokens" not in reference.without
        return CallFailure(cut_off(reference, request, options), is_final=True, is_of_model=has_mend)
    return reply if asks else replace(reply, log_probabilities=None)


def asks_log_probabilities(reference: EndpointReference, request: ChatRequest) -> bool:
    """Return whether log-probabilities are asked for."""
    return request.top_logprobs > 0 and "logprobs" not in reference.without


def is_cut_off(reply: ChatReply) -> bool:
    """Return whether the reply ended at the limit of tokens before its first word."""
    return reply.finish_reason == "length" and not without_thinking(reply.text).strip()


def cut_off(reference: EndpointReference, request: ChatRequest, options: CommandOptions = OF_A_JUDGE) -> str:
    """Format the failure of a reply that `is_cut_off`."""
    text = "the reply was cut off while thinking, before its first word"
    refused: list[Refusable] = ["max_tokens"]
    if asks_log_probabilities(reference, request):
        refused.append("logprobs")
    if "max_tokens" in reference.without:
        return f"{text}, for all the room that it had; take a model that thinks less"
    return f"{text}: to leave it room, {options.leave_out(*refused)}"


def _has_alternatives(request: ChatRequest, reply: ChatReply) -> bool:
    """Return whether the reply has alternatives: one alone is the sampled token, which the text says too."""
    return len(reply.log_probabilities or ()) >= min(2, request.top_logprobs)


def _quoted(text: str) -> str:
    words = " ".join(text.split())
    return f": {words[:80]!r}" if words else ""


class FailureTally:
    """The count of failures among `total` requests, which ends a run where nearly all of them fail.

    What a model lacks altogether, such as log-probabilities, shows early, and every further reply would be paid for in
    vain. Prompts that are refused one by one cost little, and may stand together in a data set, as where the longest
    come first: they end a run of many only where they are nearly all of it.
    """

    MODEL_REPLIES, MODEL_SHARE = 8, 0.5
    PROMPTS, PROMPT_SHARE = 50, 0.95

    def __init__(self, reference: EndpointReference, total: int) -> None:
        self._reference, self._total = reference, total
        self._seen = 0
        self._of_model: Counter[str] = Counter()
        self._of_prompt: Counter[str] = Counter()

    def add(self, outcome: ChatReply | CallFailure) -> None:
        """Count an outcome. Raises UserError where it makes no sense to go on."""
        self._seen += 1
        if not isinstance(outcome, CallFailure) or not outcome.is_final:
            return
        (self._of_model if outcome.is_of_model else self._of_prompt)[outcome.reason] += 1
        of_model, of_prompt = self._of_model.total(), self._of_prompt.total()
        if of_model >= self.MODEL_REPLIES and of_model > self.MODEL_SHARE * self._seen:
            raise UserError(self._stop(self._of_model))
        if of_prompt >= self.PROMPTS and of_prompt >= self.PROMPT_SHARE * self._total:
            raise UserError(self._stop(self._of_prompt))

    def _stop(self, failures: Counter[str]) -> str:
        [(reason, _)] = failures.most_common(1)
        return f"{self._reference}: {failures.total()} of the first {self._seen} requests came to nothing: {reason}"

"""The chat-completions protocol: what a request sends, and what the answer to it says."""

import math
from collections.abc import Mapping
from typing import Any

from harness.backends.interfaces import ChatReply, ChatRequest
from harness.backends.judges import JudgeReference

THINKING_TOKENS = 16_384
"""Room to think before the reply, for models that count both in `max_completion_tokens`: with less than they need they
reply nothing, and what they thought is paid for all the same. An upper bound; only tokens that are used cost."""


class UnusableAnswer(Exception):
    """The endpoint answered, but there is no reply in it; with the tokens that it counts all the same, if it does."""

    def __init__(self, reason: str, prompt_tokens: int = 0, completion_tokens: int = 0) -> None:
        super().__init__(reason)
        self.prompt_tokens, self.completion_tokens = prompt_tokens, completion_tokens


def request_parameters(reference: JudgeReference, request: ChatRequest) -> dict[str, Any]:
    """What is sent beside the messages: the model and every parameter that the endpoint does not refuse."""
    wanted: dict[str, Any] = {"temperature": request.temperature}
    if request.top_logprobs and "logprobs" not in reference.without:
        wanted |= {"logprobs": True, "top_logprobs": request.top_logprobs}
    if "max_tokens" in reference.without:
        wanted["max_completion_tokens"] = request.max_tokens + THINKING_TOKENS
    else:
        wanted["max_tokens"] = request.max_tokens
    if request.top_p is not None and "temperature" not in reference.without:  # who refuses the one refuses the other
        wanted["top_p"] = request.top_p
    if request.seed is not None:
        wanted["seed"] = request.seed
    sent = {name: value for name, value in wanted.items() if name not in reference.without}
    return {"model": reference.model, **sent}


def request_body(reference: JudgeReference, request: ChatRequest) -> dict[str, Any]:
    """The whole JSON body of the request."""
    messages = [{"role": message.role, "content": message.content} for message in request.messages]
    return {**request_parameters(reference, request), "messages": messages}


def longest_reply(reference: JudgeReference, request: ChatRequest) -> int:
    """The most tokens that a reply to the request can be charged for."""
    return request.max_tokens + (THINKING_TOKENS if "max_tokens" in reference.without else 0)


def read_answer(body: Any) -> ChatReply:
    """The reply in the JSON body of an answer. Raises UnusableAnswer where there is none.

    A reply that was cut off or filtered before its first word is an empty one: asked again, it would be so again.
    """
    answer = _mapping(body)
    usage = _mapping(answer.get("usage"))
    tokens = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        raise UnusableAnswer("the answer has no choices", *tokens)
    choice = _mapping(choices[0])
    finish_reason = str(choice.get("finish_reason") or "stop")
    text = _mapping(choice.get("message")).get("content")
    if text is None and finish_reason in ("length", "content_filter"):
        text = ""
    if not isinstance(text, str):
        raise UnusableAnswer("the answer has no content", *tokens)
    return ChatReply(whole_characters(text), _first_token(choice.get("logprobs")), finish_reason, *tokens)


def whole_characters(text: str) -> str:
    """`text` with a question mark for each half of a surrogate pair, which JSON can hold and no file of ours can."""
    return text.encode("utf-8", "replace").decode()


def _first_token(logprobs: Any) -> dict[str, float] | None:
    """The alternatives to the first token; of a token that stands there twice (spelt in other bytes) the likelier."""
    tokens = _mapping(logprobs).get("content")
    if not isinstance(tokens, list) or not tokens:
        return None
    first = _mapping(tokens[0])
    alternatives = [_mapping(entry) for entry in first.get("top_logprobs") or [first]]
    found: dict[str, float] = {}
    for entry in alternatives:
        token, value = entry.get("token"), entry.get("logprob")
        if isinstance(token, str) and isinstance(value, int | float) and math.isfinite(value):
            found[token] = max(float(value), found.get(token, float(value)))
    return found or None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) else 0

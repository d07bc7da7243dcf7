"""The parts of an answer's first choice: what the model says, why it ended, and its first token's alternatives."""

import math
import sys
from collections.abc import Mapping
from typing import Any

VERY_UNLIKELY = -9999.0
"""The log-probability, which is none, that interfaces of OpenAI's kind give to whatever is very unlikely."""


REFUSAL, TOOL_CALL, THOUGHTS, FILTER = "refusal", "tool_calls", "thoughts", "content_filter"
"""Finish reasons of replies that are none: the model refuses, calls a tool, has thought and said nothing, or a content
filter withheld what it said."""

_CALLED = {
    "max_tokens": "length",
    "model_length": "length",
    "function_call": TOOL_CALL,
    "safety": FILTER,
    "prohibited_content": FILTER,
    "blocklist": FILTER,
    "recitation": FILTER,
    "sensitive": FILTER,
}
"""Other vendors' words for OpenAI's finish reasons."""


def read_message(message: Mapping[str, Any], finish_reason: str) -> tuple[str, str] | None:
    """Return (text, finish reason) of a choice; one that holds no text by intent has the finish reason that says so.

    The text of a refusal is the refusal. None where there is no text and nothing that says why.
    """
    ended = (finish_reason or "stop").lower()
    reason = FILTER if ended.startswith(FILTER) else _CALLED.get(ended, ended)
    content = message.get("content")
    text = _joined(content, "text") if isinstance(content, list) else content
    if isinstance(text, str) and text.strip():
        return text, reason
    refusal = message.get("refusal") or (_joined(content, "refusal") if isinstance(content, list) else "")
    if isinstance(refusal, str) and refusal.strip():
        return refusal, REFUSAL
    if reason not in ("length", FILTER, REFUSAL):
        if reason == TOOL_CALL or message.get("tool_calls") or message.get("function_call"):
            return "", TOOL_CALL
        if _thought(message):
            return "", THOUGHTS
        return (text, reason) if isinstance(text, str) else None
    return (text if isinstance(text, str) else "", reason)


def _joined(parts: list[Any], name: str) -> str:
    """Return the texts of the parts of a message that are called `name`; thinking is a part of another name."""
    texts = [part if isinstance(part, str) and name == "text" else mapping(part).get(name) for part in parts]
    return "".join(text for text in texts if isinstance(text, str))


def _thought(message: Mapping[str, Any]) -> bool:
    """Return whether the message holds a reasoning model's thoughts, by any vendor's name for them."""
    content = message.get("content")
    in_parts = isinstance(content, list) and any("think" in str(mapping(part).get("type")) for part in content)
    return in_parts or any(message.get(name) for name in ("reasoning_content", "reasoning", "thinking"))


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a JSON object as it is; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def first_token(logprobs: Any) -> dict[str, float] | None:
    """Return token -> log-probability of the alternatives, from a choice's `logprobs`.

    Of a token that is there twice (spelt in other bytes) the likelier counts.

    None where there are none, or not all of them can be read: with one left out, the others' shares would be wrong.
    The token sampled is no alternative by itself: of what else might have stood there it says nothing.
    """
    tokens = mapping(logprobs).get("content")
    alternatives = mapping(tokens[0]).get("top_logprobs") if isinstance(tokens, list) and tokens else None
    found: dict[str, float] = {}
    for entry in alternatives if isinstance(alternatives, list) else []:
        token, number = mapping(entry).get("token"), _log_probability(mapping(entry).get("logprob"))
        if not isinstance(token, str) or number is None:
            return None
        found[token] = max(number, found.get(token, number))
    return found or None


_ROUNDED = 0.05
"""How far above 0 rounding may bring a log-probability."""
_MAX_PROBABILITY_SUM = 1.5
"""What the probabilities of one token's alternatives may add up to: servers round, and some mix two models'."""


def can_be_log_probabilities(found: Mapping[str, float]) -> bool:
    """Return whether numbers can be the log-probabilities of alternatives; {} can.

    Some servers give probabilities or scores, or the same 0.0 to all.
    """
    return (
        all(value <= _ROUNDED for value in found.values())
        and sum(map(math.exp, found.values())) <= _MAX_PROBABILITY_SUM
    )


def _log_probability(value: Any) -> float | None:
    """Read a log-probability; None for what is no number, or no finite one above the least."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not value <= sys.float_info.max:
        return None
    return float(max(value, VERY_UNLIKELY))

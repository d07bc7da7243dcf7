"""The meaning of an endpoint's refusal: this one prompt, a parameter that can be left out, or everything.

Vendors agree on no code for either, so that their wordings are told by patterns; tests/endpoints/test_refusals.py has
them by vendor.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.endpoints.error_text import json_value
from harness.endpoints.known_models import Refusable

FILTERED = "the endpoint's content filter refuses the prompt"
TOO_LONG = "the prompt is too long for the model"
NO_ROOM = "the model's thinking took all the room that there is for a reply"

_LENGTH_CODES = {
    "context_length_exceeded",
    "string_above_max_length",
    "exceed_context_size_error",
    "request_too_large",
    "tokens_limit_reached",
}
_FILTER_CODES = {
    "content_filter",
    "content_policy_violation",
    "responsibleaipolicyviolation",
    "invalid_prompt",
    "data_inspection_failed",
    "datainspectionfailed",
    "prohibited_content",
}
_LENGTH_WORDS = re.compile(
    r"context[ _-]?(?:length|size|window|limit)"
    r"|maximum (?:model|input|prompt|sequence) length|max_(?:model|seq)_len"
    r"|(?:prompt|input|request|message|conversation|context)s?(?: body)?(?: is| are| was)? too (?:long|large)"
    r"|input token count|number of tokens|too many (?:input )?tokens|too large for model"
    r"|inputs`? (?:tokens|must have less than)|string too long|max_tokens must be at least 1, got -",
    re.IGNORECASE,
)
_FILTER_WORDS = re.compile(
    r"content[ _-]?filter|content[ _]?(?:management )?policy|ResponsibleAIPolicy|content exists risk"
    r"|usage (?:policy|policies|guidelines)|requires moderation|guardrail"
    r"|(?:input|prompt|request|content|message)s? (?:(?:was|were|is|has been|have been) )?(?:flagged|blocked|filtered)"
    r"|(?:inappropriate|unsafe|sensitive) (?:content|information|words)|safety (?:system|polic|filter|setting|reason)",
    re.IGNORECASE,
)
_OF_AN_ACCOUNT = re.compile(r"\b(?:account|organi[sz]ation|api key)\b", re.IGNORECASE)

_REASON_FIELDS = frozenset(
    [
        "code",
        "type",
        "status",
        "reason",
        "reasons",
        "message",
        "msg",
        "error",
        "detail",
        "details",
        "innererror",
        "inner_error",
        "metadata",
        "raw",
    ]
)
"""The fields in which an error tells what is wrong: others may repeat the prompt, which can say anything."""

_MAX_CHARACTERS = 4000

_PARAMETER = re.compile(r"(?<![a-z_])(?:top_)?(temperature|top_p|logprobs|max_(?:output_)?tokens)\b", re.IGNORECASE)
_CALLED: Mapping[str, Refusable] = {
    "temperature": "temperature",
    "top_p": "temperature",
    "logprobs": "logprobs",
    "max_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
}
"""What a parameter is left out by: who refuses top_p refuses the temperature, and goes by that."""

_ABOVE = re.compile(r"less than|greater than|above|at most|maximum|exceed|too (?:large|high)|<=", re.IGNORECASE)
_REFUSAL = re.compile(
    r"support|recogni|unknown|unexpected|deprecated|only\b|not (?:allowed|permitted|enabled|available)|cannot"
    r"|extra (?:inputs|fields)|invalid|must be|below|range|" + _ABOVE.pattern,
    re.IGNORECASE,
)
_MORE_ROOM = re.compile(r"model output limit was reached|higher max_tokens", re.IGNORECASE)
_SYSTEM_TURN = re.compile(
    r"\b(?:system|developer)['\"`]?[ _-](?:role|message|instruction|prompt|turn)s?\b"
    r".{0,40}(?:support|not (?:allowed|permitted|enabled)|unexpected)"
    r"|(?:support|accept|allow)\w* (?:the |a |any )?['\"`]?(?:system|developer)\b"
    r"|roles? must alternate|only (?:the )?['\"`]?user['\"`]?,? (?:and |or )['\"`]?(?:assistant|model)"
    r"|(?:unexpected|unknown|invalid|unsupported) (?:message )?role:? ?['\"`]?(?:system|developer)"
    r"|\b(?:system|developer)['\"`]? is not (?:one of|a valid|supported|allowed)",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class CommandOptions:
    """The command-line options that named the model that is asked: what errors advise to check."""

    model: str = "--judge-model"
    base_url: str = "--judge-base-url"
    refusal: str = "pass --judge-without {parameter}: a verdict's judge is then named without it"
    """How to leave a parameter out that the model refuses."""
    and_: str = " --judge-without "
    """What stands there between several."""

    @property
    def both(self) -> str:
        """Those that name model and endpoint."""
        return " and ".join(dict.fromkeys((self.model, self.base_url)))

    def leave_out(self, *parameters: Refusable) -> str:
        """Return the advice to leave parameters out."""
        return self.refusal.format(parameter=self.and_.join(parameters))


def refused_prompt(status: int, body: Any, without: tuple[str, ...] = ()) -> str:
    """Return why the endpoint refuses this one prompt: FILTERED, TOO_LONG, NO_ROOM; "" where it does not.

    `body` is the answer's text or the value of its JSON; `status` that of HTTP, or what an error within a whole answer
    gives as its own. `without` names what was left out of the request.
    """
    texts = list(error_texts(json_value(body)))
    words = "\n".join(texts)
    if status == 413 or (status == 429 and "request too large" in words.lower()):
        return TOO_LONG
    if status in (401, 402, 404, 429):
        return ""
    if _MORE_ROOM.search(words):
        return NO_ROOM if "max_tokens" in without else ""
    codes = {text.lower() for text in texts}
    if codes & _LENGTH_CODES:
        return TOO_LONG
    if codes & _FILTER_CODES:
        return FILTERED
    if _LENGTH_WORDS.search(words):
        return TOO_LONG
    is_filtered = status < 500 and _FILTER_WORDS.search(words) and not _OF_AN_ACCOUNT.search(words)
    return FILTERED if is_filtered else ""


def refused_parameter(
    status: int, parameter: str | None, message: str, without: tuple[str, ...] = ()
) -> Refusable | None:
    """Return the parameter that the endpoint refuses, as it says in `message` or names as the `parameter`.

    None where it refuses something else, or what is left out already, which `without` names.
    """
    refused = _refused(status, parameter if isinstance(parameter, str) else None, message)
    return None if refused in without else refused


def _refused(status: int, parameter: str | None, message: str) -> Refusable | None:
    if status not in (401, 404, 429) and _SYSTEM_TURN.search(message):  # 500 of servers whose template fails
        return "system"
    if status not in (400, 403, 404, 422):
        return None
    if _MORE_ROOM.search(message):
        return "max_tokens"
    named = _PARAMETER.search(parameter or message)
    if named is None or not _REFUSAL.search(message):
        return None
    refused = _CALLED[named[1].lower()]
    is_too_much = refused == "max_tokens" and _ABOVE.search(message)  # left out, more would be asked for
    return None if is_too_much else refused


def advice_on(refused: Refusable, message: str, options: CommandOptions) -> str:
    """Return how to mend that a parameter is refused."""
    if refused == "logprobs" and _ABOVE.search(message):
        return f"{options.leave_out(refused)}; or have its server allow as many (vLLM: --max-logprobs)"
    return options.leave_out(refused)


def error_texts(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield the texts in which the value of an error's JSON tells what is wrong, however deep."""
    if isinstance(value, str | int):
        yield str(value)[:_MAX_CHARACTERS]
    elif depth < 8 and isinstance(value, list):
        for item in value[:20]:
            yield from error_texts(item, depth + 1)
    elif depth < 8 and isinstance(value, Mapping):
        for name, item in value.items():
            if str(name).lower() in _REASON_FIELDS:
                yield from error_texts(item, depth + 1)

"""The API key: read from the environment, and kept out of everything that is written or shown."""

import html
import os
import re
from functools import cache
from typing import Any

from harness.backends.judge_models import is_local
from harness.backends.judges import JudgeReference
from harness.core.errors import UserError

VARIABLE = "OPENAI_API_KEY"
_PLACEHOLDER = "none"
_SHORTEST_SECRET = 8
"""Local servers are given keys like "EMPTY" or "x"; to strike those out would spoil replies and protect nothing."""
_STRUCK_OUT = f"[{VARIABLE}]"
_QUOTING = "\\%&"
"""What every other spelling of a letter has in it."""


def api_key(reference: JudgeReference) -> str:
    """The key for the judge's endpoint; servers on this machine need none.

    Raises UserError where it is missing, or no header could carry it (the SDK's own error would show it).
    """
    key = os.environ.get(VARIABLE, "").strip()
    if not key and is_local(reference):
        return _PLACEHOLDER
    if not key:
        raise UserError(f"{reference} needs a key: set {VARIABLE} in the environment")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UserError(f"{VARIABLE} holds blanks, line ends or letters that no key has: set it again")
    return key


def redact(text: str, key: str) -> str:
    """Return `text` with the key struck out, however it is spelt there.

    A server may quote the key in JSON, in JSON within JSON, in an URL or in a page; in each of them a letter has other
    spellings than itself.
    """
    if len(key) < _SHORTEST_SECRET:
        return text
    if not set(_QUOTING) & set(text):
        return text.replace(key, _STRUCK_OUT)
    return _spellings(key).sub(_STRUCK_OUT, text)


def redacted(value: Any, key: str) -> Any:
    """Return a JSON value with the key struck out of all its texts. Raises RecursionError for one that is too deep."""
    if isinstance(value, str):
        return redact(value, key)
    if isinstance(value, list):
        return [redacted(each, key) for each in value]
    if isinstance(value, dict):
        return {redact(name, key): redacted(each, key) for name, each in value.items()}
    return value


@cache
def _spellings(key: str) -> re.Pattern[str]:
    return re.compile("".join(map(_spelling, key)))


def _spelling(character: str) -> str:
    """What one letter of a key may look like: itself, escaped (`\\/`), by its number (`\\u0073`, `%73`, `&#115;`)."""
    digits = "".join(f"[{digit}{digit.upper()}]" for digit in f"{ord(character):02x}")
    named = re.escape(html.escape(character))
    return (
        rf"(?:\\{{0,8}}{re.escape(character)}|\\{{1,8}}(?:u00|x){digits}|%(?:25){{0,4}}{digits}"
        rf"|&(?:amp;){{0,4}}#(?:0{{0,6}}{ord(character)}|[xX]0{{0,6}}{digits});|{named})"
    )

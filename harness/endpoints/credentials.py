"""The API key: read from the environment, and kept out of everything that is written or shown."""

import base64
import html
import os
import re
from functools import cache
from typing import Any

from harness.endpoints.known_models import is_local
from harness.endpoints.reference import EndpointReference
from harness.errors import UserError

VARIABLE = "OPENAI_API_KEY"
_PLACEHOLDER = "none"
_SHORTEST_SECRET = 8
"""Local servers are given keys like "EMPTY" or "x"; to strike those out would spoil replies and protect nothing."""
_STRUCK_OUT = f"[{VARIABLE}]"
_QUOTING = "\\%&"
"""What every other spelling of a letter has in it."""


def api_key(reference: EndpointReference) -> str:
    """Return the key for the judge's endpoint; servers on this machine need none.

    Raises UserError where it is missing, or no header could carry it (the SDK's own error would show it).
    """
    key = os.environ.get(VARIABLE, "").strip()
    if not key and is_local(reference):
        return _PLACEHOLDER
    if not key:
        raise UserError(f"{reference} needs a key: set {VARIABLE} in the environment")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UserError(f"{VARIABLE} contains blanks, line ends or characters that a key cannot have: set it again")
    require_no_key_in(reference)
    return key


def require_no_key_in(reference: EndpointReference) -> EndpointReference:
    """Return the reference, which is shown and written into results. Raises UserError where it holds the API key."""
    if redact(str(reference), os.environ.get(VARIABLE, "").strip()) != str(reference):
        raise UserError(f"a model's name or base URL holds the key in {VARIABLE}; they are written into results")
    return reference


def redact(text: str, key: str) -> str:
    """Return `text` with the key struck out, however it is spelt there.

    A server may quote the key in JSON, in JSON within JSON, in an URL or in a page; in each of them a letter has other
    spellings than itself. It may also encode it as a whole.
    """
    if len(key) < _SHORTEST_SECRET:
        return text
    text = _encodings(key).sub(_STRUCK_OUT, text)
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
def _encodings(key: str) -> re.Pattern[str]:
    """Match the key in hexadecimal digits, and in base64, where what stands before it shifts the letters."""
    data = key.encode()
    texts = [re.sub("[a-f]", lambda digit: f"[{digit[0]}{digit[0].upper()}]", data.hex())]
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + data).decode()
        own_letters = encoded[(8 * shift + 5) // 6 : 8 * (shift + len(data)) // 6]  # that are of the key alone
        texts.append(own_letters.replace("+", "[+-]").replace("/", "[/_]"))
    return re.compile("|".join(texts))


@cache
def _spellings(key: str) -> re.Pattern[str]:
    return re.compile("".join(map(_spelling, key)))


def _spelling(character: str) -> str:
    """Match one letter of a key: itself, escaped, or by its number.

    These are `\\/`, `\\u0073`, `\\u{73}`, `\\163`, `%73`, `%u0073` and `&#115;`.
    """
    digits = "".join(f"[{digit}{digit.upper()}]" for digit in f"{ord(character):02x}")
    named = re.escape(html.escape(character))
    numbered = rf"u00{digits}|u\{{0{{0,4}}{digits}\}}|x{digits}|0?{ord(character):o}"
    return (
        rf"(?:\\{{0,8}}{re.escape(character)}|\\{{1,8}}(?:{numbered})"
        rf"|%(?:25){{0,4}}(?:u00)?{digits}"
        rf"|&(?:amp;){{0,4}}#(?:0{{0,6}}{ord(character)}|[xX]0{{0,6}}{digits});|{named})"
    )

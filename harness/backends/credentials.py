"""The API key: read from the environment, and kept out of everything that is written or shown."""

import os

from harness.backends.judge_models import is_local
from harness.backends.judges import JudgeReference
from harness.core.errors import UserError

VARIABLE = "OPENAI_API_KEY"
_PLACEHOLDER = "none"
_SHORTEST_SECRET = 8
"""Local servers are given keys like "EMPTY" or "x"; to strike those out would spoil replies and protect nothing."""


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
    """`text` as the endpoint sent it, with the key struck out should it be in there."""
    return text.replace(key, f"[{VARIABLE}]") if len(key) >= _SHORTEST_SECRET else text

"""The reading of a rating in a judge's reply, as FastChat's run_judge_single has it."""

import re

from harness.endpoints.reply_faults import without_thinking

READING_VERSION = 1
"""Part of the fingerprint of every judge: raise it when a reading changes."""

# ASCII digits: \d takes those of other scripts, too, which the official tool cannot read and stops at.
_RATING = re.compile(r"\[\[([0-9]+\.?[0-9]*)\]\]")
_LOOSE_RATING = re.compile(r"\[([0-9]+\.?[0-9]*)\]")


def read_rating(reply: str) -> float | None:
    """Return the first number in double brackets, else the first in single ones; None without either.

    A number outside 1 to 10 is a rating, too, as in the official tool. What a reasoning model thinks before it replies
    is not looked at.
    """
    answer = without_thinking(reply)
    found = _RATING.search(answer) or _LOOSE_RATING.search(answer)
    return float(found[1]) if found else None

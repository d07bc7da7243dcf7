"""The reading of a judge's reply.

Each reading follows the benchmark's own tool; where that is wrong, the comment at the place says how and what we do.
tests/steps/nasty_replies.yaml lists replies of many kinds with their reading.
"""

import ast
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.endpoints.answer_parts import VERY_UNLIKELY
from harness.endpoints.reply_faults import without_thinking
from harness.records import MIRRORED_LABELS, WIN_OF_FIRST, VerdictState, official_label

PARSER_VERSION = 4
"""Part of the fingerprint of every judge behind an endpoint: raise it when a reading changes."""

EMBEDDED_PARSER_VERSION = 3
"""The same of the embedded judge, which replies with official labels and both identifiers' probabilities alone: raise
it when their reading changes."""

IDENTIFIERS = ("m", "M")
"""What AlpacaEval 2.0's judge calls the first and the second output."""

_LABELS = "|".join([*WIN_OF_FIRST, *MIRRORED_LABELS])
_LABEL = re.compile(rf"\[\[({_LABELS})\]\]")
_SINGLE_LABEL = re.compile(rf"\[({_LABELS})\]")

RANKED = ("model_1", "model_2")
"""What a judge that ranks two models calls the first and the second output (alpaca_eval's alpaca_eval_gpt4_0613)."""

_LIST = re.compile(r"\[.*\]", re.DOTALL)

# An identifier with blanks or marks around it, as in " m", "M." and '"m"'.
_MARKS = r"[\s.,:;!()\[\]\"'“”‘’`*_]*"
_SPELLED_IDENTIFIER = re.compile(rf"{_MARKS}([mM]){_MARKS}")


@dataclass(frozen=True, slots=True)
class Reading:
    """The content of a reply: its label in the judge's own frame, and AlpacaEval's preference for the first output."""

    state: VerdictState
    verdict: str = ""
    first_preference: float | None = None
    asks_again: bool = False
    """Whether a second attempt is due: no label was found (two that contradict each other are an answer)."""


def read_identifier(reply: str, log_probabilities: Mapping[str, float] | None) -> Reading:
    """Read by AlpacaEval 2.0's rule: the share of probability that identifier m (the first output) has beside M.

    `log_probabilities` are those of the alternatives to the reply's first token. Where there are none, the identifier
    that `reply` consists of counts whole; the verdict is the likelier one.
    """
    first_preference = _share_of_first(log_probabilities) if log_probabilities else _sampled_first(reply)
    if first_preference is None:
        return Reading("parse_failed")
    return Reading("ok", IDENTIFIERS[first_preference < 0.5], first_preference)


def read_label(reply: str) -> Reading:
    """Read by Arena-Hard v0.1's rule (get_score of gen_judgment.py): the one label in double brackets, however often.

    Two different labels are no verdict, and final; a reply without a label gets a second attempt. A label the other
    way round, such as [[B<A]], is the official one that says the same.
    """
    # The tool's pattern takes any letters A, B and signs <, >, = for a label: after [[AB]] it asks no second time and
    # then drops the game, and [[B]] beside [[B>A]] counts as a contradiction. Only the five labels, either way round,
    # are labels here. Labels that a judge weighs while it thinks are not its verdict.
    labels = {official_label(label) for label in _LABEL.findall(without_thinking(reply))}
    return Reading("ok", labels.pop()) if len(labels) == 1 else Reading("parse_failed", asks_again=not labels)


def read_last_label(reply: str) -> Reading:
    """Read by Arena-Hard v2.0's rule (get_score of gen_judgment.py): the last label in double brackets, in either case,
    or else the last one in single brackets."""
    # What a judge weighs while it thinks is no verdict, and, unlike for the tool, [[AB]] is no label.
    text = without_thinking(reply).upper()
    for pattern in (_LABEL, _SINGLE_LABEL):
        if labels := pattern.findall(text):
            return Reading("ok", official_label(labels[-1]))
    return Reading("parse_failed")


def read_ranking(reply: str) -> Reading:
    """Read by alpaca_eval's ranking_parser: a list of {'model': ..., 'rank': ...}, as the label that says the same.

    A shared rank is a draw. Where there is no such list, a label in double brackets counts, which a judge is asked for
    whose prompt has no ranking.
    """
    # The tool looks at the rank of model_1 alone, and takes nothing but the list: words and fences around it fail.
    first, second = (_ranks(without_thinking(reply)).get(model) for model in RANKED)
    if first not in (1, 2):
        return read_label(reply)
    return Reading("ok", "A=B" if first == second else "A>B" if first == 1 else "B>A")


def _ranks(reply: str) -> dict[str, Any]:
    """Return the ranks that a reply gives, by model; none where it has no ranking."""
    found = _LIST.search(reply)
    try:
        rows = ast.literal_eval(found[0]) if found else []
        return {row["model"]: row["rank"] for row in reversed(rows)}
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError):
        return {}


def _share_of_first(log_probabilities: Mapping[str, float]) -> float | None:
    """Return the first identifier's share; None where neither is an alternative, or a value is no log-probability."""
    spelled = {token: value for token, value in log_probabilities.items() if _identifier(token)}
    if any(math.isnan(value) or value == math.inf for value in spelled.values()):
        return None
    possible = {token: value for token, value in spelled.items() if value > VERY_UNLIKELY}
    if not possible:  # alpaca_eval: NaN, or 0.5 where both are given as very unlikely, of which nothing is known
        return None
    likeliest = max(possible.values())
    weights = {token: math.exp(value - likeliest) for token, value in possible.items()}
    exact = {token: weight for token, weight in weights.items() if token in IDENTIFIERS}
    # alpaca_eval counts the tokens "m" and "M" alone, and what is not among the alternatives as impossible. So do we,
    # unless the judge mostly spells its answer otherwise, such as " m": then that is what it says.
    counted = exact if 2 * sum(exact.values()) >= sum(weights.values()) else weights
    first = sum(weight for token, weight in counted.items() if _identifier(token) == IDENTIFIERS[0])
    return first / sum(counted.values())


def _sampled_first(reply: str) -> float | None:
    """Return 1 for a reply that is the first identifier and nothing else, 0 for the second, None for any other."""
    identifier = _identifier(without_thinking(reply))
    return float(identifier == IDENTIFIERS[0]) if identifier else None


def _identifier(text: str) -> str:
    """Return the identifier that `text` spells, "" for none."""
    spelled = _SPELLED_IDENTIFIER.fullmatch(text)
    return spelled[1] if spelled else ""

"""What a judge's reply says."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from harness.core.records import State

PARSER_VERSION = 3
"""Part of what a recorded reply is found by, and of every judge's fingerprint: raise it when a reading changes."""

_LABEL = re.compile(r"\[\[(A>>B|A>B|A=B|B>A|B>>A)\]\]")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reply says: its label in the judge's own frame, and AlpacaEval's preference for the first output."""

    state: State
    verdict: str = ""
    first_preference: float | None = None
    asks_again: bool = False
    """Whether a second attempt is due: no label was found (two that contradict each other are an answer)."""


def read_identifier(reply: str, log_probabilities: Mapping[str, float] | None) -> Reading:
    """AlpacaEval 2.0: the share of probability that identifier m (the first output) has beside M."""
    label = reply.strip()
    if log_probabilities and {"m", "M"} & log_probabilities.keys():
        first, second = (log_probabilities.get(identifier, -math.inf) for identifier in "mM")
        return Reading("ok", label, 0.5 * (1 + math.tanh((first - second) / 2)))
    if label in ("m", "M"):
        return Reading("ok", label, float(label == "m"))
    return Reading("parse_failed")


def read_label(reply: str) -> Reading:
    """Arena-Hard v0.1: the one label in double brackets; two different ones are no verdict."""
    labels = set(_LABEL.findall(reply))
    return Reading("ok", labels.pop()) if len(labels) == 1 else Reading("parse_failed", asks_again=not labels)

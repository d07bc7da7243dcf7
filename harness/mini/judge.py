"""The judge: Bradley-Terry on gold quality, with a verbosity bias, a position bias and noise.

It is asked as a language model would be, by a prompt that shows a request and two answers, and it replies in either
official form: AlpacaEval's one-token preference with log-probabilities, or Arena-Hard's five verdicts.
"""

import math
import re
from dataclasses import dataclass
from statistics import NormalDist

from harness.mini.quality import gold_quality
from harness.mini.world import unit_hash

JUDGE_VERSION = 1
VERDICTS = ("B>>A", "B>A", "A=B", "A>B", "A>>B")
VERDICT_BOUNDS = (-2.0, -0.4, 0.4, 2.0)  # on the logit that A is better; between them lie the five verdicts
_SECTION = re.compile(r"^\[(request|output m|output M|assistant A|assistant B|question)\]$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MiniJudge:
    """The judge's tastes; the defaults are the world's judge, other values serve tests of the statistics."""

    quality_slope: float = 8.0  # logits for a whole point of gold quality
    verbosity_bias: float = 0.5  # logits for each factor e in the number of words
    position_bias: float = 0.15  # logits in favour of the answer shown first
    noise: float = 0.6  # standard deviation, in logits; fixed for a given prompt and repeat

    def logit(self, request: str, first: str, second: str, repeat: int = 0) -> float:
        """Return the judge's log-odds that `first` is better, noise included; asked again, the noise is drawn anew."""
        quality = self.quality_slope * (gold_quality(request, first) - gold_quality(request, second))
        words = math.log(max(1, len(first.split())) / max(1, len(second.split())))
        again = (str(repeat),) if repeat else ()
        surprise = NormalDist().inv_cdf(max(1e-12, unit_hash("judge", request, first, second, *again)))
        return quality + self.verbosity_bias * words + self.position_bias + self.noise * surprise

    def reply(self, message: str, repeat: int = 0) -> tuple[str, dict[str, float] | None]:
        """Return the reply to a judging prompt and, for AlpacaEval's, the log-probabilities of the two identifiers.

        Raises ValueError where the prompt does not show a request and two answers.
        """
        parts = _SECTION.split(message)
        sections = {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}
        if {"request", "output m", "output M"} <= sections.keys():
            return _as_identifier(self.logit(sections["request"], sections["output m"], sections["output M"], repeat))
        if {"request", "assistant A", "assistant B"} <= sections.keys():
            return _as_verdict(
                self.logit(sections["request"], sections["assistant A"], sections["assistant B"], repeat)
            )
        raise ValueError("the mini judge needs the judging prompts of the scale mini")


def _as_identifier(logit: float) -> tuple[str, dict[str, float]]:
    log_probabilities = {"m": -math.log1p(math.exp(-logit)), "M": -math.log1p(math.exp(logit))}
    return max(log_probabilities, key=log_probabilities.__getitem__), log_probabilities


def _as_verdict(logit: float) -> tuple[str, None]:
    verdict = VERDICTS[sum(logit > bound for bound in VERDICT_BOUNDS)]
    return f"My final verdict is: [[{verdict}]]", None

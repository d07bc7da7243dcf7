"""The judge: Bradley-Terry on gold quality for two answers, a grade from 1 to 10 for one, with stated biases and noise.

It is asked as a language model would be, by a prompt that shows a request and one or two answers, and it replies in an
official form: AlpacaEval's one-token preference with log-probabilities, Arena-Hard's five verdicts, MT-Bench's rating.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

from harness.mini.quality import gold_quality
from harness.mini.world import unit_hash

JUDGE_VERSION = 2
VERDICTS = ("B>>A", "B>A", "A=B", "A>B", "A>>B")
VERDICT_BOUNDS = (-2.0, -0.4, 0.4, 2.0)  # on the logit that A is better; between them lie the five verdicts
SECTIONS = (
    *("request", "earlier request", "earlier answer", "reference", "question"),
    *("output m", "output M", "assistant A", "assistant B", "answer"),
)
"""The parts of a judging prompt, each below a line with its name in brackets."""
_SECTION = re.compile(rf"^\[({'|'.join(SECTIONS)})\]$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MiniJudge:
    """The judge's tastes; the defaults are the world's judge, other values serve tests of the statistics."""

    quality_slope: float = 8.0  # logits for a whole point of gold quality
    verbosity_bias: float = 1.45  # logits for each factor e in the number of words
    position_bias: float = 0.15  # logits in favour of the answer shown first
    noise: float = 0.6  # standard deviation, in logits; fixed for a given prompt and repeat
    grade_slope: float = 9.0  # grades for a whole point of gold quality
    grade_verbosity_bias: float = 0.5  # grades for each factor e in the number of words, above or below twenty
    grade_leniency: float = 0.5  # grades, where no reference answer is shown
    grade_noise: float = 1.0  # standard deviation, in grades; half of it where a reference answer is shown

    def logit(self, request: str, first: str, second: str, repeat: int = 0, history: tuple[str, ...] = ()) -> float:
        """Return the judge's log-odds that `first` is better, noise included; asked again, the noise is drawn anew."""
        quality = self.quality_slope * (gold_quality(request, first, history) - gold_quality(request, second, history))
        words = math.log(max(1, len(first.split())) / max(1, len(second.split())))
        surprise = _surprise("judge", *history, request, first, second, repeat=repeat)
        return quality + self.verbosity_bias * words + self.position_bias + self.noise * surprise

    def grade(
        self, request: str, answer: str, *, has_reference: bool, repeat: int = 0, history: tuple[str, ...] = ()
    ) -> int:
        """Return the judge's grade of an answer, 1 to 10."""
        grade = 1 + self.grade_slope * gold_quality(request, answer, history)
        grade += self.grade_verbosity_bias * math.log(max(1, len(answer.split())) / 20)
        grade += 0 if has_reference else self.grade_leniency
        noise = self.grade_noise / (2 if has_reference else 1)
        return min(10, max(1, round(grade + noise * _surprise("grade", *history, request, answer, repeat=repeat))))

    def reply(self, message: str, repeat: int = 0) -> tuple[str, dict[str, float] | None]:
        """Return the reply to a judging prompt and, for AlpacaEval's, the log-probabilities of the two identifiers.

        Raises ValueError where the prompt does not show a request and one or two answers.
        """
        sections = _sections(message)
        for (first, second), form in (
            (("output m", "output M"), _as_identifier),
            (("assistant A", "assistant B"), _as_verdict),
        ):
            if {"request", first, second} <= sections.keys():
                shown = (sections["request"], sections[first], sections[second])
                return form(self.logit(*shown, repeat, _history(sections)))
        if {"request", "answer"} <= sections.keys():
            return self._rating(sections, repeat)
        raise ValueError("the mini judge needs the judging prompts of the scale mini")

    def _rating(self, sections: Mapping[str, str], repeat: int) -> tuple[str, None]:
        grade = self.grade(
            sections["request"],
            sections["answer"],
            has_reference="reference" in sections,
            repeat=repeat,
            history=_history(sections),
        )
        return f"Rating: [[{grade}]]", None


def _sections(message: str) -> dict[str, str]:
    """Read the parts of a judging prompt: of two of one name the first with words, so that no answer can replace it."""
    parts, sections = _SECTION.split(message), dict[str, str]()
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        sections[name] = sections.get(name) or text.strip()
    return sections


def _history(sections: Mapping[str, str]) -> tuple[str, ...]:
    return (sections["earlier request"],) if "earlier request" in sections else ()


def _surprise(*parts: str, repeat: int) -> float:
    """Return a standard normal number that is always the same for these words; asked again, another."""
    again = (str(repeat),) if repeat else ()
    return NormalDist().inv_cdf(max(1e-12, unit_hash(*parts, *again)))


def _as_identifier(logit: float) -> tuple[str, dict[str, float] | None]:
    log_probabilities = {"m": -math.log1p(math.exp(-logit)), "M": -math.log1p(math.exp(logit))}
    return max(log_probabilities, key=log_probabilities.__getitem__), log_probabilities


def _as_verdict(logit: float) -> tuple[str, dict[str, float] | None]:
    verdict = VERDICTS[sum(logit > bound for bound in VERDICT_BOUNDS)]
    return f"My final verdict is: [[{verdict}]]", None

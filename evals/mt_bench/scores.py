"""MT-Bench's scores, from grades: the mean of each turn and of both, by category too.

A question is graded twice, once a turn; both grades are of one conversation, so an interval resamples questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evals import scoring
from evals.base import ItemResults, Metric
from evals.mt_bench.settings import FIRST_TURN, SECOND_TURN, TURNS
from harness.errors import UserError

if TYPE_CHECKING:
    from evals.stats.bootstrap import Statistic

UNIT = "points of 10"
AVERAGE = Metric("average", unit=UNIT)
METRICS = (Metric("first_turn", unit=UNIT), Metric("second_turn", unit=UNIT), AVERAGE)
"""`average` is the mean of all grades, as in FastChat's show_result.py: that of both turns' means where no grade is
missing."""

_TURNS_OF: Mapping[str, tuple[int, ...]] = {
    "first_turn": (FIRST_TURN,),
    "second_turn": (SECOND_TURN,),
    "average": TURNS,
}


@dataclass(frozen=True, slots=True)
class TurnRating:
    """A grade as it is scored; `rating` is None for a failed one."""

    question: str
    category: str
    turn: int
    rating: float | None


@dataclass(frozen=True)
class Grades(ItemResults):
    """One set of grades by question, all repeats of them together; failed ones are left out."""

    ratings: Sequence[TurnRating]
    metrics: Sequence[Metric] = field(default=METRICS)

    @property
    def items(self) -> Sequence[str]:
        """The questions with a grade."""
        return list(dict.fromkeys(each.question for each in self._rated()))

    @property
    def n_results(self) -> int:
        """The number of grades."""
        return len(self._rated())

    def statistic(self, metric: str, items: Sequence[str]) -> Statistic:
        """Return the mean of the grades of a metric's turns on questions: their sum over their number."""
        import numpy as np

        from evals.stats.bootstrap import mean_over_groups

        place = {question: position for position, question in enumerate(items)}
        total, number = np.zeros(len(items)), np.zeros(len(items))
        for each in self._rated(_TURNS_OF[metric]):
            if each.question in place:
                total[place[each.question]] += each.rating
                number[place[each.question]] += 1
        return mean_over_groups(total, number)

    def withheld(self, metric: str, items: Sequence[str], *, allow_missing: bool) -> str | None:
        """Return why there is no such metric: no grade of its turns on any of the questions."""
        wanted = set(items)
        if any(each.question in wanted for each in self._rated(_TURNS_OF[metric])):
            return None
        return f"no grade counts towards {metric}"

    def of_category(self, category: str) -> Grades:
        """Return the grades of one category's questions."""
        return Grades([each for each in self.ratings if each.category == category], (AVERAGE,))

    def _rated(self, turns: Sequence[int] = TURNS) -> list[TurnRating]:
        return [each for each in self.ratings if each.turn in turns and each.rating is not None]


def grades_asked(n_questions: int, repeats: int) -> int:
    """Count the grades that are wanted: one a turn."""
    return len(TURNS) * n_questions * repeats


def score_grades(sets: Sequence[Grades], *, n_questions: int, repeats: int = 1, **rules: Any) -> dict[str, Any]:
    """Return `scoring.score` of one method, one set of grades a training seed, and `by_category`: the average of each,
    with its interval.

    Raises UserError where there are more questions than `n_questions`.
    """
    _require_no_more(sets, n_questions)
    asked, items = grades_asked(n_questions, repeats), scoring.all_items(sets)
    scores = scoring.score(sets, asked=asked, items=items, **rules)
    return scores | {"by_category": {} if scores["withheld"] else _by_category(sets, rules)}


def score_one(grades: Grades, **of: Any) -> dict[str, Any]:
    """Score one set of grades by the rules of `score_grades`: each metric by its name, `ci95` by metric, the counts.

    One question alone has no interval.
    """
    scores = score_grades([grades], **of)
    ci95 = scores["ci95"] if len(grades.items) > 1 else dict.fromkeys(scores["ci95"])
    others = {name: scores[name] for name in ("n_asked", "n_missing", "withheld", "by_category", "resamples", "seed")}
    return {**scores["mean"], "ci95": ci95, **others}


def _by_category(sets: Sequence[Grades], rules: Mapping[str, Any]) -> dict[str, Any]:
    categories = dict.fromkeys(each.category for grades in sets for each in grades.ratings if each.category)
    found = {name: _average([grades.of_category(name) for grades in sets], rules) for name in categories}
    return {name: average for name, average in found.items() if average}


def _average(sets: Sequence[Grades], rules: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the average of one category with its interval; None where a training seed has no grade in it."""
    if not all(grades.items for grades in sets):
        return None
    items = scoring.all_items(sets)
    scores = scoring.score(sets, asked=0, items=items, **rules)
    ci95 = scores["ci95"][AVERAGE.name] if len(items) > 1 else None
    return {"value": scores["mean"][AVERAGE.name], "ci95": ci95}


def _require_no_more(sets: Iterable[Grades], n_questions: int) -> None:
    graded = len({each.question for grades in sets for each in grades.ratings})
    if graded > n_questions:
        raise UserError(f"{graded} questions are graded, but the set has {n_questions}")

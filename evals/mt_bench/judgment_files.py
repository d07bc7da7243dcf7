"""Stored grades in FastChat's format: compared, and scored with what the files tell of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.base import RESAMPLES, Metric, StoredVerdicts, VerdictFiles
from evals.mt_bench.files import StoredGrade, official_category, read_grades
from evals.mt_bench.questions import PUBLISHED
from evals.mt_bench.scores import METRICS, Grades, TurnRating, score_one
from evals.withholding import COMPLETE_FILE


class GradeFiles(VerdictFiles):
    """Files of grades, one line an answer."""

    @property
    def metrics(self) -> Sequence[Metric]:
        """The means of the turns, and of both."""
        return METRICS

    def read(self, path: Path) -> StoredVerdicts:
        """Return the grades in a file. Raises UserError for a file that is wrong."""
        grades = read_grades(path)
        results, note = Grades(ratings_of(grades)), contradictions(grades) or ""
        return StoredVerdicts(path, grades[0].model, grades[0].judge, results, note=note)

    def score(self, path: Path) -> Mapping[str, Any]:
        """Return the scores of the grades in a file. Raises UserError for a file that is wrong."""
        grades = read_grades(path)
        n_graded = len({grade.question_id for grade in grades})
        own = all(official_category(grade.question_id) for grade in grades)
        others = None if own else "on questions of other numbers than its own"
        rules = {"resamples": RESAMPLES, "allow_missing": self._options.allow_missing, "mend": COMPLETE_FILE}
        return {
            "model": grades[0].model,
            "judge": grades[0].judge or None,
            "departure": PUBLISHED.departure_of_file(
                n_graded if own else PUBLISHED.n_items, grades[0].judge, "", others
            ),
            "contradictions": contradictions(grades),
            "metrics": [metric.name for metric in METRICS],
            **score_one(
                Grades(ratings_of(grades)), n_questions=max(n_graded, PUBLISHED.n_items if own else 0), **rules
            ),
        }


def ratings_of(grades: Sequence[StoredGrade]) -> list[TurnRating]:
    """Return the grades as they are scored: the stored score counts, as in FastChat's show_result.py."""
    return [TurnRating(each.question_id, each.category, each.turn, each.rating) for each in grades]


def contradictions(grades: Sequence[StoredGrade]) -> str | None:
    """Say how many stored scores their judgment's text contradicts, with the first of them; None for none."""
    found = [grade for grade in grades if grade.contradicts_its_text]
    if not found:
        return None
    first = found[0]
    return (
        f"the stored score is not the rating in the judgment's text in {len(found)} of {len(grades)} grades, first in"
        f" question {first.question_id}, turn {first.turn}; the stored scores count"
    )

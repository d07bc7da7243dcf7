"""Stored verdicts in the current layout of Arena-Hard's tool: compared, and scored with what the files tell of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.arena_hard.files import ArenaJudgment, read_judgments
from evals.arena_hard_v2.scores import BASELINES, METRICS, PUBLISHED, CategoryGames, score_judgments
from evals.base import Metric, StoredVerdicts, VerdictFiles
from evals.withholding import COMPLETE_FILE
from harness.steps.question_categories import CATEGORIES


class CategoryJudgmentFiles(VerdictFiles):
    """Files of judgments, one line a question, with the question's category."""

    @property
    def metrics(self) -> Sequence[Metric]:
        """Both categories, with and without style control."""
        return METRICS

    def read(self, path: Path) -> StoredVerdicts:
        """Return the verdicts in a file. Raises UserError for a file that is wrong."""
        rows = read_judgments(path, CATEGORIES)
        return StoredVerdicts(path, rows[0].model, rows[0].judge, CategoryGames(rows), baseline=_baselines(rows))

    def score(self, path: Path) -> Mapping[str, Any]:
        """Return the scores of the verdicts in a file. Raises UserError for a file that is wrong."""
        rows = read_judgments(path, CATEGORIES)
        judge, baselines = rows[0].judge, _baselines(rows)
        usual = ", ".join(BASELINES[name] for name in CATEGORIES if any(row.category == name for row in rows))
        against = PUBLISHED.baseline if baselines == usual else baselines
        return {
            "model": rows[0].model,
            "baseline": baselines or None,
            "judge": judge or None,
            "departure": PUBLISHED.departure_of_file(len(rows), judge, against),
            "metrics": [metric.name for metric in METRICS],
            **score_judgments(rows, allow_missing=self._options.allow_missing, mend=COMPLETE_FILE),
        }


def _baselines(rows: Sequence[ArenaJudgment]) -> str:
    """Return the baselines that the judgments name, in the order of the categories; "" where none does."""
    named = ((row.baseline for row in rows if row.category == name and row.baseline) for name in CATEGORIES)
    return ", ".join(filter(None, (next(names, "") for names in named)))

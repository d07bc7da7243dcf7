"""Stored verdicts in Arena-Hard's format: compared, and scored with what the files tell of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.arena_hard.files import ArenaJudgment, read_judgments
from evals.arena_hard.scores import METRICS, PUBLISHED, Games, score_judgments
from evals.base import Metric, StoredVerdicts, VerdictFiles
from evals.withholding import COMPLETE_FILE


class JudgmentFiles(VerdictFiles):
    """Files of judgments, one line a question."""

    @property
    def metrics(self) -> Sequence[Metric]:
        """The score."""
        return METRICS

    def read(self, path: Path) -> StoredVerdicts:
        """Return the verdicts in a file. Raises UserError for a file that is wrong."""
        rows = read_judgments(path)
        return StoredVerdicts(path, rows[0].model, rows[0].judge, Games(rows), baseline=_baseline(rows))

    def score(self, path: Path) -> Mapping[str, Any]:
        """Return the score of the verdicts in a file. Raises UserError for a file that is wrong."""
        rows = read_judgments(path)
        judge = rows[0].judge
        baseline = _baseline(rows)
        return {
            "model": rows[0].model,
            "baseline": baseline or None,
            "judge": judge or None,
            "departure": PUBLISHED.departure_of_file(len(rows), judge, baseline),
            **score_judgments(rows, allow_missing=self._options.allow_missing, mend=COMPLETE_FILE),
        }


def _baseline(rows: Sequence[ArenaJudgment]) -> str:
    """Return the baseline that any of the judgments names; "" where none does."""
    return next((row.baseline for row in rows if row.baseline), "")

"""IFEval's four accuracies, and the two means of them that tools print.

- By prompt, a prompt counts as right if all of its instructions are followed; by instruction, all instructions of all
  prompts are pooled. Loosely, an answer may have a first or last line, or asterisks, too many (Zhou et al. 2023,
  section 3).
- lm-eval prints the four; the Open LLM Leaderboard, version 2, `mean_strict`, the mean of both strict ones;
  inspect_evals `mean_of_four`, as its final_acc.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from evals.base import ItemResults, Metric
from evals.ifeval.checks import FollowedInstructions

if TYPE_CHECKING:
    from evals.stats.bootstrap import Statistic

Level = Literal["prompt", "inst"]
Manner = Literal["strict", "loose"]
ACCURACIES: Mapping[str, tuple[Level, Manner]] = {
    "prompt_level_strict_acc": ("prompt", "strict"),
    "inst_level_strict_acc": ("inst", "strict"),
    "prompt_level_loose_acc": ("prompt", "loose"),
    "inst_level_loose_acc": ("inst", "loose"),
}
"""By lm-eval's names."""
MEANS: Mapping[str, Sequence[str]] = {
    "mean_strict": ("prompt_level_strict_acc", "inst_level_strict_acc"),
    "mean_of_four": tuple(ACCURACIES),
}
METRICS = tuple(map(Metric, (*ACCURACIES, *MEANS)))


@dataclass(frozen=True, slots=True)
class FollowedResults(ItemResults):
    """The prompts that have an answer, each with which instructions it follows."""

    rows: Mapping[str, FollowedInstructions]
    metrics: Sequence[Metric] = METRICS

    @property
    def items(self) -> Sequence[str]:
        """The prompts with an answer."""
        return list(self.rows)

    def statistic(self, metric: str, items: Sequence[str]) -> Statistic:
        """Return an accuracy or a mean of accuracies, in per cent: prompts are drawn, with all their instructions."""
        if metric in ACCURACIES:
            return self._accuracy(*ACCURACIES[metric], items)
        from evals.stats.bootstrap import average_statistic

        return average_statistic([self._accuracy(*ACCURACIES[name], items) for name in MEANS[metric]])

    def _accuracy(self, level: Level, manner: Manner, items: Sequence[str]) -> Statistic:
        import numpy as np

        from evals.stats.bootstrap import ratio_statistic

        followed = [(getattr(self.rows[item], manner)) or () for item in items]
        if level == "prompt":
            return ratio_statistic(np.array([float(all(each)) for each in followed]), np.ones(len(followed)))
        right, asked = ([float(count(each)) for each in followed] for count in (sum, len))
        return ratio_statistic(np.array(right), np.array(asked))


def followed_results(rows: Iterable[FollowedInstructions]) -> FollowedResults:
    """Return the results in rows; prompts without an answer have none."""
    return FollowedResults({row.id: row for row in rows if row.strict is not None})

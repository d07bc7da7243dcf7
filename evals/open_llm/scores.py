"""The leaderboard's numbers as statistics of items: six columns, and their average.

The board of version 1 had the mean of MMLU's 57 subjects, all alike, as MMLU, and the mean of the six columns as
average. lm-eval's group weighs the subjects by their number of questions: that is `mmlu_by_size`, and the average with
it `average_by_size`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evals import scoring
from evals.base import ItemResults, Metric
from evals.lm_eval.rows import AskedTask, TaskItem

if TYPE_CHECKING:
    from evals.stats.bootstrap import Statistic


@dataclass(frozen=True, slots=True)
class BoardColumn:
    """One of the six: lm-eval's task as the board asked it, and the metric that the board showed."""

    task: AskedTask
    metric: str


COLUMNS: Mapping[str, BoardColumn] = {
    "arc_challenge": BoardColumn(AskedTask("arc_challenge", 25, "1.0"), "acc_norm,none"),
    "hellaswag": BoardColumn(AskedTask("hellaswag", 10, "1.0"), "acc_norm,none"),
    "mmlu": BoardColumn(AskedTask("mmlu", 5, "1.0"), "acc,none"),
    "truthfulqa": BoardColumn(AskedTask("truthfulqa_mc2", 0, "3.0"), "acc,none"),
    "winogrande": BoardColumn(AskedTask("winogrande", 5, "1.0"), "acc,none"),
    "gsm8k": BoardColumn(AskedTask("gsm8k", 5, "3.0"), "exact_match,strict-match"),
}
"""In the order of the board: examples in the prompt, and versions of the tasks in lm-eval 0.4.13."""

AVERAGE, BY_SIZE, AVERAGE_BY_SIZE = "average", "mmlu_by_size", "average_by_size"
METRICS = tuple(map(Metric, (*COLUMNS, AVERAGE, BY_SIZE, AVERAGE_BY_SIZE)))


def column_of(task: str) -> str:
    """Return the column of a task of lm-eval, or of a part of one. Raises ValueError for another task."""
    for name in COLUMNS:
        if task == name or task.startswith(f"{name}_"):
            return name
    raise ValueError(f"{task} is none of the leaderboard's tasks")


@dataclass(frozen=True, slots=True)
class BoardResults(ItemResults):
    """The value of each item, by column, task and id."""

    values: Mapping[str, Mapping[str, Mapping[str, float]]]
    metrics: Sequence[Metric] = METRICS

    @property
    def items(self) -> Sequence[str]:
        """The items of all tasks, each ``task/number``."""
        return [item for tasks in self.values.values() for items in tasks.values() for item in items]

    def statistic(self, metric: str, items: Sequence[str]) -> Statistic:
        """Return a column or an average, in per cent. Items are drawn from all tasks together."""
        from evals.stats.bootstrap import average_statistic

        means = {name: self._column(name, items, by_size=metric in (BY_SIZE, AVERAGE_BY_SIZE)) for name in self.values}
        if metric in (AVERAGE, AVERAGE_BY_SIZE):
            return average_statistic(list(means.values()))
        return means["mmlu" if metric == BY_SIZE else metric]

    def _column(self, name: str, items: Sequence[str], *, by_size: bool) -> Statistic:
        from evals.stats.bootstrap import average_statistic

        tasks = self.values[name]
        if by_size:
            tasks = {name: {item: value for of in tasks.values() for item, value in of.items()}}
        return average_statistic([_share(of, items) for of in tasks.values()])


def board_results(rows: Iterable[TaskItem]) -> BoardResults:
    """Return the results in the rows of all tasks."""
    values: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        column = column_of(row.task)
        of_task = values.setdefault(column, {}).setdefault(row.task, {})
        of_task[row.id] = row.values[COLUMNS[column].metric]
    return BoardResults(values)


def column_intervals(sets: Sequence[BoardResults], resamples: int) -> dict[str, list[float]]:
    """Return the 95 % interval of each column's mean over training seeds, on the items of its own task.

    Where all of a task's answers are right, the interval rests on as many items as that task has.
    """
    found = {}
    for metric in METRICS:
        tasks = sets[0].values.get("mmlu" if metric.name == BY_SIZE else metric.name, {})
        items = [item for of in tasks.values() for item in of]
        if len(items) > 1:
            scores = scoring.score(
                sets, asked=0, items=items, metrics=[metric], allow_missing=True, resamples=resamples
            )
            found[metric.name] = scores["ci95"][metric.name]
    return found


def _share(values: Mapping[str, float], items: Sequence[str]) -> Statistic:
    """Return the mean of the values of those items that are of one task, in per cent."""
    import numpy as np

    from evals.stats.bootstrap import ratio_statistic

    found = np.array([values.get(item, 0.0) for item in items])
    return ratio_statistic(found, np.array([float(item in values) for item in items]))

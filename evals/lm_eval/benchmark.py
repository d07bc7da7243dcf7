"""Any task of lm-eval as a benchmark of `harness eval`: ``lm_eval:TASK``."""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from evals.base import RESAMPLES, ItemResults, Options, Scored, Setting
from evals.lm_eval.rows import AskedTask, TaskAsking, TaskItem, values_of
from evals.lm_eval.run import fetch_task, installed_version
from evals.lm_eval.steps import OWN_RESULTS, ask_task
from evals.own_items import OwnItems, UserData
from harness.engine.artifacts import Artifact, Output, step
from harness.errors import UserError
from harness.records import ROWS

PREFIX = "lm_eval:"
ANY_TASK = f"{PREFIX}TASK"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions(Options):
    """The options of a task: how many items, the first ones, and whether through the model's chat template."""

    items: int | None = None
    chat_template: bool = False

    @property
    def size(self) -> int:
        """The most items of a task."""
        return self.items or sys.maxsize

    def resized(self, size: int) -> Self:
        """Return the same with `size` items of each task."""
        return replace(self, items=size)


class AsksTasks(OwnItems):
    """A benchmark that asks a checkpoint tasks of lm-eval."""

    needs = ("model",)
    takes_chat_template = True

    def described(self, setting: Setting) -> dict[str, str]:
        """Return how the model was asked."""
        return {"chat_template": "on" if setting.options.chat_template else "off"}


class LmEvalTask(AsksTasks):
    """One of lm-eval's tasks, or a group of them, with the examples that it says itself."""

    summary = "any task or group of tasks of lm-eval (`lm-eval ls tasks`), with lm-eval's own metrics"
    source = "lm-eval"
    metrics = ()
    Options = TaskOptions
    is_of_any_scale = True

    def __init__(self, task: str) -> None:
        self.task = task

    def official(self, given: UserData) -> TaskOptions:
        """Return the options of the task. Raises UserError for data, which lm-eval fetches by itself."""
        if given.data:
            raise UserError(f"lm-eval has the data of {self.task} from the hub; leave out --data")
        return TaskOptions(items=given.limit)

    def run(self, setting: Setting, checkpoint: Artifact, seed: int) -> Artifact:
        """Return `TaskItem` rows about a checkpoint. Nothing is drawn at random that the task itself does not draw."""
        return self.rows(setting, model=checkpoint)

    def rows(self, setting: Setting, **given: Artifact) -> Artifact:
        """Return `TaskItem` rows about the checkpoint `model`."""
        asking = TaskAsking(setting.options.items, setting.options.chat_template)
        return ask_task(
            model=given["model"],
            task=AskedTask(self.task),
            asking=asking,
            lm_eval=installed_version(),
            engine=setting.sampling.engine,
        )

    def fetch(self) -> Iterator[str]:
        """Fetch the data of the task. Raises UserError for what cannot be had."""
        yield from fetch_task(self.task)

    def summarise(self, rows: Artifact) -> Artifact:
        """Build `summary.json` of lm-eval's own numbers, with intervals where they are means over items."""
        return summarise_task(rows=rows, resamples=RESAMPLES)

    def score(self, setting: Setting, rows: Sequence[Artifact], name: str) -> Artifact:
        """Raise UserError: what metrics a task has is known once it has run."""
        raise self._no_column()

    def compare(self, setting: Setting, better: Sequence[Artifact], worse: Sequence[Artifact]) -> Artifact:
        """Raise UserError, as `score`."""
        raise self._no_column()

    def results(self, scored: Sequence[Scored]) -> list[ItemResults]:
        """Raise UserError, as `score`."""
        raise self._no_column()

    def _no_column(self) -> UserError:
        return UserError(f"{PREFIX}{self.task} is for `harness eval` alone: it can be no column of a table")


@step(version=1)
def summarise_task(out: Output, *, rows: Artifact, resamples: int) -> None:
    """Write the `TaskItem` rows again, and `summary.json`: by task and metric a `value` with `ci95`.

    Shares are in per cent. A metric that is no mean over items has no interval.
    """
    items, own = rows.rows(TaskItem), rows.json(OWN_RESULTS)
    by_task = {name: [row for row in items if row.task == name] for name in dict.fromkeys(row.task for row in items)}
    numbers = {**own["results"], **own["groups"]}
    summary = {name: _estimates(of, by_task.get(name, []), resamples) for name, of in numbers.items()}
    found = {name: estimates for name, estimates in summary.items() if estimates}
    out.write_json("summary.json", {**found, "n": len(items), "n_missing": 0, "task_versions": own["versions"]})
    shutil.copyfile(rows.folder / ROWS, out.folder / ROWS)
    out.counts["rows"] = len(items)


def _estimates(numbers: Mapping[str, float], rows: Sequence[TaskItem], resamples: int) -> dict[str, Any]:
    estimates = {}
    for metric, value in numbers.items():
        if "," in metric:
            values = list(values_of(rows, metric).values())
            share = bool(values) and all(0 <= each <= 1 for each in values)
            name = metric.removesuffix(",none") + (" (%)" if share else "")
            interval = _interval(values, value, share, resamples)
            estimates[name] = {"value": value * (100 if share else 1), "ci95": interval}
    return estimates


def _interval(values: Sequence[float], value: float, share: bool, resamples: int) -> list[float] | None:
    """Return the 95 % interval of a mean over items; None for a number that is none."""
    import numpy as np

    from evals.stats.bootstrap import mean_statistic, percentile_interval, resampled, score_interval

    if len(values) < 2 or not np.isclose(np.mean(values), value):
        return None
    drawn = resampled([mean_statistic(np.array(values))], len(values), resamples, 0)[0]
    return list(score_interval(100 * drawn, len(values)) if share else percentile_interval(drawn))

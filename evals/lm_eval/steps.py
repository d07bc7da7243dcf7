"""The step that asks a checkpoint the questions of tasks."""

from collections.abc import Mapping, Sequence
from typing import Any

from evals.lm_eval.rows import AskedTask, TaskAsking, TaskItem
from harness.engine.artifacts import Artifact, Output, step
from harness.models.generator import Engine
from harness.models.references import checkpoint_of

OWN_RESULTS = "lm_eval.json"
"""Beside the rows: lm-eval's own numbers of the tasks, and of the groups among them."""


@step(version=1, work="likelihood")
def ask_task(
    out: Output,
    *,
    model: Artifact,
    task: AskedTask,
    asking: TaskAsking,
    lm_eval: str = "",
    engine: Engine = "transformers",
) -> None:
    """Write `TaskItem` rows of a task or a group of tasks of lm-eval, and its own numbers.

    `lm_eval` is the version of the package, where the task has none that is required.
    """
    from evals.lm_eval.run import evaluate

    write_items(out, *evaluate([task], asking, checkpoint_of(model.folder), engine))


def write_items(out: Output, rows: Sequence[TaskItem], results: Mapping[str, Any]) -> None:
    """Write what `evals.lm_eval.run.evaluate` returned."""
    out.write_rows(rows)
    out.write_json(OWN_RESULTS, results)

"""The rows of lm-eval's tasks: one an item, with all of its values."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TaskItem:
    """One item of a task. `values` are lm-eval's of this item, by ``metric,filter`` as its results name them.

    A metric that lm-eval only knows of all items together, such as a corpus's BLEU, has no value here.
    """

    id: str
    """``task/number``: the number is lm-eval's `doc_id`."""
    task: str
    version: str
    """The version of the task, without which its numbers compare with nothing."""
    prompt_hash: str
    """The SHA-256 of the prompt as it was given, examples and chat template included."""
    target: str
    answer: str
    """What the model wrote, or the log-likelihood of each choice (nats) with whether it is the greedy continuation."""
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class AskedTask:
    """A task or a group of tasks of lm-eval, asked with so many examples: None for what the task itself says.

    `version` is the one that it must have, each part of a group too; "" where any will do.
    """

    name: str
    shots: int | None = None
    version: str = ""


@dataclass(frozen=True, slots=True)
class TaskAsking:
    """The way tasks are asked: the first `limit` items of each (None: all), through the chat template or not."""

    limit: int | None = None
    chat_template: bool = False


def values_of(rows: Iterable[TaskItem], metric: str) -> dict[str, float]:
    """Return the value of each item that has one, by its id."""
    return {row.id: row.values[metric] for row in rows if metric in row.values}

"""The time of a run on so many devices, if steps are started as they can be, the longest chain first."""

import heapq
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from harness.engine.artifacts import Artifact


@dataclass(frozen=True, slots=True)
class Task:
    """A step with what it takes."""

    artifact: Artifact
    seconds: float
    devices: int


def critical_path(tasks: Sequence[Task]) -> float:
    """Return seconds of the longest chain: what no number of devices of this kind makes shorter. Inputs come before."""
    return max(_chains(tasks).values(), default=0.0)


def makespan(tasks: Sequence[Task], devices: int) -> float:
    """Return seconds until all `tasks` are made, no more than `devices` occupied at a time. Inputs come first.

    A task that needs more devices than there are is taken to need all.
    """
    chains, by_key = _chains(tasks), {task.artifact.key: task for task in tasks}
    order = TopologicalSorter(
        {key: {parent.key for parent in task.artifact.parents()} & by_key.keys() for key, task in by_key.items()}
    )
    order.prepare()
    ready: list[str] = []
    running: list[tuple[float, str, int]] = []
    free, now = devices, 0.0
    while order.is_active():
        ready = sorted([*ready, *order.get_ready()], key=lambda key: (-chains[key], key))
        for key in list(ready):
            needs = min(by_key[key].devices, devices)
            if needs <= free:
                free -= needs
                ready.remove(key)
                heapq.heappush(running, (now + by_key[key].seconds, key, needs))
        now, key, held = heapq.heappop(running)
        free += held
        order.done(key)
    return now


def _chains(tasks: Sequence[Task]) -> dict[str, float]:
    """Return for each task seconds of the longest chain that starts with it."""
    chains: dict[str, float] = {}
    after: defaultdict[str, float] = defaultdict(float)
    for task in reversed(tasks):
        chains[task.artifact.key] = task.seconds + after[task.artifact.key]
        for parent in task.artifact.parents():
            after[parent.key] = max(after[parent.key], chains[task.artifact.key])
    return chains

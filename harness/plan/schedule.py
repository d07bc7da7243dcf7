"""The time of a run on so many devices, if steps are started as they can be, the longest chain first."""

import heapq
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

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
    chains, needed_by = _chains(tasks), _needed_by(tasks)
    by_key = {task.artifact.key: task for task in tasks}
    waiting_for = {key: sum(parent.key in by_key for parent in _parents(task.artifact)) for key, task in by_key.items()}
    ready = [key for key, count in waiting_for.items() if count == 0]
    running: list[tuple[float, str, int]] = []
    free, now = devices, 0.0
    while ready or running:
        for key in sorted(ready, key=lambda key: (-chains[key], key)):
            needs = min(by_key[key].devices, devices)
            if needs <= free:
                free -= needs
                ready.remove(key)
                heapq.heappush(running, (now + by_key[key].seconds, key, needs))
        now, key, held = heapq.heappop(running)
        free += held
        for child in needed_by[key]:
            waiting_for[child] -= 1
            if waiting_for[child] == 0:
                ready.append(child)
    return now


def _chains(tasks: Sequence[Task]) -> dict[str, float]:
    """Return for each task seconds of the longest chain that starts with it."""
    needed_by = _needed_by(tasks)
    chains: dict[str, float] = {}
    for task in reversed(tasks):
        key = task.artifact.key
        chains[key] = task.seconds + max((chains[child] for child in needed_by[key]), default=0.0)
    return chains


def _needed_by(tasks: Sequence[Task]) -> dict[str, list[str]]:
    needed_by: defaultdict[str, list[str]] = defaultdict(list)
    for task in tasks:
        for parent in _parents(task.artifact):
            needed_by[parent.key].append(task.artifact.key)
    return needed_by


def _parents(artifact: Artifact) -> set[Artifact]:
    """List each once: policy and reference are often the same."""
    return set(artifact.parents())

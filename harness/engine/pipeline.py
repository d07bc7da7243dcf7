"""Decides which steps are missing and runs them."""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from harness.engine.artifacts import Artifact, ancestry
from harness.engine.compute import Compute
from harness.engine.executor import Done, Executor, Failed
from harness.engine.limits import Limits
from harness.engine.progress import Advance, Display, display
from harness.engine.schedule import Durations, Schedule
from harness.engine.scratch import scratch
from harness.engine.store import Store
from harness.errors import Interrupted, UserError
from harness.terminal import note_if_slow, progress_stream


@dataclass(frozen=True)
class Plan:
    """The steps that a run looks at."""

    found: tuple[Artifact, ...]
    """Results in the store that are used. What they were made from is not needed, and not among them."""
    missing: tuple[Artifact, ...]
    """To be run, inputs before what needs them."""
    behind: tuple[Artifact, ...]
    """All steps that the targets are made by, those included that nothing needs to look at; inputs first."""


def plan(targets: Iterable[Artifact], store: Store) -> Plan:
    """Return the steps that must run so that `store` has all `targets`, and none that is stale if it remakes those."""
    found: dict[str, Artifact] = {}
    missing: dict[str, Artifact] = {}
    wanted = list(targets)
    again = store.staleness(wanted).keys if store.remakes_stale else frozenset()

    def visit(artifact: Artifact) -> None:
        if artifact.key in found or artifact.key in missing:
            return
        if artifact.key not in again and store.has(artifact):
            found[artifact.key] = artifact
            return
        for parent in artifact.parents():
            visit(parent)
        missing[artifact.key] = artifact

    for target in wanted:
        visit(target)
    return Plan(tuple(found.values()), tuple(missing.values()), tuple(ancestry(wanted)))


def checked_plan(targets: Iterable[Artifact], store: Store) -> Plan:
    """Return `plan` after comparing every found file with its record; damaged artifacts count as missing.

    Prints a line to stderr for each damaged artifact. A store compares what it has once.
    """
    wanted = list(targets)
    while True:
        steps = plan(wanted, store)
        damaged = _damaged(steps.found, store)
        if not damaged:
            break
        for artifact, file in damaged:
            _report_damaged(artifact, file, store)
    for artifact in steps.missing:
        if spoilt := store.spoilt_file(artifact):
            _report_damaged(artifact, spoilt, store)
    return steps


def _damaged(found: Iterable[Artifact], store: Store) -> list[tuple[Artifact, str]]:
    """Discard the damaged artifacts among those found; return each with its damaged file. Checkpoints take seconds."""
    artifacts = list(found)
    slow = f"comparing the files of {len(artifacts)} finished steps with what was written there ..."
    with note_if_slow(slow), ThreadPoolExecutor(max_workers=processors()) as readers:
        suspects = [one for one, file in zip(artifacts, readers.map(store.damage, artifacts), strict=True) if file]
    return [(one, file) for one in suspects if (file := store.discard(one))]


def _report_damaged(artifact: Artifact, file: str, store: Store) -> None:
    mended = "fetched" if store.has(artifact) else "made"
    place = store.folder(artifact) / file
    print(f"{place} is damaged: {artifact} is {mended} again", file=sys.stderr, flush=True)


def print_plan(plan: Plan) -> None:
    """Print as progress, for each step by name, how many there are behind the targets, and how many are to be run.

    All others are found: they are there, or what is made from them is.
    """
    behind, missing = (Counter(artifact.step for artifact in part) for part in (plan.behind, plan.missing))
    width = max(map(len, ["in all", *behind]))
    stream = progress_stream()
    print(f"{'step':{width}}  total  found  to run", file=stream)
    for name, total in behind.items():
        print(_row(name, width, total, missing[name]), file=stream)
    total, to_run = len(plan.behind), len(plan.missing)
    share = f"  ({(total - to_run) / total:.0%} found)" if total else ""
    print(f"{_row('in all', width, total, to_run)}{share}", file=stream, flush=True)


def run(
    targets: Iterable[Artifact],
    store: Store,
    jobs: int | None = None,
    limits: Limits | None = None,
    compute: Compute | None = None,
    expected: Mapping[str, float] | None = None,
) -> None:
    """Make all `targets`: run what `store` lacks, on `jobs` processors of this machine (default: all) or on a cluster.

    `limits` bounds what the steps may ask of endpoints; `compute` says where they run, and how they run models;
    `expected` are the seconds that each may take, by key, for a forecast from the start.

    Raises UserError as a step raised it; StepFailed, with the traceback, for any other exception in a step; WorkerDied
    when a worker process ended; Interrupted on Ctrl-C. The artifacts made so far stay, so that the next run goes on.
    """
    jobs = processors() if jobs is None else jobs
    if jobs < 1:
        raise UserError(f"jobs must be 1 or more, not {jobs}")
    targets = list(targets)
    store.sweep()
    steps = checked_plan(targets, store)
    if not steps.missing:
        return
    limits, compute = (limits or Limits()).of_one_run(), compute or Compute()
    try:
        with (
            scratch(),
            display(len(steps.missing)) as live_display,
            _executor(store, jobs, limits, compute) as executor,
        ):
            _execute(_schedule(steps, store, expected or {}), executor, executor.prepare(steps.missing), live_display)
    except KeyboardInterrupt:
        raise Interrupted("interrupted; finished steps are kept, run the same command to continue") from None


def _schedule(steps: Plan, store: Store, expected: Mapping[str, float]) -> Schedule:
    missing = [artifact.key for artifact in steps.missing]
    durations = Durations({key: expected[key] for key in missing if key in expected})
    for artifact in steps.found:
        durations.learn(artifact, store.record(artifact)["seconds"])
    return Schedule(steps.missing, durations)


def _execute(schedule: Schedule, executor: Executor, parallelism: float, live_display: Display) -> None:
    while not schedule.finished:
        while ready := schedule.take(executor.pick):
            live_display.start(ready.key, str(ready))
            executor.start(ready)
        for artifact, message in executor.messages(timeout=0.5):
            if isinstance(message, Failed):
                raise message.error()
            if isinstance(message, Done):
                schedule.finish(artifact, message.seconds)
                live_display.end(artifact.key, message.built, schedule.seconds_left(parallelism))
            else:
                live_display.show(artifact.key, message)
                if isinstance(message, Advance) and message.seconds_left is not None:
                    schedule.hear(artifact, message.seconds_left)
        live_display.tick(schedule.seconds_left(parallelism))


def _executor(store: Store, jobs: int, limits: Limits, compute: Compute) -> Executor:
    """Return the executor that `compute` asks for. It starts what it needs when it is entered."""
    from harness.engine import ray_executor, workers

    if compute.executor == "ray":
        return ray_executor.RayExecutor(store, jobs, limits, compute)
    return workers.Workers(store, jobs, limits, compute)


def _row(name: str, width: int, total: int, to_run: int) -> str:
    return f"{name:{width}}  {total:5d}  {total - to_run:5d}  {to_run:6d}"


def processors() -> int:
    """Return how many processors this process may use (fewer than the machine has, inside a container)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

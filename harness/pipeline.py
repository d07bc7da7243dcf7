"""Decides which steps are missing and runs them."""

import os
import sys
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from harness.core.artifacts import Artifact, ancestry
from harness.core.compute import Compute
from harness.core.errors import Interrupted, UserError
from harness.core.executor import Done, Executor, Failed
from harness.core.limits import Limits
from harness.core.progress import Advance, Display, display
from harness.core.schedule import Durations, Schedule
from harness.core.scratch import scratch
from harness.core.store import Store


@dataclass(frozen=True)
class Plan:
    """The steps that a run looks at. What a found artifact was made from is not needed and not part of it."""

    found: tuple[Artifact, ...]
    missing: tuple[Artifact, ...]
    """To be run, inputs before what needs them."""
    behind: int
    """How many steps the targets are made by in all, those included that nothing needs to look at."""

    @property
    def share_found(self) -> float:
        """The share of all steps behind the targets that need not be run."""
        return 1 - len(self.missing) / self.behind if self.behind else 1.0


def plan(targets: Iterable[Artifact], store: Store) -> Plan:
    """Which steps must run, so that `store` has all `targets`, and none that is stale if it makes such again."""
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
    return Plan(tuple(found.values()), tuple(missing.values()), len(ancestry(wanted)))


def checked_plan(targets: Iterable[Artifact], store: Store) -> Plan:
    """`plan`, once every file of what it found is what was written there; what is damaged counts as missing.

    Prints a line to stderr for each damaged artifact. A store compares what it has once.
    """
    wanted = list(targets)
    while True:
        steps = plan(wanted, store)
        damaged = _damaged(steps.found, store)
        if not damaged:
            break
        for artifact, file in damaged:
            _tell_damaged(artifact, file, store)
    for artifact in steps.missing:
        if spoilt := store.spoilt_file(artifact):
            _tell_damaged(artifact, spoilt, store)
    return steps


def _damaged(found: Iterable[Artifact], store: Store) -> list[tuple[Artifact, str]]:
    """The damaged artifacts among those found, each with a file, out of the store now; checkpoints take seconds."""
    artifacts = list(found)
    with ThreadPoolExecutor(max_workers=_processors()) as readers:
        suspects = [one for one, file in zip(artifacts, readers.map(store.damage, artifacts), strict=True) if file]
    return [(one, file) for one in suspects if (file := store.discard(one))]


def _tell_damaged(artifact: Artifact, file: str, store: Store) -> None:
    mended = "fetched" if store.has(artifact) else "made"
    place = store.folder(artifact) / file
    print(f"{place} is not what was written there: {artifact} is {mended} again", file=sys.stderr, flush=True)


def print_plan(plan: Plan) -> None:
    """Prints to stderr, for each step by name, how many artifacts are needed, found, and to be run."""
    found, missing = (Counter(artifact.step for artifact in part) for part in (plan.found, plan.missing))
    names = list(dict.fromkeys(artifact.step for artifact in (*plan.found, *plan.missing)))
    width = max(map(len, ["in all", *names]))
    print(f"{'step':{width}}  total  found  to run", file=sys.stderr)
    for name in names:
        print(_row(name, width, found[name], missing[name]), file=sys.stderr)
    print(_row("in all", width, len(plan.found), len(plan.missing)), file=sys.stderr)
    done = plan.behind - len(plan.missing)
    print(f"{done} of {plan.behind} steps are done already ({plan.share_found:.0%})", file=sys.stderr, flush=True)


def run(
    targets: Iterable[Artifact],
    store: Store,
    jobs: int | None = None,
    limits: Limits | None = None,
    compute: Compute | None = None,
) -> None:
    """Makes all `targets`: runs what `store` does not have, on `jobs` processors of this machine (default: all that it
    has) or on a cluster.

    `limits` bounds what the steps may ask of endpoints; `compute` says where they run, and how they run models.

    Raises UserError as a step raised it; StepFailed, with the traceback, for any other exception in a step; WorkerDied
    when a worker process ended; Interrupted on Ctrl-C. The artifacts made so far stay, so that the next run goes on.
    """
    jobs = _processors() if jobs is None else jobs
    if jobs < 1:
        raise UserError(f"jobs must be 1 or more, not {jobs}")
    targets = list(targets)
    store.sweep()
    steps = checked_plan(targets, store)
    if not steps.missing:
        return
    try:
        with scratch(), display(len(steps.missing)) as shown:
            _execute(steps, store, jobs, shown, (limits or Limits()).of_one_run(), compute or Compute())
    except KeyboardInterrupt:
        raise Interrupted("interrupted; finished steps are kept, the same command goes on from here") from None


def _execute(steps: Plan, store: Store, jobs: int, shown: Display, limits: Limits, compute: Compute) -> None:
    durations = Durations()
    for artifact in steps.found:
        durations.learn(artifact.step, store.record(artifact)["seconds"])
    schedule = Schedule(steps.missing, durations)
    with _executor(store, jobs, limits, compute) as executor:
        at_once = executor.prepare(steps.missing)
        while not schedule.finished:
            while ready := schedule.take(executor.pick):
                shown.start(ready.key, str(ready))
                executor.start(ready)
            for artifact, message in executor.messages(timeout=0.5):
                if isinstance(message, Failed):
                    raise message.error()
                if isinstance(message, Done):
                    schedule.finish(artifact, message.seconds)
                    shown.end(artifact.key, message.built, schedule.seconds_left(at_once))
                else:
                    shown.tell(artifact.key, message)
                    if isinstance(message, Advance) and message.seconds_left is not None:
                        schedule.hear(artifact, message.seconds_left)
            shown.tick(schedule.seconds_left(at_once))


def _executor(store: Store, jobs: int, limits: Limits, compute: Compute) -> Executor:
    """What runs steps where `compute` says. It starts what it needs when it is entered."""
    from harness.core import ray_executor, workers

    if compute.executor == "ray":
        return ray_executor.RayExecutor(store, jobs, limits, compute)
    return workers.Workers(store, jobs, limits, compute)


def _row(name: str, width: int, found: int, missing: int) -> str:
    return f"{name:{width}}  {found + missing:5d}  {found:5d}  {missing:6d}"


def _processors() -> int:
    """How many this process may use (fewer than the machine has, inside a container)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

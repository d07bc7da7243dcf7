"""The checks that a run makes by itself, before its first expensive step."""

import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

from harness.engine.artifacts import Artifact
from harness.engine.graph import by_work
from harness.engine.limits import Limits
from harness.engine.processes import spawn
from harness.engine.scratch import temporary_folder
from harness.engine.staleness import listed
from harness.engine.store import Store
from harness.errors import HarnessError, StepFailed, UserError
from harness.experiments import Experiment, Request
from harness.models.hf import silence_libraries
from harness.preflight.check import Check
from harness.preflight.doctor import FREE, run_checks
from harness.preflight.subject import EXPENSIVE, Subject, subject_of

MOST_ROWS = 2000
"""Of each data set: more would take longer than a run should be held up."""


def preflight(
    request: Request,
    experiments: Sequence[Experiment],
    store: Store,
    missing: Sequence[Artifact],
    limits: Limits | None = None,
) -> None:
    """Looks at what a run needs, if any of its `missing` steps is expensive, and says in a line what it found.

    Raises UserError, with the mend, where the run would fail. Works in a process of its own, so that the run's memory
    and the GPU stay free; `harness doctor` looks at more.
    """
    if not by_work(missing).keys() & set(EXPENSIVE):
        return
    subject = subject_of(request, experiments, store, store)
    found = _apart(replace(subject, limits=limits or Limits(), most_rows=MOST_ROWS))
    failed = [each for each in found if each.state == "failure"]
    if failed:
        others = f" (and {len(failed) - 1} more: see `harness doctor`)" if len(failed) > 1 else ""
        raise UserError(f"preflight: {failed[0].what}: {failed[0].detail}{others}")
    print(summary(found), file=sys.stderr)


def summary(found: Sequence[Check]) -> str:
    """Checks in a line: how many, and of what they warn; `harness doctor` says what is to be known of it."""
    warnings = [each for each in found if each.state == "warning"]
    said = f"preflight: {len(found) - len(warnings)} checks ok"
    if not warnings:
        return said
    counted = "1 warning" if len(warnings) == 1 else f"{len(warnings)} warnings"
    return f"{said}, {counted} (harness doctor says more): {listed([each.what for each in warnings])}"


def _apart(subject: Subject) -> list[Check]:
    """The free checks, made in another process. Raises UserError as they do, and HarnessError where that one dies."""
    with temporary_folder() as folder:  # of this process: the other one is killed when it has answered
        ours, theirs = Pipe(duplex=False)
        process = spawn(_look, (theirs, subject, folder), {})
        theirs.close()  # so that the other's death shows as end of file
        try:
            found: list[Check] | str = ours.recv()
        except EOFError:
            raise HarnessError("the preflight ended without an answer; run `harness doctor` to see why") from None
        finally:
            process.kill()
            process.join()
            ours.close()
    if isinstance(found, str):
        raise StepFailed(found)
    return found


def _look(answer: Connection, subject: Subject, folder: Path) -> None:
    """The body of the other process, which may fill `folder`."""
    try:
        silence_libraries()
        answer.send(list(run_checks(replace(subject, aside=Store(folder)), FREE)))
    except Exception:
        answer.send(traceback.format_exc())

"""`harness doctor`: all checks, one line each, as they are made; and those that a run makes by itself."""

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

from harness.engine.artifacts import Artifact
from harness.engine.graph import by_work
from harness.engine.limits import Limits
from harness.engine.processes import spawn
from harness.engine.scratch import temporary_folder
from harness.engine.staleness import listed
from harness.engine.store import Store, open_store
from harness.engine.unresolved import placeholders
from harness.errors import HarnessError, StepFailed, UserError
from harness.experiments import Experiment, Request, build_experiments
from harness.models.hf import silence_libraries
from harness.papers.names import find_exhibit
from harness.preflight.check import Check
from harness.preflight.context import EXPENSIVE, PreflightContext, preflight_context
from harness.preflight.data import data_checks
from harness.preflight.machine import machine_checks
from harness.preflight.references import endpoint_checks, reference_checks
from harness.preflight.settings import settings_checks
from harness.preflight.tokens import token_checks
from harness.preflight.training import training_checks
from harness.run.options import Choice
from harness.texts import counted

Checks = Callable[[PreflightContext], Iterable[Check]]

FREE: dict[str, Checks] = {
    "machine": machine_checks,
    "references": reference_checks,
    "settings": settings_checks,
    "endpoints": partial(endpoint_checks, asks=False),
    "tokens": token_checks,
    "data": data_checks,
}
"""What takes seconds and costs nothing."""

MAX_ROWS = 2000
"""Of each data set, where a run looks by itself: more would hold it up for too long."""

ALL: dict[str, Checks] = {**FREE, "endpoints": partial(endpoint_checks, asks=True), "training": training_checks}


def doctor(name: str, choice: Choice, run_dir: Path, limits: Limits) -> Iterator[Check]:
    """Check whether `harness reproduce name` can go well; yield each check as it is made.

    Trains tiny steps that are thrown away, and asks endpoints for a few tokens. Raises UserError for names that are
    unknown, and for a run directory that cannot be written to.
    """
    exhibit = find_exhibit(name)
    request = replace(choice, paper=exhibit.paper).request()
    with placeholders() as unresolved, temporary_folder() as folder:
        experiments = build_experiments(exhibit, request)
        context = preflight_context(
            request, experiments, open_store(run_dir / "store", request.recipe.compute), Store(folder)
        )
        yield from run_checks(replace(context, unresolved=unresolved, limits=limits), ALL)


def run_checks(context: PreflightContext, kinds: dict[str, Checks]) -> Iterator[Check]:
    """Run the checks kind after kind; one that cannot be made is a failure of its own."""
    for kind, checks in kinds.items():
        try:
            yield from checks(context)
        except UserError as error:
            yield Check("failure", kind, str(error))


def preflight(
    request: Request,
    experiments: Sequence[Experiment],
    store: Store,
    missing: Sequence[Artifact],
    limits: Limits | None = None,
) -> None:
    """Check what a run needs, if any of its `missing` steps is expensive, and print in a line what was found.

    Raises UserError, with the mend, where the run would fail. Works in a process of its own, so that the run's memory
    and the GPU stay free; `harness doctor` looks at more.
    """
    if not by_work(missing).keys() & set(EXPENSIVE):
        return
    context = preflight_context(request, experiments, store, store)
    found = _apart(replace(context, limits=limits or Limits(), most_rows=MAX_ROWS))
    failed = [each for each in found if each.state == "failure"]
    if failed:
        others = f" (and {len(failed) - 1} more: see `harness doctor`)" if len(failed) > 1 else ""
        raise UserError(f"preflight: {failed[0].what}: {failed[0].detail}{others}")
    print(summary(found), file=sys.stderr)


def summary(found: Sequence[Check]) -> str:
    """Summarise checks in a line: how many there are, and what they warn of; `harness doctor` prints them in full."""
    warnings = [each for each in found if each.state == "warning"]
    text = f"preflight: {len(found) - len(warnings)} checks ok"
    detail = f", {counted(len(warnings), 'warning')} (harness doctor says more): {listed([e.what for e in warnings])}"
    return text + detail if warnings else text


def _apart(context: PreflightContext) -> list[Check]:
    """Run the free checks in another process.

    Raises UserError as they do, and HarnessError where the process dies.
    """
    with temporary_folder() as folder:  # of this process: the other one is killed when it has answered
        ours, theirs = Pipe(duplex=False)
        process = spawn(_look, (theirs, context, folder), {})
        theirs.close()  # so that the other's death shows as end of file
        try:
            found: list[Check] | str = ours.recv()
        except EOFError:
            raise HarnessError(
                "the preflight process ended without a result; run `harness doctor` to see why"
            ) from None
        finally:
            process.kill()
            process.join()
            ours.close()
    if isinstance(found, str):
        raise StepFailed(found)
    return found


def _look(answer: Connection, context: PreflightContext, folder: Path) -> None:
    """Run the checks as the body of the other process, which may fill `folder`."""
    try:
        silence_libraries()
        answer.send(list(run_checks(replace(context, aside=Store(folder)), FREE)))
    except Exception:
        answer.send(traceback.format_exc())

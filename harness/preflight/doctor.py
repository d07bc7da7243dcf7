"""`harness doctor`: all checks, one line each, as they are made."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from harness.engine.limits import Limits
from harness.engine.scratch import temporary_folder
from harness.engine.store import Store, open_store
from harness.engine.unresolved import placeholders
from harness.errors import UserError
from harness.experiments import build_experiments
from harness.papers import find_exhibit
from harness.preflight.check import Check
from harness.preflight.context import PreflightContext, preflight_context
from harness.preflight.data import data_checks
from harness.preflight.machine import machine_checks
from harness.preflight.references import endpoint_checks, reference_checks
from harness.preflight.tokens import token_checks
from harness.preflight.training import training_checks
from harness.run.options import Choice

Checks = Callable[[PreflightContext], Iterable[Check]]

FREE: dict[str, Checks] = {
    "machine": machine_checks,
    "references": reference_checks,
    "endpoints": partial(endpoint_checks, asks=False),
    "tokens": token_checks,
    "data": data_checks,
}
"""What takes seconds and costs nothing."""

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
            request, experiments, open_store(run_dir / "store", request.scale.compute), Store(folder)
        )
        yield from run_checks(replace(context, unresolved=unresolved, limits=limits), ALL)


def run_checks(context: PreflightContext, kinds: dict[str, Checks]) -> Iterator[Check]:
    """Run the checks kind after kind; one that cannot be made is a failure of its own."""
    for kind, checks in kinds.items():
        try:
            yield from checks(context)
        except UserError as error:
            yield Check("failure", kind, str(error))

"""`harness reproduce`: from an experiment's name to its report."""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from harness.engine.limits import Limits
from harness.engine.pipeline import checked_plan, print_plan
from harness.engine.staleness import CodeChanges
from harness.engine.store import Store, open_store, require_writable
from harness.errors import UserError
from harness.experiments import Experiment, Request, build_experiments
from harness.experiments.interface import Checkpoints
from harness.files import replace_link
from harness.papers import ScoreTable, find_exhibit, load_deviations
from harness.papers.consistency import check_paper
from harness.plan.expected import expected_seconds
from harness.preflight.automatic import preflight
from harness.run.evidence import tell_stale
from harness.run.manifest import Run, keep_fuller_report, manifest, write_manifest
from harness.run.options import Choice
from harness.run.spending import run_with_bill
from harness.terminal import console
from reports.terminal import terminal_report
from reports.write import write_report

MIN_WIDTH = 80
"""Columns that a table needs."""


def reproduce(
    name: str, choice: Choice, run_dir: Path, *, limits: Limits | None = None, code_changes: CodeChanges = "warn"
) -> None:
    """Runs what is missing, writes the report into `run_dir`/PAPER/EXHIBIT, and prints the tables to stdout.

    `limits` bounds what judge and teacher may be asked; `code_changes` says what is done with what other code has
    made. Damaged artifacts are made again. Raises UserError for unknown names, for a run directory that
    cannot be written to, and for an endpoint that cannot be asked.
    """
    started = datetime.now(UTC)
    exhibit = find_exhibit(name)
    request = replace(choice, paper=exhibit.paper).request()
    experiments = build_experiments(exhibit, request)
    require_readable(experiments)
    store = open_store(run_dir / "store", request.scale.compute, remakes_stale=code_changes == "rerun")
    folder = run_dir / exhibit.paper / exhibit.name
    require_writable(folder / "checkpoints")
    print(f"{exhibit} on the scale {request.scale.name!r} ({request.scale.description})", file=sys.stderr)
    _tell_what_has_no_rows(experiments, request)
    targets = [target for experiment in experiments for target in experiment.targets()]
    tell_stale(targets, store, code_changes)
    steps = checked_plan(targets, store)
    print_plan(steps)
    preflight(request, experiments, store, steps.missing, limits)
    expected = expected_seconds(targets, request.scale, store, limits or Limits())
    run_with_bill(targets, store, limits, request.scale.compute, expected)
    ran = frozenset(artifact.key for artifact in steps.missing)
    write_run(exhibit.name, experiments, request, store, folder, started=started, ran=ran)
    _show(folder)


def _tell_what_has_no_rows(experiments: Sequence[Experiment], request: Request) -> None:
    """Methods are the rows of score tables; other exhibits show what they show."""
    others = [each.exhibit.name for each in experiments if not isinstance(each.exhibit, ScoreTable)]
    if request.methods and others:
        print(f"--methods selects rows of score tables; {', '.join(others)} as without it", file=sys.stderr)


def require_readable(experiments: Sequence[Experiment]) -> None:
    """Raises UserError, before anything is computed, where what a report says of the paper cannot be read."""
    paper = experiments[0].exhibit.paper.name
    load_deviations(paper)
    check_paper(paper)


def write_run(
    name: str,
    experiments: Sequence[Experiment],
    request: Request,
    store: Store,
    folder: Path,
    *,
    started: datetime,
    ran: frozenset[str],
) -> None:
    """Writes manifest, report and links to the checkpoints into `folder`, from a store that has all targets.

    `ran` holds the keys of the artifacts that this run made. A report there that has what this one leaves out is kept
    beside it. Raises UserError where the folder cannot be written to.
    """
    content = manifest(
        name,
        experiments,
        request,
        store,
        Run(
            command=" ".join(["harness", *sys.argv[1:]]),
            started=started,
            ended=datetime.now(UTC),
            ran=ran,
            store=os.path.relpath(store.root, folder),
        ),
    )
    if kept := keep_fuller_report(folder, content):
        print(f"{folder} had a report with what this one leaves out: it is kept as {kept}", file=sys.stderr)
    write_manifest(folder, content)
    write_report(folder)
    checkpoints = {place: made for experiment in experiments for place, made in experiment.checkpoints.items()}
    _link_checkpoints(checkpoints, store, folder / "checkpoints")


def _link_checkpoints(checkpoints: Checkpoints, store: Store, folder: Path) -> None:
    """Gives every checkpoint a name that people can type: `<model>-<method>-seed<n>`, a link into the store."""
    require_writable(folder)
    for (model, method, seed), checkpoint in checkpoints.items():
        link = folder / f"{model}-{method}-seed{seed}"
        try:
            replace_link(link, os.path.relpath(store.folder(checkpoint), folder))
        except OSError as error:
            raise UserError(
                f"cannot link the checkpoint {link} ({error.strerror}); remove what is in its way"
            ) from None


def _show(folder: Path) -> None:
    screen = console(sys.stdout)
    # In a narrower terminal lines wrap; a table made to fit would cut its numbers.
    screen.width = max(screen.width, MIN_WIDTH)
    screen.print(terminal_report(folder))
    print(f"report:      {folder / 'index.html'}")
    if any((folder / "checkpoints").iterdir()):
        print(f"checkpoints: {folder / 'checkpoints'}")

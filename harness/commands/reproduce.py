"""`harness reproduce`: from an experiment's name to its report."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from harness.engine.limits import Limits
from harness.engine.pipeline import checked_plan, print_plan
from harness.engine.staleness import CodeChanges
from harness.engine.store import Store, open_store, require_writable
from harness.experiments import Experiment, Request, build_experiments
from harness.papers.consistency import check_paper
from harness.papers.loading import load_deviations
from harness.papers.names import find_exhibit
from harness.papers.scores import ScoreTable
from harness.plan.forecast import expected_seconds
from harness.preflight.doctor import preflight
from harness.results.manifest import write_manifest
from harness.results.training_curves import write_curves
from harness.run.evidence import tell_stale
from harness.run.links import link_checkpoints, link_scores
from harness.run.manifest import build_manifest, keep_fuller_report
from harness.run.options import Choice
from harness.run.spending import run_and_report_spending
from harness.run.training_curves import stage_curves
from harness.terminal import progress_stream
from reports.blocks import Report
from reports.write import write_report


def reproduce(
    name: str, choice: Choice, run_dir: Path, *, limits: Limits | None = None, code_changes: CodeChanges = "warn"
) -> tuple[Report, Path]:
    """Run what is missing, and write the report into `run_dir`/PAPER/EXHIBIT; return it, and its folder.

    That of a sweep is EXHIBIT-sweep-SETTING, beside the one of the whole exhibit.

    `limits` bounds what judge and teacher may be asked; `code_changes` says what is done with what other code has
    made. Damaged artifacts are made again. Raises UserError for unknown names, for a run directory that
    cannot be written to, and for an endpoint that cannot be asked.
    """
    started = datetime.now(UTC)
    exhibit = find_exhibit(name)
    request = replace(choice, paper=exhibit.paper).request()
    experiments = build_experiments(exhibit, request)
    require_readable(experiments)
    store = open_store(run_dir / "store", request.recipe.compute, remakes_stale=code_changes == "rerun")
    folder = run_dir / exhibit.paper / (f"{exhibit.name}-sweep-{choice.sweep}" if choice.sweep else exhibit.name)
    require_writable(folder / "checkpoints")
    recipe = request.recipe
    print(f"{exhibit} on the scale {recipe.name!r} ({recipe.description}; {recipe.where})", file=progress_stream())
    _tell_what_has_no_rows(experiments, request)
    targets = [target for experiment in experiments for target in experiment.targets()]
    tell_stale(targets, store, code_changes)
    steps = checked_plan(targets, store)
    print_plan(steps)
    preflight(request, experiments, store, steps.missing, limits)
    expected = expected_seconds(targets, request.recipe, store, limits or Limits())
    run_and_report_spending(targets, store, limits, request.recipe.compute, expected)
    ran = frozenset(artifact.key for artifact in steps.missing)
    return write_run(exhibit.name, experiments, request, store, folder, started=started, ran=ran), folder


def _tell_what_has_no_rows(experiments: Sequence[Experiment], request: Request) -> None:
    """Report the exhibits that `--methods` does not select from: methods are the rows of score tables alone."""
    others = [each.exhibit.name for each in experiments if not isinstance(each.exhibit, ScoreTable)]
    if request.methods and others:
        print(f"--methods selects rows of score tables; {', '.join(others)} as without it", file=sys.stderr)


def require_readable(experiments: Sequence[Experiment]) -> None:
    """Raise UserError, before anything is computed, where what a report says of the paper cannot be read."""
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
) -> Report:
    """Write into `folder` all of a run, from a store that has all targets: manifest, curves, report, verdicts,
    checkpoints.

    Verdicts, with their scores, and checkpoints are links into the store. `ran` holds the keys of the artifacts that
    this run made. A report there that has what this one leaves out is kept beside it. Raises UserError where the folder
    cannot be written to.
    """
    manifest = build_manifest(name, experiments, request, store, folder, started=started, ran=ran)
    if former := keep_fuller_report(folder, manifest):
        print(f"{folder} had a report with what this one leaves out: it is kept as {former}", file=sys.stderr)
    link_scores({name: score for each in experiments for name, score in each.scores().items()}, store, folder)
    write_manifest(folder, manifest)
    write_curves(folder, stage_curves(experiments, request.recipe, store))
    report = write_report(folder)
    checkpoints = {place: made for experiment in experiments for place, made in experiment.checkpoints.items()}
    link_checkpoints(checkpoints, store, folder / "checkpoints")
    return report

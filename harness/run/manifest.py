"""The manifest of a finished run: `manifest.json`, the one file that reports read."""

import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.config.codec import encode
from harness.config.yaml_files import path_text
from harness.engine.artifacts import Artifact, ancestry
from harness.engine.store import Store
from harness.errors import UserError
from harness.experiments import Experiment, Request
from harness.mini.identity import world_name
from harness.papers.consistency import check_paper
from harness.papers.loading import load_deviations
from harness.papers.paper import Deviation
from harness.provenance import provenance
from harness.recipes.changes import leaves, split_row
from harness.recipes.recipe import Recipe
from harness.recipes.registries import packages_used
from harness.recipes.sweeps import sweep_of
from harness.results.exhibits import ScoresResult
from harness.results.manifest import MANIFEST, JudgeRecord, Manifest, Model, StepRecord, read_manifest
from harness.run.claims import Families, decide_claims
from harness.run.row_comparisons import compare_rows


def build_manifest(
    name: str,
    experiments: Sequence[Experiment],
    request: Request,
    store: Store,
    folder: Path,
    *,
    started: datetime,
    ran: frozenset[str],
) -> Manifest:
    """Build the manifest, for `folder`, of the run `name` of this command, which ends now.

    All its artifacts are in the store; `ran` holds the keys of those that it made.
    """
    from evals.stats.comparison import MIN_SEEDS

    ended = datetime.now(UTC)
    recipe, paper = request.recipe, experiments[0].exhibit.paper
    graph = ancestry(target for experiment in experiments for target in experiment.targets())
    made = [(one, store.record(one)) for one in graph if store.has(one)]
    stale = store.staleness(one for one, _ in made)
    models = dict.fromkeys(model for experiment in experiments for model in experiment.models)
    families = Families.of(paper.name)
    # A sweep is about other rows than the paper's.
    claims, n_tests = ((), 0) if request.sweep else decide_claims(experiments, store, families)
    return Manifest(
        run=name,
        paper=paper,
        scale=recipe.name,
        recipe=recipe.where,
        fast=recipe.is_reduced,
        seeds=request.seeds,
        options=encode(request.asked or {}),
        command=" ".join(["harness", *sys.argv[1:]]),
        started=started.isoformat(timespec="seconds"),
        ended=ended.isoformat(timespec="seconds"),
        seconds=round((ended - started).total_seconds(), 1),
        store=os.path.relpath(store.root, folder),
        judge=_judge(experiments, recipe),
        teacher=recipe.models.get("teacher", ""),
        provenance={
            **provenance(),
            **({"embedded world": world_name()} if recipe.truth_is_known else {}),
            "artifact_commits": _commits(record for _, record in made),
            "outside": packages_used(),
        },
        stale=tuple(stale.lines),
        stale_unknown=stale.unknown_line,
        models={
            name: Model(role.reference, role.description) for name, role in recipe.base_models.items() if name in models
        },
        results=tuple(replace(experiment.result(store), seeds=experiment.seeds) for experiment in experiments),
        claims=claims,
        n_tests=n_tests,
        n_claims=families.claims,
        n_orderings=families.orderings,
        seeds_for_verdict=MIN_SEEDS,
        deviations=(*_changed_settings(experiments, recipe), *load_deviations(paper.name)),
        disagreements=tuple(check_paper(paper.name)),
        steps=tuple(_step(artifact, record, ran, stale.why(artifact.key)) for artifact, record in made),
        comparisons=compare_rows(experiments, store),
        sweep=sweep_of(request.sweep, request.methods) if request.sweep else None,
    )


def _changed_settings(experiments: Sequence[Experiment], recipe: Recipe) -> list[Deviation]:
    """Describe what the user sets otherwise than the recipe, for the whole run and for single rows, as deviations."""
    rows = dict.fromkeys(method for each in experiments for _, method, _ in each.checkpoints)
    asked = [f"{path} = {value}, by --set" for path, value in leaves(recipe.changes)]
    asked += [f"{path} = {value} in the row {row}" for row in rows for path, value in leaves(split_row(row)[1])]
    return [
        Deviation("changed-setting", f"as in {recipe.where}", each, "asked for on the command line") for each in asked
    ]


def _judge(experiments: Sequence[Experiment], recipe: Recipe) -> JudgeRecord:
    """Describe the scale's judge; none where all exhibits are such as have no roles."""
    if all(experiment.exhibit.is_own_size for experiment in experiments):
        return JudgeRecord(name="", fingerprint="")
    fingerprints = {bench: each for experiment in experiments for bench, each in experiment.fingerprints.items()}
    return JudgeRecord(
        name=recipe.judge.model,
        fingerprint=", ".join(f"{bench} {fingerprint}" for bench, fingerprint in fingerprints.items()),
        prompt=path_text(recipe.prompts_path) if recipe.truth_is_known else "the benches' own",
        parser="harness/steps/verdicts.py",
        base_url=recipe.judge.reference().base_url,
    )


def _commits(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the commits of the harness that these artifacts were made by."""
    return sorted({record["provenance"]["git"]["commit"] for record in records})


def _step(artifact: Artifact, record: Mapping[str, Any], ran: frozenset[str], stale: str) -> StepRecord:
    """Describe one step behind the table, with the time it took when it was run, and why it is stale if it is."""
    return StepRecord(
        step=artifact.step,
        label=artifact.label,
        key=artifact.key,
        seconds=record["seconds"],
        found=artifact.key not in ran,
        counts=record["counts"],
        stale=stale,
    )


def keep_fuller_report(folder: Path, manifest: Manifest) -> Path | None:
    """Move the report in `folder` aside where it has something that the one with this manifest lacks.

    Returns where it is kept, beside the folder, so that it still finds its store; None where nothing would be lost.
    A report of another version, of which that cannot be told, is kept. Raises UserError where it cannot be moved.
    """
    if not _is_json(folder / MANIFEST):
        return None
    try:
        if set(_contents(read_manifest(folder))) <= set(_contents(manifest)):
            return None
    except UserError:
        pass
    places = (folder.with_name(f"{folder.name}-{count}") for count in itertools.count(1))
    moved = next(place for place in places if not place.exists())
    try:
        folder.rename(moved)
    except OSError as error:
        mend = "fix that, or name another --run-dir"
        raise UserError(f"cannot keep the report in {folder} as {moved} ({error.strerror}); {mend}") from None
    return moved


def _is_json(path: Path) -> bool:
    """Return whether there is a manifest, of whichever version."""
    try:
        return isinstance(json.loads(path.read_bytes()), dict)
    except (OSError, ValueError):
        return False


_SELECTIONS = ("seeds", "are_seeds_usual", "models", "methods", "compute", "against", "sweep")
"""Options that say how much is in a report, which the results say themselves, or how it is made."""


def _contents(manifest: Manifest) -> Iterator[tuple[Any, ...]]:
    """List all that a report has a number or a text of, by its options, exhibit, base model, row and training seed."""
    others = {name: value for name, value in manifest.options.items() if name not in _SELECTIONS}
    options = json.dumps(encode(others), sort_keys=True)
    for result in manifest.results:
        rows = result.rows if isinstance(result, ScoresResult) else ("",)
        for place in itertools.product(result.models or ("",), rows, result.seeds or manifest.seeds):
            yield options, result.exhibit.name, *place
    for each in manifest.comparisons:
        yield options, each.model, each.first, each.second, each.bench, each.metric

"""A finished run as `harness regress` reads it, and whether two of them can be compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from evals.withholding import REQUIRED_SHARE
from harness.engine.artifacts import Artifact
from harness.engine.store import RECORD, place, read_record
from harness.errors import UserError
from harness.recipes.registries import require_packages
from harness.records import ROWS, Judgment
from harness.results.exhibits import Score, ScoresResult
from harness.results.manifest import Manifest, read_manifest
from harness.results.verdicts import ARTIFACTS, are_pairs
from harness.run.evidence import require_intact

CellName = tuple[str, str, str]
"""Base model, method, bench."""


@dataclass(frozen=True)
class RunCell:
    """One method on one base model and bench: its scores by metric, its verdicts by training seed."""

    scores: Mapping[str, Score]
    labels: Mapping[str, str]
    """What the paper calls each metric."""
    judge: str
    verdicts: Mapping[int, Artifact]
    score: Artifact

    @property
    def has_pairs(self) -> bool:
        """Whether its verdicts are on pairs of answers."""
        return bool(self.judge) and all(are_pairs(score.judgments) for score in self.scores.values())

    @cached_property
    def rows(self) -> dict[int, list[Judgment]]:
        """The verdicts of each training seed on pairs; none of a bench that judges no pairs."""
        if not self.has_pairs:
            return {}
        return {seed: artifact.rows(Judgment) for seed, artifact in self.verdicts.items()}

    @cached_property
    def questions(self) -> dict[str, tuple[str, str]]:
        """The questions by prompt id: the prompt's text, and the answer of the bench's baseline."""
        return {row.prompt.id: (row.prompt.text, row.baseline) for rows in self.rows.values() for row in rows}

    def outputs(self, seed: int) -> dict[str, str]:
        """Return the answers of one training seed, by prompt id."""
        return {row.prompt.id: row.output for row in self.rows[seed]}

    def shared_seeds(self, other: "RunCell") -> list[int]:
        """Return the training seeds that both have."""
        return [seed for seed in self.verdicts if seed in other.verdicts]

    def has_same_outputs(self, other: "RunCell") -> bool:
        """Return whether all training seeds that both have gave the same answers; without a common seed that is not
        known."""
        shared = self.shared_seeds(other)
        return bool(shared) and all(
            (self.verdicts[seed].folder / ROWS).samefile(other.verdicts[seed].folder / ROWS)
            or (self.has_pairs and self.outputs(seed) == other.outputs(seed))
            for seed in shared
        )


@dataclass(frozen=True)
class FinishedRun:
    """A run: its manifest, and the cells of its tables of scores, each once."""

    folder: Path
    manifest: Manifest
    cells: Mapping[CellName, RunCell]

    @property
    def judged(self) -> list[Path]:
        """The folders of its verdicts and scores: in its store, with all they were made from, where that is there."""
        artifacts = [each for cell in self.cells.values() for each in (*cell.verdicts.values(), cell.score)]
        in_store = {each.folder: self.folder / self.manifest.store / place(each) for each in artifacts}
        return [there if (there / RECORD).is_file() else own for own, there in in_store.items()]


def read_run(folder: Path) -> FinishedRun:
    """Read the run in `folder`.

    Raises UserError where it is not finished, has no scores, lacks their verdicts, or needs a package that is missing.
    """
    manifest = read_manifest(folder)
    require_packages(manifest.provenance.get("outside", {}), folder)
    scores: dict[CellName, dict[str, Score]] = {}
    labels: dict[CellName, dict[str, str]] = {}
    for result in (result for result in manifest.results if isinstance(result, ScoresResult)):
        for score in result.cells:
            name = (score.model, score.method, score.bench)
            scores.setdefault(name, {}).setdefault(score.metric, score)
            labels.setdefault(name, {})[score.metric] = result.exhibit.measure(score.bench, score.metric)
    if not scores:
        raise UserError(f"{folder} has no table of scores; compare runs of one, such as table3, or of all")
    cells = {name: _cell(folder, manifest, each, labels[name]) for name, each in scores.items()}
    return FinishedRun(folder, manifest, cells)


def _cell(folder: Path, manifest: Manifest, scores: Mapping[str, Score], labels: Mapping[str, str]) -> RunCell:
    any_score = next(iter(scores.values()))
    verdicts = [_artifact(folder, place) for place in any_score.judgments]
    return RunCell(
        scores,
        labels,
        any_score.judge,
        dict(zip(manifest.seeds, verdicts, strict=True)),
        _artifact(folder, any_score.artifact),
    )


def _artifact(run: Path, place: str) -> Artifact:
    """Return the artifact that the run's folder has from `place` in the store. Its own inputs are found by
    `input_of`."""
    folder = run / ARTIFACTS / place
    if not (folder / RECORD).is_file():
        raise UserError(
            f"{folder} is not there; runs are compared by the verdicts in their folders: copy the folder as a whole, or"
            " run its command again"
        )
    require_intact(folder)
    return _bound_to(folder)


def _bound_to(folder: Path) -> Artifact:
    return Artifact(folder.parent.name, 0, {}, {}, folder.name, "", {}, bound_to=folder)


def input_of(artifact: Artifact, name: str) -> Artifact | None:
    """Find the input `name` of an artifact beside it, by its key; None where it has none."""
    record = read_record(artifact.folder, artifact.key)
    key = (record or {}).get("inputs", {}).get(name)
    if key is None:
        return None
    root = artifact.folder.parent.parent
    found = next((path for path in root.glob(f"*/{key}/{RECORD}")), None)
    if found is None:
        raise UserError(f"{root} no longer has the {name} of {artifact.step}; run the same command again")
    require_intact(found.parent)
    return _bound_to(found.parent)


def require_comparable(baseline: FinishedRun, candidate: FinishedRun) -> None:
    """Raise UserError, naming the first reason, for runs that differ in more than their methods and seeds."""
    before, after = baseline.manifest, candidate.manifest
    if (before.paper.name, before.scale) != (after.paper.name, after.scale):
        raise UserError(
            f"{baseline.folder} is {before.paper.name} on scale {before.scale}, {candidate.folder} is"
            f" {after.paper.name} on scale {after.scale}; run both alike"
        )
    if before.fast != after.fast:
        fast, full = (baseline, candidate) if before.fast else (candidate, baseline)
        raise UserError(f"{fast.folder} is of `harness reproduce --fast`, {full.folder} is not; run both alike")
    if before.limit != after.limit:
        raise UserError(
            f"{baseline.folder} and {candidate.folder} were run with another `harness reproduce --limit`"
            f" ({before.limit} and {after.limit}); run both alike"
        )
    shared = [name for name in baseline.cells if name in candidate.cells]
    if not shared:
        raise UserError(
            f"{baseline.folder} and {candidate.folder} have no model, method and bench in common; run the same of them"
        )
    for name in shared:
        before_judge, after_judge = baseline.cells[name].judge, candidate.cells[name].judge
        if before_judge != after_judge:
            raise UserError(
                f"{name[2]} was judged by {before_judge} in the baseline, by {after_judge} in the candidate"
                " (fingerprints of judge, prompt and parser); run the baseline again with the candidate's judge"
            )


def require_same_prompts(bench: str, before: RunCell, after: RunCell) -> None:
    """Raise UserError where two cells were not asked the same, or not compared with the same answers."""
    shared = before.questions.keys() & after.questions.keys()
    different = sorted(id for id in shared if before.questions[id] != after.questions[id])
    largest = max(len(before.questions), len(after.questions))
    if different or len(shared) < REQUIRED_SHARE * largest:
        what = f"{different[0]} differs" if different else f"{len(shared)} of {largest} are in both"
        raise UserError(
            f"the runs have different prompts or baseline answers of {bench} ({what}); run the baseline again with the "
            "prompts of the candidate"
        )

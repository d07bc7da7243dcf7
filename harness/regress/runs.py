"""A finished run as `harness regress` reads it, and whether two of them can be compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from evals.base import REQUIRED_SHARE
from harness.engine.artifacts import Artifact
from harness.engine.store import RECORD, read_record
from harness.errors import UserError
from harness.papers import ScoreTable, load_exhibit
from harness.records import Judgment
from harness.run.evidence import require_intact
from reports.manifest import Manifest, Score, ScoresPart, read_manifest

CellName = tuple[str, str, str]
"""Base model, method, bench."""


@dataclass(frozen=True)
class Cell:
    """One method on one base model and bench: its scores by metric, its verdicts by training seed."""

    scores: Mapping[str, Score]
    labels: Mapping[str, str]
    """What the paper calls each metric."""
    judge: str
    verdicts: Mapping[int, Artifact]
    score: Artifact

    @cached_property
    def rows(self) -> dict[int, list[Judgment]]:
        """The verdicts of each training seed; none of a bench without a judge."""
        if not self.judge:
            return {}
        return {seed: artifact.rows(Judgment) for seed, artifact in self.verdicts.items()}

    @cached_property
    def questions(self) -> dict[str, tuple[str, str]]:
        """What was asked and compared with, by prompt id: the prompt's text, the answer of the bench's baseline."""
        return {row.prompt.id: (row.prompt.text, row.baseline) for rows in self.rows.values() for row in rows}

    def outputs(self, seed: int) -> dict[str, str]:
        """The answers of one training seed, by prompt id."""
        return {row.prompt.id: row.output for row in self.rows[seed]}

    def shared_seeds(self, other: "Cell") -> list[int]:
        """The training seeds that both have."""
        return [seed for seed in self.verdicts if seed in other.verdicts]

    def has_same_outputs(self, other: "Cell") -> bool:
        """Whether all training seeds that both have gave the same answers; without a common seed that is not known."""
        shared = self.shared_seeds(other)
        return bool(shared) and all(
            self.verdicts[seed].folder.resolve() == other.verdicts[seed].folder.resolve()
            or (bool(self.judge) and self.outputs(seed) == other.outputs(seed))
            for seed in shared
        )


@dataclass(frozen=True)
class FinishedRun:
    """A run: its manifest, and the cells of its tables of scores, each once."""

    folder: Path
    manifest: Manifest
    cells: Mapping[CellName, Cell]

    @property
    def judged(self) -> list[Path]:
        """The folders of its verdicts and scores."""
        artifacts = [each for cell in self.cells.values() for each in (*cell.verdicts.values(), cell.score)]
        return list(dict.fromkeys(each.folder for each in artifacts))


def read_run(folder: Path) -> FinishedRun:
    """The run in `folder`. Raises UserError where it is not finished, has no scores, or its store is not complete."""
    manifest = read_manifest(folder)
    store = (folder / manifest.store).resolve()
    scores: dict[CellName, dict[str, Score]] = {}
    labels: dict[CellName, dict[str, str]] = {}
    for part in (part for part in manifest.parts if isinstance(part, ScoresPart)):
        exhibit = load_exhibit(manifest.paper, part.name)
        assert isinstance(exhibit, ScoreTable)
        for score in part.cells:
            name = (score.model, score.method, score.bench)
            scores.setdefault(name, {}).setdefault(score.metric, score)
            labels.setdefault(name, {})[score.metric] = exhibit.measure(score.bench, score.metric)
    if not scores:
        raise UserError(f"{folder} has no table of scores; compare runs of one, such as table3, or of all")
    cells = {name: _cell(folder, manifest, store, each, labels[name]) for name, each in scores.items()}
    return FinishedRun(folder, manifest, cells)


def _cell(
    folder: Path, manifest: Manifest, store: Path, scores: Mapping[str, Score], labels: Mapping[str, str]
) -> Cell:
    any_score = next(iter(scores.values()))
    if not any_score.artifact or len(any_score.judgments) != len(manifest.seeds):
        raise UserError(f"{folder} was written by an older version; run the same command again to write it anew")
    verdicts = [_stored(folder, store, place) for place in any_score.judgments]
    return Cell(
        scores,
        labels,
        any_score.judge,
        dict(zip(manifest.seeds, verdicts, strict=True)),
        _stored(folder, store, any_score.artifact),
    )


def _stored(run: Path, store: Path, place: str) -> Artifact:
    """What lies at `place` in the store. Its own inputs are found by `input_of`."""
    folder = store / place
    if not (folder / RECORD).is_file():
        raise UserError(
            f"{run}: {folder} is not there; a report is compared with the store that it was made from: name the report"
            " where it was made, copy the store with it, or run its command again"
        )
    require_intact(folder)
    step, _, key = place.partition("/")
    return Artifact(step, 0, {}, {}, key, "", {}, bound_to=folder)


def input_of(artifact: Artifact, name: str) -> Artifact | None:
    """The input `name` of a stored artifact, found in the same store by its key; None where it has none."""
    record = read_record(artifact.folder, artifact.key)
    key = (record or {}).get("inputs", {}).get(name)
    if key is None:
        return None
    root = artifact.folder.parent.parent
    found = next((path for path in root.glob(f"*/{key}/{RECORD}")), None)
    if found is None:
        raise UserError(f"{root} no longer has the {name} of {artifact.step}; run the same command again")
    require_intact(found.parent)
    return Artifact(found.parent.parent.name, 0, {}, {}, key, "", {}, bound_to=found.parent)


def require_comparable(baseline: FinishedRun, candidate: FinishedRun) -> None:
    """Raises UserError, naming the first reason, for runs that differ in more than their methods and seeds."""
    before, after = baseline.manifest, candidate.manifest
    if (before.paper, before.scale) != (after.paper, after.scale):
        raise UserError(
            f"{baseline.folder} is {before.paper} on scale {before.scale}, {candidate.folder} is {after.paper} on "
            f"scale {after.scale}; run both alike"
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
        _require_one_judge(name[2], baseline.cells[name], candidate.cells[name])


def _require_one_judge(bench: str, before: Cell, after: Cell) -> None:
    if before.judge != after.judge:
        raise UserError(
            f"{bench} was judged by {before.judge} in the baseline, by {after.judge} in the candidate (fingerprints of "
            "judge, prompt and parser); run the baseline again with the candidate's judge"
        )


def require_same_prompts(bench: str, before: Cell, after: Cell) -> None:
    """Raises UserError where two cells were not asked the same, or not compared with the same answers."""
    shared = before.questions.keys() & after.questions.keys()
    different = sorted(id for id in shared if before.questions[id] != after.questions[id])
    largest = max(len(before.questions), len(after.questions))
    if different or len(shared) < REQUIRED_SHARE * largest:
        what = f"{different[0]} differs" if different else f"{len(shared)} of {largest} are in both"
        raise UserError(
            f"the runs have different prompts or baseline answers of {bench} ({what}); run the baseline again with the "
            "prompts of the candidate"
        )

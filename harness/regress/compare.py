"""Two runs cell by cell: what is the same, what is tested, and the verdicts."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from evals.bench import RESAMPLES
from evals.stats.regression import Change, Sides, Unchanged, compare_runs
from evals.summaries import SharedPrompts
from harness.core.store import require_writable
from harness.regress.flips import flipped_pairs
from harness.regress.metrics import metrics_of
from harness.regress.runs import Cell, CellName, FinishedRun, read_run, require_comparable, require_same_prompts
from reports.regress import ComparedRun, ComparedScore, Comparison, write_comparison
from reports.viewer import Pair

ONE_SEED = (
    "With one training seed in each run nothing can be called better or worse: how far seeds differ is not known. "
    "Run the baseline with --seeds 3 or more, better both runs."
)
ONE_SEED_IN_ONE_RUN = (
    "The {run} has one training seed: how far seeds differ is known from the {other} alone, and taken to be the same. "
    "False alarms may then come in more than 5 %."
)


def regress(baseline: Path, candidate: Path, out: Path | None = None) -> tuple[Comparison, Path]:
    """Compares the run in the folder `candidate` with that in `baseline`; returns what was found, and the page's place.

    Writes `regress.html` and `regress.json` into `out`, by default the candidate's folder. Raises UserError for runs
    that cannot be compared.
    """
    before, after = read_run(baseline), read_run(candidate)
    require_comparable(before, after)
    out = out or candidate
    require_writable(out)
    cells = [_Compared(name, before.cells[name], after.cells[name]) for name in before.cells if name in after.cells]
    for each in cells:
        require_same_prompts(each.name[2], each.before, each.after)
    comparison = _comparison(before, after, cells)
    return comparison, write_comparison(comparison, _flips(cells), out)


@dataclass(frozen=True)
class _Compared:
    """A cell that both runs have."""

    name: CellName
    before: Cell
    after: Cell

    @cached_property
    def is_same(self) -> bool:
        """Whether the change has left it alone."""
        return self.before.has_same_outputs(self.after)

    @property
    def metrics(self) -> list[str]:
        return [metric for metric in self.before.scores if metric in self.after.scores]


def _comparison(before: FinishedRun, after: FinishedRun, cells: Sequence[_Compared]) -> Comparison:
    scores = _scores(cells)
    return Comparison(
        baseline=_run(before),
        candidate=_run(after),
        scale=before.manifest.scale,
        fast=before.manifest.fast,
        judges={each.name[2]: each.before.judge for each in cells},
        resamples=RESAMPLES,
        n_tests=sum(score.p_value is not None for score in scores),
        scores=tuple(scores),
        only_baseline=_missing(before, after),
        only_candidate=_missing(after, before),
        notes=tuple(_notes(before, after, scores)),
    )


def _run(run: FinishedRun) -> ComparedRun:
    return ComparedRun(str(run.folder), run.manifest.run, run.manifest.seeds)


def _missing(run: FinishedRun, other: FinishedRun) -> tuple[str, ...]:
    """The cells that `run` alone has."""
    return tuple(" ".join(name) for name in run.cells if name not in other.cells)


def _notes(before: FinishedRun, after: FinishedRun, scores: Sequence[ComparedScore]) -> Iterator[str]:
    if all(score.verdict == "same" for score in scores):
        return
    seeds = {"baseline": len(before.manifest.seeds), "candidate": len(after.manifest.seeds)}
    if max(seeds.values()) == 1:
        yield ONE_SEED
    elif min(seeds.values()) == 1:
        run, other = sorted(seeds, key=lambda name: seeds[name])
        yield ONE_SEED_IN_ONE_RUN.format(run=run, other=other)


@dataclass(frozen=True)
class _Measured:
    """A metric of a cell in both runs, before it is tested."""

    cell: _Compared
    metric: str
    shared: SharedPrompts

    @property
    def sides(self) -> Sides:
        n_before = len(self.cell.before.verdicts)
        statistics = self.shared.statistics
        return Sides(statistics[:n_before], statistics[n_before:], self.shared.n_prompts)


def _scores(cells: Sequence[_Compared]) -> list[ComparedScore]:
    if all(each.is_same for each in cells):  # nothing to test, so nothing to learn from either
        return [_untested(each, metric) for each in cells for metric in each.metrics]
    measured = [one for each in cells for one in _measured(each)]
    known = [one for one in measured if not one.shared.withheld]
    unchanged = [Unchanged(one.shared.statistics, one.shared.n_prompts) for one in known if one.cell.is_same]
    changes = iter(compare_runs([one.sides for one in known if not one.cell.is_same], unchanged, resamples=RESAMPLES))
    return [
        _untested(one.cell, one.metric, one.shared.withheld)
        if one.cell.is_same or one.shared.withheld
        else _tested(one, next(changes))
        for one in measured
    ]


def _measured(each: _Compared) -> Iterator[_Measured]:
    """Of a cell that is the same in both runs the one with more training seeds tells more of how far they differ."""
    larger = max((each.before, each.after), key=lambda cell: len(cell.verdicts))
    of_metric = metrics_of(each.name[2], [larger] if each.is_same else [each.before, each.after])
    for metric in each.metrics:
        yield _Measured(each, metric, of_metric(metric))


def _untested(each: _Compared, metric: str, withheld: str | None = None) -> ComparedScore:
    before, after = each.before.scores[metric], each.after.scores[metric]
    return ComparedScore(
        *each.name,
        metric,
        label=each.before.labels[metric],
        verdict="same" if each.is_same else "cannot tell",
        baseline=before.value,
        candidate=after.value,
        note=f"withheld: {withheld}" if withheld and not each.is_same else "",
    )


def _tested(one: _Measured, change: Change) -> ComparedScore:
    figures = {name: value for name, value in asdict(change).items() if name != "outcome"}
    plain = _untested(one.cell, one.metric)
    return replace(plain, verdict=change.outcome, n_prompts=one.shared.n_prompts, **figures)


def _flips(cells: Sequence[_Compared]) -> list[Pair]:
    """Wins that were lost first."""
    pairs = [pair for each in cells if not each.is_same for pair in flipped_pairs(each.name, each.before, each.after)]
    return sorted(pairs, key=lambda pair: (not pair.facets["flip"].startswith("win"), pair.id))

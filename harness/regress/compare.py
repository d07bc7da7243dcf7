"""Two runs cell by cell: what is the same, what is tested, and the verdicts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from evals.base import RESAMPLES, ItemResults, Scored
from evals.scoring import SharedItems, better_is_more, on_shared_items
from evals.stats.comparison import MIN_DEGREES_OF_FREEDOM, SeedSpread, seed_spread
from evals.stats.regression import Change, Sides, compare_runs
from harness.engine.staleness import CodeChanges
from harness.engine.store import require_writable
from harness.recipes.registries import load_benchmark
from harness.records import Judgment
from harness.regress.flips import flipped_pairs
from harness.regress.runs import (
    CellName,
    FinishedRun,
    RunCell,
    input_of,
    read_run,
    require_comparable,
    require_same_prompts,
)
from harness.run.evidence import tell_stale_folders
from reports.regress import ComparedRun, ComparedScore, RunComparison, ScoreVerdict, write_comparison
from reports.viewer import Pair

ROUNDING = 1e-9
"""How far two scores may be apart that are the same."""

ONE_PROMPT = "The runs share a single prompt: what another would have said is not known."
RESCORED = (
    "{count} differ{s} though the answers are the same: {what} changed, not the method. This is no verdict on a change "
    "of the method: find out which run is right."
)
VERDICTS, SCORING = "the judge's verdicts", "the scoring of the same verdicts"
TOO_FEW_SEEDS = (
    "With so few training seeds (baseline {baseline}, candidate {candidate}) nothing can be called better or worse: "
    "too little is known of how far seeds differ. Run both with `harness reproduce --seeds 5`; 3 in each run are the "
    "fewest."
)
ONE_SEED_IN_ONE_RUN = (
    "The {run} has one training seed: how far seeds differ is known from the {other} alone, and taken to be the same. "
    "False alarms may then come in more than 5 %."
)


def regress(
    baseline: Path,
    candidate: Path,
    out: Path | None = None,
    make: Callable[[Path, Path], None] | None = None,
    code_changes: CodeChanges = "warn",
) -> tuple[RunComparison, Path]:
    """Compare the run in the folder `candidate` with that in `baseline`; return what was found, and the page's place.

    `make` makes the candidate, once the baseline is found fit, which is compared as it was then. Writes `regress.html`
    and `regress.json` into `out`, by default the candidate's folder. Says what is stale in either run; where the
    candidate is made, the baseline is so by intent. Raises UserError for runs that are damaged or cannot be compared.
    """
    before = read_run(baseline)
    if make:
        make(baseline, candidate)
    after = read_run(candidate)
    require_comparable(before, after)
    out = out or candidate
    require_writable(out)
    cells = [_Compared(name, before.cells[name], after.cells[name]) for name in before.cells if name in after.cells]
    for each in cells:
        require_same_prompts(each.name[2], each.before, each.after)
    comparison = _comparison(before, after, cells)
    for run in (after,) if make else (before, after):
        tell_stale_folders(run.judged, code_changes, of=f"{run.folder}: ")
    return comparison, write_comparison(comparison, _flips(cells), out)


@dataclass(frozen=True)
class _Compared:
    """A cell that both runs have."""

    name: CellName
    before: RunCell
    after: RunCell

    @cached_property
    def is_same(self) -> bool:
        """Whether the change has left it alone."""
        return self.before.has_same_outputs(self.after)

    @property
    def metrics(self) -> list[str]:
        return [metric for metric in self.before.scores if metric in self.after.scores]

    def is_rescored(self, metric: str) -> bool:
        """Return whether the same answers have another score.

        Of other training seeds the score is another by itself.
        """
        if not self.is_same or self.before.verdicts.keys() != self.after.verdicts.keys():
            return False
        before, after = self.before.scores[metric].value, self.after.scores[metric].value
        if before is None or after is None:
            return before is not after
        return abs(before - after) > ROUNDING

    @cached_property
    def has_same_verdicts(self) -> bool:
        """Whether the judge said the same of the same answers."""
        return all(_by_game(self.before.rows[seed]) == _by_game(self.after.rows[seed]) for seed in self.before.rows)


def _by_game(rows: Sequence[Judgment]) -> dict[tuple[str, str, int], tuple[str, str, float | None]]:
    """Return the judge's verdicts by prompt, order and repeat."""
    return {(row.prompt.id, row.order, row.repeat): (row.state, row.verdict, row.preference) for row in rows}


def _comparison(before: FinishedRun, after: FinishedRun, cells: Sequence[_Compared]) -> RunComparison:
    scores = _scores(cells)
    return RunComparison(
        baseline=ComparedRun(str(before.folder), before.manifest.run, before.manifest.seeds),
        candidate=ComparedRun(str(after.folder), after.manifest.run, after.manifest.seeds),
        scale=before.manifest.scale,
        fast=before.manifest.fast,
        judges={each.name[2]: each.before.judge for each in cells},
        resamples=RESAMPLES,
        n_tests=sum(score.p_value is not None for score in scores),
        scores=tuple(scores),
        only_baseline=tuple(" ".join(name) for name in before.cells if name not in after.cells),
        only_candidate=tuple(" ".join(name) for name in after.cells if name not in before.cells),
        notes=tuple(_notes(before, after, scores)),
    )


def _notes(before: FinishedRun, after: FinishedRun, scores: Sequence[ComparedScore]) -> Iterator[str]:
    for what in (VERDICTS, SCORING):
        if count := sum(score.note.startswith(what) for score in scores):
            names = "score" if count == 1 else "scores"
            yield RESCORED.format(count=f"{count} {names}", s="s" * (count == 1), what=what)
    if all(score.verdict in ("same", "rescored") for score in scores):
        return
    seeds = {"baseline": len(before.manifest.seeds), "candidate": len(after.manifest.seeds)}
    if sum(seeds.values()) - len(seeds) < MIN_DEGREES_OF_FREEDOM:
        yield TOO_FEW_SEEDS.format(**seeds)
    elif min(seeds.values()) == 1:
        run, other = sorted(seeds, key=lambda name: seeds[name])
        yield ONE_SEED_IN_ONE_RUN.format(run=run, other=other)


@dataclass(frozen=True)
class _Measured:
    """A metric of a cell in both runs, before it is tested."""

    cell: _Compared
    metric: str
    shared: SharedItems

    @property
    def sides(self) -> Sides:
        n_before = len(self.cell.before.verdicts)
        statistics = self.shared.statistics
        return Sides(statistics[:n_before], statistics[n_before:], self.shared.n_items)

    @property
    def spread(self) -> SeedSpread:
        return seed_spread(self.shared.statistics, self.shared.n_items, resamples=RESAMPLES)


def _scores(cells: Sequence[_Compared]) -> list[ComparedScore]:
    if all(each.is_same for each in cells):  # nothing to test, so nothing to learn from either
        return [_untested(each, metric) for each in cells for metric in each.metrics]
    measured = [one for each in cells for one in _measured(each)]
    known = [one for one in measured if not one.shared.withheld]
    unchanged = [one.spread for one in known if one.cell.is_same]
    changes = iter(compare_runs([one.sides for one in known if not one.cell.is_same], unchanged, resamples=RESAMPLES))
    return [
        _untested(one.cell, one.metric, one.shared.withheld)
        if one.cell.is_same or one.shared.withheld
        else _tested(one, next(changes))
        for one in measured
    ]


def _measured(each: _Compared) -> Iterator[_Measured]:
    """Measure each metric of a cell.

    Of one that is the same in both runs, the one with more training seeds tells more of how far they differ.
    """
    larger = max((each.before, each.after), key=lambda cell: len(cell.verdicts))
    sets = results_of(each.name[2], [larger] if each.is_same else [each.before, each.after])
    for metric in each.metrics:
        yield _Measured(each, metric, better_is_more(on_shared_items(sets, metric), sets, metric))


def results_of(bench: str, cells: Sequence[RunCell]) -> list[ItemResults]:
    """Return the results of the training seeds of the first cell, then of the second.

    Raises UserError where the cells are not measured alike.
    """
    scored = [Scored(list(cell.verdicts.values()), partial(input_of, cell.score)) for cell in cells]
    return load_benchmark(bench).results(scored)


def _untested(each: _Compared, metric: str, withheld: str | None = None) -> ComparedScore:
    verdict, note = _plain_verdict(each, metric, withheld)
    return ComparedScore(
        *each.name,
        metric,
        label=each.before.labels[metric],
        verdict=verdict,
        baseline=each.before.scores[metric].value,
        candidate=each.after.scores[metric].value,
        note=note,
    )


def _plain_verdict(each: _Compared, metric: str, withheld: str | None) -> tuple[ScoreVerdict, str]:
    """Return the verdict and note of a score that is not tested."""
    if each.is_rescored(metric):
        return "rescored", f"{SCORING if each.has_same_verdicts else VERDICTS} changed, not the answers"
    if each.is_same:
        return "same", ""
    return "cannot tell", f"withheld: {withheld}" if withheld else ""


def _tested(one: _Measured, change: Change) -> ComparedScore:
    figures = {name: value for name, value in asdict(change).items() if name != "outcome"}
    plain = _untested(one.cell, one.metric)
    note = ONE_PROMPT if one.shared.n_items == 1 else plain.note
    return replace(plain, verdict=change.outcome, n_prompts=one.shared.n_items, note=note, **figures)


def _flips(cells: Sequence[_Compared]) -> list[Pair]:
    """Count the wins that were lost first."""
    pairs = [
        pair
        for each in cells
        if not each.is_same and each.before.has_pairs
        for pair in flipped_pairs(each.name, each.before, each.after)
    ]
    return sorted(pairs, key=lambda pair: (not pair.facets["flip"].startswith("win"), pair.id))

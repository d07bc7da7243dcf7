"""The judged pairs of answers behind a run's tables, read from its folder for the pair viewer."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.papers.curves import CurveFigure
from harness.papers.scores import ScoreTable
from harness.papers.win_rates import WinRateTable
from harness.records import Judgment, by_prompt, outcome
from harness.results.exhibits import CurvePoint, CurvesResult, Score, ScoresResult, WinRate, WinRatesResult
from harness.results.manifest import Manifest
from harness.results.verdicts import are_pairs, read_verdicts, verdicts_file
from reports.viewer import Pair, Side, Verdict

MAX_CHARACTERS = 30_000_000
"""As many as 10,000 pairs of real answers have, above which a page is no longer quick to open
(benchmarks/viewer.py): of a larger run it has the first prompts of every set."""


@dataclass(frozen=True, slots=True)
class _VerdictSet:
    """All verdicts on one method, or one match, on one base model: those of the first training seed."""

    id: str
    facets: Mapping[str, str]
    left: str
    right: str
    place: str


@dataclass(frozen=True, slots=True)
class ViewerPairs:
    """Pairs for the viewer, and in words which ones they are."""

    pairs: tuple[Pair, ...]
    note: str


def judged_pairs(manifest: Manifest, folder: Path) -> ViewerPairs:
    """Read every judged pair of the first training seed once, however many exhibits rest on it, in their order.

    `folder` is the manifest's. Sets whose verdicts are no longer in it are left out, and the note says so.
    Raises UserError for verdicts that cannot be read.
    """
    sets = _sets(manifest)
    there = [each for each in sets if verdicts_file(folder, each.place).is_file()]
    pairs = [[_pair(each, rows) for rows in by_prompt(read_verdicts(folder, each.place)).values()] for each in there]
    share = min(1.0, MAX_CHARACTERS / max(1, sum(_characters(pair) for of_one in pairs for pair in of_one)))
    pairs_of_page = tuple(pair for of_one in pairs for pair in of_one[: math.ceil(share * len(of_one))])
    return ViewerPairs(pairs_of_page, " ".join(_note(manifest, sets, there, share)))


def _characters(pair: Pair) -> int:
    return len(pair.left.text) + len(pair.right.text) + sum(len(verdict.reply) for verdict in pair.verdicts)


def _note(manifest: Manifest, sets: list[_VerdictSet], there: list[_VerdictSet], share: float) -> Iterator[str]:
    if len(manifest.seeds) > 1:
        yield f"Training seed {manifest.seeds[0]}, the first of {len(manifest.seeds)}."
    if share < 1:
        yield f"The first {share:.0%} of the prompts of each of {len(there)} sets; the others are in the run's folder."
    if missing := len(sets) - len(there):
        yield f"{missing} of {len(sets)} sets of verdicts are no longer in the run's folder and left out."


def _sets(manifest: Manifest) -> list[_VerdictSet]:
    """Return each place of verdicts once, under the names of the first exhibit that rests on it."""
    found: dict[str, _VerdictSet] = {}
    for each in _sets_of_exhibits(manifest):
        found.setdefault(each.place, each)
    return list(found.values())


def _sets_of_exhibits(manifest: Manifest) -> Iterator[_VerdictSet]:
    for result in manifest.results:
        if isinstance(result, ScoresResult):
            yield from (_of_score(result.exhibit, cell) for cell in result.cells if _has_pairs(cell))
        elif isinstance(result, WinRatesResult):
            yield from (_of_win_rate(result.exhibit, cell) for cell in result.cells if cell.judgments)
        elif isinstance(result, CurvesResult):
            yield from (_of_point(result.exhibit, point) for point in result.points if point.judgments)


def _has_pairs(cell: Score) -> bool:
    return bool(cell.judge) and are_pairs(cell.judgments)


def _of_score(exhibit: ScoreTable, cell: Score) -> _VerdictSet:
    label, bench = exhibit.subject(cell.method), exhibit.column(cell.bench, cell.metric).bench_label
    facets = {"model": exhibit.paper.model(cell.model), "method": label, "bench": bench}
    return _VerdictSet(f"{cell.model}/{cell.method}/{cell.bench}", facets, "baseline", label, cell.judgments[0])


def _of_win_rate(exhibit: WinRateTable, cell: WinRate) -> _VerdictSet:
    match = exhibit.match(cell.match)
    left, right = (side.replace("_", " ") for side in (match.baselines, match.outputs))
    facets = {"model": exhibit.paper.model(cell.model), "method": exhibit.subject(cell.match), "bench": exhibit.label}
    return _VerdictSet(f"{cell.model}/{cell.match}/pairwise", facets, left, right, cell.judgments[0])


def _of_point(exhibit: CurveFigure, point: CurvePoint) -> _VerdictSet:
    facets = {
        "model": exhibit.paper.model(point.model),
        "method": exhibit.subject(point.id),
        "bench": exhibit.panel(point.panel).label,
    }
    line = exhibit.line(point.line)
    left = line.against or "baseline"
    name = f"{exhibit.name}/{point.model}/{point.id}/{point.panel}"
    return _VerdictSet(name, facets, left, exhibit.row(line, point.x), point.judgments[0])


def _pair(one: _VerdictSet, rows: list[Judgment]) -> Pair:
    """Return all verdicts on one prompt's two answers."""
    verdicts = tuple(_verdict(one, row) for row in rows)
    return Pair(
        id=f"{one.id}/{rows[0].prompt.id}",
        facets={**one.facets, "verdict": _agreed(verdicts)},
        prompt=rows[0].prompt.text,
        left=Side(one.left, rows[0].baseline),
        right=Side(one.right, rows[0].output),
        verdicts=verdicts,
    )


def _verdict(one: _VerdictSet, row: Judgment) -> Verdict:
    first = one.right if row.order == "output_first" else one.left
    heading = f"{first} first" + (f", repeat {row.repeat + 1}" if row.repeat else "")
    return Verdict(heading, row.verdict, row.preference, outcome([row]), row.reply or row.error)


def _agreed(verdicts: Iterable[Verdict]) -> str:
    """Return the outcome that all verdicts have, but for those that failed."""
    outcomes = {verdict.outcome for verdict in verdicts} - {"failed"}
    if len(outcomes) > 1:
        return "verdicts differ"
    return outcomes.pop() if outcomes else "failed"

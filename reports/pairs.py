"""The judged pairs of answers behind a run's tables, read from its folder for the pair viewer."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.records import Judgment, outcome
from harness.results.exhibits import ScoresResult, WinRatesResult
from harness.results.manifest import Manifest
from harness.results.verdicts import read_verdicts, verdicts_file
from reports.viewer import Pair, Side, Verdict

MAX_CHARACTERS = 30_000_000
"""As many as 10,000 pairs of real answers have, above which a page is no longer quick to open
(benchmarks/viewer.py): of a larger run it has the first prompts of every set."""


@dataclass(frozen=True, slots=True)
class _VerdictSet:
    """All verdicts on one method, or one match, on one base model: those of the first training seed."""

    model: str
    model_label: str
    name: str
    label: str
    bench: str
    bench_label: str
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
    sets = list(_sets(manifest))
    there = [each for each in sets if verdicts_file(folder, each.place).is_file()]
    pairs = [[_pair(each, rows) for rows in _by_prompt(read_verdicts(folder, each.place)).values()] for each in there]
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


def _sets(manifest: Manifest) -> Iterator[_VerdictSet]:
    """Yield each place of verdicts once, under the names of the first exhibit that rests on it."""
    seen: set[str] = set()
    for result in manifest.results:
        found: Iterable[_VerdictSet] = ()
        if isinstance(result, ScoresResult):
            found = _of_scores(result)
        elif isinstance(result, WinRatesResult):
            found = _of_win_rates(result)
        for each in found:
            if each.place not in seen:
                seen.add(each.place)
                yield each


def _of_scores(result: ScoresResult) -> Iterator[_VerdictSet]:
    exhibit = result.exhibit
    for cell in result.cells:
        if cell.judge and cell.judgments:
            label = exhibit.subject(cell.method)
            yield _VerdictSet(
                model=cell.model,
                model_label=exhibit.paper.model(cell.model),
                name=cell.method,
                label=label,
                bench=cell.bench,
                bench_label=exhibit.column(cell.bench, cell.metric).bench_label,
                left="baseline",
                right=label,
                place=cell.judgments[0],
            )


def _of_win_rates(result: WinRatesResult) -> Iterator[_VerdictSet]:
    exhibit = result.exhibit
    for cell in result.cells:
        if cell.judgments:
            match = exhibit.match(cell.match)
            yield _VerdictSet(
                model=cell.model,
                model_label=exhibit.paper.model(cell.model),
                name=cell.match,
                label=exhibit.subject(cell.match),
                bench="pairwise",
                bench_label=exhibit.label,
                left=match.baselines.replace("_", " "),
                right=match.outputs.replace("_", " "),
                place=cell.judgments[0],
            )


def _by_prompt(rows: Iterable[Judgment]) -> dict[str, list[Judgment]]:
    prompts: dict[str, list[Judgment]] = {}
    for row in rows:
        prompts.setdefault(row.prompt.id, []).append(row)
    return prompts


def _pair(one: _VerdictSet, rows: list[Judgment]) -> Pair:
    """Return all verdicts on one prompt's two answers."""
    verdicts = tuple(_verdict(one, row) for row in rows)
    facets = {
        "model": one.model_label,
        "method": one.label,
        "bench": one.bench_label,
        "verdict": _agreed(verdicts),
    }
    return Pair(
        id=f"{one.model}/{one.name}/{one.bench}/{rows[0].prompt.id}",
        facets=facets,
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

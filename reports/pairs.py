"""The judged pairs of answers behind a run's tables, read from its store for the pair viewer."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.papers import AnyExhibit, ScoreTable, WinRateTable
from harness.records import ROWS, Judgment, outcome, read_rows
from reports.manifest import Manifest, ScoresPart, WinRatesPart
from reports.viewer import Pair, Side, Verdict

MOST = 30_000_000
"""Characters, as many as 10,000 pairs of real answers have, above which a page is no longer quick to open
(benchmarks/viewer.py): of a larger run it has the first prompts of every set."""


@dataclass(frozen=True, slots=True)
class _Set:
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
class JudgedPairs:
    """Pairs for the viewer, and in words which ones they are."""

    pairs: tuple[Pair, ...]
    note: str


def judged_pairs(manifest: Manifest, exhibits: Mapping[str, AnyExhibit], folder: Path) -> JudgedPairs:
    """Every judged pair of the first training seed once, however many exhibits rest on it, in their order.

    `folder` is the manifest's. Sets whose verdicts are no longer in the store are left out, and the note says so.
    Raises UserError for verdicts that cannot be read.
    """
    sets = list(_sets(manifest, exhibits))
    files = {each: folder / manifest.store / each.place / ROWS for each in sets}
    there = [each for each in sets if files[each].is_file()]
    pairs = [[_pair(each, rows) for rows in _by_prompt(read_rows(files[each], Judgment)).values()] for each in there]
    share = min(1.0, MOST / max(1, sum(_characters(pair) for of_one in pairs for pair in of_one)))
    shown = tuple(pair for of_one in pairs for pair in of_one[: math.ceil(share * len(of_one))])
    return JudgedPairs(shown, " ".join(_note(manifest, sets, there, share)))


def _characters(pair: Pair) -> int:
    return len(pair.left.text) + len(pair.right.text) + sum(len(verdict.reply) for verdict in pair.verdicts)


def _note(manifest: Manifest, sets: list[_Set], there: list[_Set], share: float) -> Iterator[str]:
    if len(manifest.seeds) > 1:
        yield f"Training seed {manifest.seeds[0]}, the first of {len(manifest.seeds)}."
    if share < 1:
        yield f"The first {share:.0%} of the prompts of each of {len(there)} sets; the others are in the store."
    if missing := len(sets) - len(there):
        yield f"{missing} of {len(sets)} sets of verdicts are no longer in the store and left out."


def _sets(manifest: Manifest, exhibits: Mapping[str, AnyExhibit]) -> Iterator[_Set]:
    """Each place in the store once, under the names of the first exhibit that rests on it."""
    seen: set[str] = set()
    for part in manifest.parts:
        exhibit = exhibits[part.name]
        found: Iterable[_Set] = ()
        if isinstance(part, ScoresPart) and isinstance(exhibit, ScoreTable):
            found = _of_scores(part, exhibit)
        elif isinstance(part, WinRatesPart) and isinstance(exhibit, WinRateTable):
            found = _of_win_rates(part, exhibit)
        for each in found:
            if each.place not in seen:
                seen.add(each.place)
                yield each


def _of_scores(part: ScoresPart, exhibit: ScoreTable) -> Iterator[_Set]:
    for cell in part.cells:
        if cell.judge and cell.judgments:
            label = exhibit.subject(cell.method)
            yield _Set(
                cell.model,
                exhibit.paper.model(cell.model),
                cell.method,
                label,
                cell.bench,
                exhibit.column(cell.bench, cell.metric).bench_label,
                "baseline",
                label,
                cell.judgments[0],
            )


def _of_win_rates(part: WinRatesPart, exhibit: WinRateTable) -> Iterator[_Set]:
    for cell in part.cells:
        if cell.judgments:
            match = exhibit.match(cell.match)
            yield _Set(
                cell.model,
                exhibit.paper.model(cell.model),
                cell.match,
                exhibit.subject(cell.match),
                "pairwise",
                exhibit.label,
                match.baselines.replace("_", " "),
                match.outputs.replace("_", " "),
                cell.judgments[0],
            )


def _by_prompt(rows: Iterable[Judgment]) -> dict[str, list[Judgment]]:
    prompts: dict[str, list[Judgment]] = {}
    for row in rows:
        prompts.setdefault(row.prompt.id, []).append(row)
    return prompts


def _pair(one: _Set, rows: list[Judgment]) -> Pair:
    """All verdicts on one prompt's two answers."""
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


def _verdict(one: _Set, row: Judgment) -> Verdict:
    first = one.right if row.order == "output_first" else one.left
    shown = f"{first} first" + (f", repeat {row.repeat + 1}" if row.repeat else "")
    return Verdict(shown, row.verdict, row.preference, outcome([row]), row.reply or row.error)


def _agreed(verdicts: Iterable[Verdict]) -> str:
    """The outcome that all verdicts have, but for those that failed."""
    outcomes = {verdict.outcome for verdict in verdicts} - {"failed"}
    if len(outcomes) > 1:
        return "verdicts differ"
    return outcomes.pop() if outcomes else "failed"

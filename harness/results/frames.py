"""A run as pandas DataFrames, read from its folder alone."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.papers.curves import METRIC
from harness.records import outcome
from harness.results.claims import ComparisonResult
from harness.results.exhibits import CurvesResult, Estimate, ScoresResult, WinRatesResult
from harness.results.manifest import Manifest, read_manifest
from harness.results.row_comparisons import RowComparison
from harness.results.training_curves import read_curves
from harness.results.verdicts import are_pairs, read_verdicts

if TYPE_CHECKING:
    from pandas import DataFrame

PAIRWISE = ("pairwise", "win_rate")
"""Bench and metric of win rates between sets of responses."""


@dataclass(frozen=True)
class RunFrames:
    """A finished run: its manifest, and its numbers as DataFrames. Each is made when it is first asked for."""

    folder: Path
    manifest: Manifest

    @cached_property
    def scores(self) -> "DataFrame":
        """Every score and win rate, in per cent: ours with its 95 % interval, and what the paper printed.

        Of a win rate, `method` is the match; of a point of a curve it is written as ``srpo/3``, line and place on the
        axis, and `bench` is the panel. `per_seed` holds the value of each training seed.
        """
        return _frame(score_rows(self.manifest), _SCORES)

    @cached_property
    def claims(self) -> "DataFrame":
        """Every ordering of every claim: the claim and its verdict, and the ordering's own paired test."""
        return _frame(ordering_rows(self.manifest), _CLAIMS)

    @cached_property
    def comparisons(self) -> "DataFrame":
        """Every test of a row against another that no claim is about (`RowComparison`): of rows of one's own, of
        ``--against``, of a sweep."""
        return _frame(comparison_rows(self.manifest), _COMPARISONS)

    @cached_property
    def training_curves(self) -> "DataFrame":
        """Every point of every training's course: `step` is the last optimizer step that it is the mean of.

        `methods` are those whose checkpoints come by way of the `stage`; `preference_loss` is empty for supervised
        fine-tuning. The other columns are the quantities that trainings record, such as `loss` and
        `learning_rate`; None where a training has no such.
        """
        points = list(_points(self.folder))
        quantities = dict.fromkeys(name for point in points for name in point if name not in _CURVES)
        return _frame(iter(points), (*_CURVES, *quantities))

    @cached_property
    def pairs(self) -> "DataFrame":
        """Every verdict on a pair of answers, of all training seeds; `outcome` is that of `output`."""
        return _frame(_verdicts(self.manifest, self.folder), _PAIRS)


def load_run(folder: Path) -> RunFrames:
    """Read the run in `folder`. Raises UserError where there is none that this version can read."""
    return RunFrames(folder, read_manifest(folder))


_CELL = ("exhibit", "model", "method", "bench", "metric")
_SCORES = (
    *_CELL, "value", "low", "high", "published", "per_seed", "n", "n_asked", "n_missing", "judge", "note",
)  # fmt: skip
_CLAIMS = (
    "exhibit", "claim", "says", "where", "quantifier", "claim_verdict", "p_adjusted",
    *(field.name for field in fields(ComparisonResult) if field.name not in ("ci95", "test")), "low", "high",
)  # fmt: skip
_COMPARISONS = (*(field.name for field in fields(RowComparison) if field.name != "ci95"), "low", "high")
_CURVES = ("model", "stage", "methods", "preference_loss", "seed", "step")
"""The first columns; quantities follow."""
_PAIRS = (
    *_CELL[:4], "seed", "prompt_id", "prompt", "order", "repeat", "baseline", "output", "verdict", "preference",
    "outcome", "state", "reply", "error",
)  # fmt: skip


def _frame(rows: Iterator[dict[str, Any]], columns: tuple[str, ...]) -> "DataFrame":
    from pandas import DataFrame

    return DataFrame(list(rows), columns=list(columns))


def _cells(manifest: Manifest) -> Iterator[tuple[dict[str, Any], Estimate, float | None]]:
    """Yield the place of each number (`_CELL`), the number, and what the paper printed there."""
    for result in manifest.results:
        if isinstance(result, ScoresResult):
            for score in result.cells:
                place = (result.exhibit.name, score.model, score.method, score.bench, score.metric)
                column = result.exhibit.column(score.bench, score.metric)
                yield dict(zip(_CELL, place, strict=True)), score, result.exhibit.published(*place[1:3], column)
        if isinstance(result, WinRatesResult):
            for rate in result.cells:
                place = (result.exhibit.name, rate.model, rate.match, *PAIRWISE)
                yield dict(zip(_CELL, place, strict=True)), rate, result.exhibit.match(rate.match).published
        if isinstance(result, CurvesResult):
            for point in result.points:
                place = (result.exhibit.name, point.model, point.id, point.panel, METRIC)
                yield dict(zip(_CELL, place, strict=True)), point, result.exhibit.printed(point.panel, point.id)


def score_rows(manifest: Manifest) -> Iterator[dict[str, Any]]:
    """Yield every score and win rate with its place, its interval as `low` and `high`, and what the paper printed."""
    for place, cell, published in _cells(manifest):
        low, high = cell.ci95 or (None, None)
        yield {**asdict(cell), **place, "low": low, "high": high, "published": published}


def ordering_rows(manifest: Manifest) -> Iterator[dict[str, Any]]:
    """Yield every ordering of every claim, with its own test and the verdict of the claim."""
    for claim in manifest.claims:
        names = {name: getattr(claim, name) for name in ("exhibit", "says", "where", "quantifier", "p_adjusted")}
        for each in claim.comparisons:
            low, high = each.ci95 or (None, None)
            verdict = {"claim": claim.id, "claim_verdict": claim.verdict}
            yield {**asdict(each), **names, **verdict, "low": low, "high": high}


def comparison_rows(manifest: Manifest) -> Iterator[dict[str, Any]]:
    """Yield every test of a row against another that no claim is about."""
    for each in manifest.comparisons:
        low, high = each.ci95 or (None, None)
        yield {**asdict(each), "low": low, "high": high}


def _points(folder: Path) -> Iterator[dict[str, Any]]:
    for stage in read_curves(folder):
        names = dict(zip(_CURVES, (stage.model, stage.stage, stage.methods, stage.loss), strict=False))
        for course in stage.trainings:
            for values in zip(*course.values.values(), strict=True):
                yield {**dict(zip(course.values, values, strict=True)), **names, "seed": course.seed}


def _verdicts(manifest: Manifest, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield each place of verdicts once, under the names of the first exhibit that rests on it."""
    seen: set[str] = set()
    for names, cell, _ in (each for each in _cells(manifest) if each[1].judge and are_pairs(each[1].judgments)):
        for seed, place in zip(manifest.seeds, cell.judgments, strict=False):
            if place not in seen:
                seen.add(place)
                for row in read_verdicts(folder, place):
                    prompt = {"prompt_id": row.prompt.id, "prompt": row.prompt.text}
                    yield {**asdict(row), **names, **prompt, "seed": seed, "outcome": outcome([row])}

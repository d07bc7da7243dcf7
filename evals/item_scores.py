"""Benchmarks whose metrics are means over rows: right-or-wrong items, grades of one answer, measurements."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evals import scoring
from evals.base import RESAMPLES, Benchmark, ItemResults, Metric, Scored, Setting
from harness.engine.artifacts import Artifact, Output, step
from harness.errors import UserError
from harness.records import ROWS
from harness.steps.respond import respond

if TYPE_CHECKING:
    from evals.stats.bootstrap import Statistic


@dataclass(frozen=True, slots=True)
class ItemValues(ItemResults):
    """A value of each metric by item, of which the metric is the mean: in per cent where it is a share."""

    metrics: Sequence[Metric]
    values: Mapping[str, Mapping[Any, float]]

    @property
    def items(self) -> Sequence[Any]:
        """The items with a value of every metric."""
        return list(set.intersection(*(set(self.values[metric.name]) for metric in self.metrics)))

    def statistic(self, metric: str, items: Sequence[Any]) -> Statistic:
        """Return the mean on items, each with a value."""
        import numpy as np

        from evals.stats.bootstrap import mean_statistic
        from evals.stats.win_rate import win_rate_statistic

        values = np.array([self.values[metric][item] for item in items], dtype=float)
        is_share = next(each for each in self.metrics if each.name == metric).is_share
        return win_rate_statistic(values) if is_share else mean_statistic(values)


class ItemBenchmark(Benchmark[Setting]):
    """A benchmark each of whose rows is one item: an `id`, and a value in a field that is named after each metric.

    A value is a number, true or false; None is a result that is missing. There is a row for each item that was asked.
    Of a metric in "%" a value is in [0, 1].
    """

    def run(self, setting: Setting, checkpoint: Artifact, seed: int) -> Artifact:
        """Return the rows about a checkpoint, or its answers to the instructions."""
        given: dict[str, Artifact] = {}
        if "model" in self.needs:
            given["model"] = checkpoint
        if "baselines" in self.needs or "outputs" in self.needs:
            given["baselines"] = setting.options.baselines.artifact()
        if "outputs" in self.needs:
            given["outputs"] = self.answers(setting, checkpoint, given["baselines"], seed)
        return self.rows(setting, **{name: given[name] for name in self.needs})

    def answers(self, setting: Setting, checkpoint: Artifact, prompts: Artifact, seed: int) -> Artifact:
        """Return what is evaluated: `Response` rows to the prompts, by default the checkpoint's."""
        return respond(model=checkpoint, prompts=prompts, sampling=setting.sampling, seed=seed)

    def score(self, setting: Setting, rows: Sequence[Artifact], name: str) -> Artifact:
        """Build `scores.json` of the means."""
        return score_items(rows=rows, metrics=self.metrics, allow_missing=setting.allow_missing, resamples=RESAMPLES)

    def compare(self, setting: Setting, better: Sequence[Artifact], worse: Sequence[Artifact]) -> Artifact:
        """Build `comparison.json` of the paired differences of the means."""
        return compare_items(
            better=better,
            worse=worse,
            metrics=self.metrics,
            allow_missing=setting.allow_missing,
            resamples=RESAMPLES,
        )

    def results(self, scored: Sequence[Scored]) -> list[ItemResults]:
        """Return the values by item."""
        return [_read(rows, self.metrics)[0] for each in scored for rows in each.rows]


@step(version=1)
def score_items(
    out: Output, *, rows: Sequence[Artifact], metrics: tuple[Metric, ...], allow_missing: bool, resamples: int
) -> None:
    """Write `scores.json` over all training seeds, and each seed's own in `seed-<n>/`."""
    sets = [_read(each, metrics) for each in rows]
    asked = max(n_rows for _, n_rows in sets)
    write_scores(out, rows, [each for each, _ in sets], asked, allow_missing=allow_missing, resamples=resamples)


def write_scores(
    out: Output,
    rows: Sequence[Artifact],
    sets: Sequence[ItemResults],
    asked: int,
    *,
    allow_missing: bool,
    resamples: int,
) -> None:
    """Write `scores.json` over all training seeds, and each seed's own with its rows in `seed-<n>/`.

    Of each training seed there is an artifact of rows and what is read of it; `asked` items were wanted.
    """
    rules: dict[str, Any] = {"asked": asked, "allow_missing": allow_missing, "mend": "", "resamples": resamples}
    for number, (artifact, each) in enumerate(zip(rows, sets, strict=True)):
        (out.folder / f"seed-{number}").mkdir()
        shutil.copyfile(artifact.folder / ROWS, out.folder / f"seed-{number}" / ROWS)
        out.write_json(f"seed-{number}/scores.json", scoring.score_one(each, **rules))
    uncertainty = scoring.uncertainty([[each] for each in sets], resamples=resamples)
    out.write_json("scores.json", scoring.score(sets, **rules) | {"uncertainty": uncertainty})


@step(version=1)
def compare_items(
    out: Output,
    *,
    better: Sequence[Artifact],
    worse: Sequence[Artifact],
    metrics: tuple[Metric, ...],
    allow_missing: bool,
    resamples: int,
) -> None:
    """Write `comparison.json`: for each metric the paired difference between two methods on the same items."""
    first, second = ([_read(rows, metrics)[0] for rows in side] for side in (better, worse))
    scoring.write_comparison(out, first, second, metrics, allow_missing=allow_missing, resamples=resamples)


def _read(rows: Artifact, metrics: Sequence[Metric]) -> tuple[ItemValues, int]:
    """Return the values in rows, and how many rows there are.

    Raises UserError for a row without an `id` or a metric, a value that is no number, and an id that comes twice.
    """
    values: dict[str, dict[Any, float]] = {metric.name: {} for metric in metrics}
    seen: set[Any] = set()
    for row in _rows(rows):
        if missing := next((name for name in ("id", *values) if name not in row), None):
            raise UserError(f"{rows}: a row has no {missing!r}; a benchmark's rows have an id, and each of its metrics")
        if row["id"] in seen:
            raise UserError(f"{rows}: two rows of the item {row['id']!r}; write one for each")
        seen.add(row["id"])
        for name, by_item in values.items():
            if row[name] is not None:
                by_item[row["id"]] = _number(row[name], f"{rows}: {name} of the item {row['id']!r}")
    return ItemValues(metrics, values), len(seen)


def _rows(rows: Artifact) -> Iterator[dict[str, Any]]:
    """Yield the rows as they are stored, whatever their class."""
    with (rows.folder / ROWS).open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _number(value: Any, where: str) -> float:
    if not isinstance(value, bool | int | float):
        raise UserError(f"{where} is {value!r}; write a number, true or false, or null for a result that is missing")
    return float(value)

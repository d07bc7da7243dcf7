"""The tests of rows that no claim of the paper is about, decided as one family."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from evals.scoring import decide, measured_difference
from harness.engine.store import Store
from harness.experiments import Experiment
from harness.papers.scores import ScoreTable
from harness.recipes.registries import load_benchmark
from harness.results.row_comparisons import RowComparison


@dataclass(frozen=True, slots=True)
class _RowTest:
    """One test by itself: its place, and its record in ``comparison.json``."""

    model: str
    first: str
    second: str
    bench: str
    metric: str
    result: dict[str, Any]

    @property
    def cells(self) -> tuple[tuple[str, ...], ...]:
        """The cells of the difference, in the order of its sides; where less is better the second is the first."""
        names = [(self.model, row, self.bench, self.metric) for row in (self.first, self.second)]
        return tuple(names if _is_more_better(self.bench, self.metric) else names[::-1])


def compare_rows(experiments: Sequence[Experiment], store: Store) -> tuple[RowComparison, ...]:
    """Decide the row tests of the experiments, each place once, as one family."""
    tests = list({_place(test): test for experiment in experiments for test in _tests(experiment, store)}.values())
    on = [_subject(test.result) for test in tests]
    decide([test.result for test in tests], [test.cells for test in tests])
    return tuple(_comparison(*each) for each in zip(tests, on, strict=True))


def _tests(experiment: Experiment, store: Store) -> Iterator[_RowTest]:
    """Yield the tests of one table, by each metric that it has a column of."""
    if not isinstance(experiment.exhibit, ScoreTable):
        return
    for (model, first, second, bench), test in experiment.row_tests.items():
        by_metric = store.bind(test).json("comparison.json")
        for column in experiment.exhibit.columns:
            if column.bench == bench:
                yield _RowTest(model, first, second, bench, column.metric, dict(by_metric[column.metric]))


def _place(test: _RowTest) -> tuple[str, ...]:
    return test.model, test.first, test.second, test.bench, test.metric


def _is_more_better(bench: str, metric: str) -> bool:
    return {each.name: each.higher_is_better for each in load_benchmark(bench).metrics}.get(metric, True)


def _subject(result: dict[str, Any]) -> str:
    """Return what a verdict is on."""
    if "withheld" in result:
        return ""
    return "methods" if measured_difference(result).covers_training_seeds else "checkpoints"


def _comparison(test: _RowTest, on: str) -> RowComparison:
    names: dict[str, Any] = dict(zip(("model", "first", "second", "bench", "metric"), _place(test), strict=True))
    if "withheld" in test.result:
        return RowComparison(**names, verdict="withheld", note=test.result["withheld"])
    figures = {name: value for name, value in test.result.items() if name not in names}
    return RowComparison(**names, **{**figures, "ci95": tuple(figures["ci95"])}, on=on)

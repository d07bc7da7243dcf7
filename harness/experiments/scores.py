"""Tables of benchmark scores: the cells they need on a scale, and the paired tests of the claims about them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean
from typing import Any

from evals.base import Benchmark, Setting
from evals.judged_pairs import JudgedPairs
from harness.engine.artifacts import Artifact, ancestry, find_step, labels
from harness.engine.store import Store, place
from harness.experiments.interface import Checkpoints, Experiment, Request, Tests, metric_fields, stated, test_place
from harness.experiments.rates_of_rows import rates_of_rows
from harness.experiments.row_pairs import row_pairs
from harness.mini.identity import world_digest
from harness.papers.scores import ScoreTable
from harness.recipes.benches import bench_on
from harness.recipes.recipe import Recipe
from harness.recipes.registries import load_benchmark
from harness.results.exhibits import Diagnostics, Score, ScoresResult
from harness.steps.gold import GoldQuality, gold_quality


@dataclass(frozen=True, slots=True)
class BenchCell:
    """One method on one base model and one bench, over all seeds: all metrics of that bench."""

    model: str
    method: str
    bench: str
    judgments: tuple[Artifact, ...]
    """The benchmark's rows, one artifact a training seed."""
    score: Artifact
    gold: tuple[Artifact, ...]
    """The outputs' gold quality, one artifact a seed; empty where the truth is not known, or nothing is judged."""
    is_judged: bool = True
    """Whether the rows are a judge's verdicts on pairs."""


ANSWERING = ("respond", "answer_two_turns")
"""The steps that draw the answers that rows are about."""

Benches = Mapping[str, tuple[Benchmark[Any], Setting]]
"""Each benchmark of a table, and what it is run with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoresExperiment(Experiment):
    """A table of scores on a scale, as promises."""

    exhibit: ScoreTable
    recipe: Recipe
    methods: tuple[str, ...]
    cells: tuple[BenchCell, ...]

    def targets(self) -> list[Artifact]:
        """List checkpoints, answers, verdicts, scores, tests."""
        judged = [artifact for cell in self.cells for artifact in (*cell.judgments, *cell.gold)]
        answers = [answer for cell in self.cells for answer in _answers(cell)]
        results = [*(cell.score for cell in self.cells), *self.tests.values(), *self.row_tests.values()]
        return [*self.checkpoints.values(), *answers, *judged, *results]

    def scores(self) -> Mapping[str, Artifact]:
        """Return the score of each cell: `<model>-<method>-<bench>`."""
        return {f"{cell.model}-{cell.method}-{cell.bench}": cell.score for cell in self.cells}

    def result(self, store: Store) -> ScoresResult:
        """Read scores, learning rates, and, where the truth is known, the gold quality behind them."""
        return ScoresResult(
            exhibit=self.exhibit,
            models=self.models,
            rows=self.methods,
            cells=tuple(score for cell in self.cells for score in self._scores(cell, store)),
            diagnostics=tuple(self._diagnostics(cell, store) for cell in self.cells),
            learning_rates=rates_of_rows(self.recipe, self.checkpoints),
        )

    def _scores(self, cell: BenchCell, store: Store) -> Iterator[Score]:
        """Yield one for each metric of the table's columns."""
        scores = store.bind(cell.score).json("scores.json")
        for column in self.exhibit.columns:
            if column.bench == cell.bench:
                yield Score(
                    model=cell.model,
                    method=cell.method,
                    bench=cell.bench,
                    metric=column.metric,
                    **metric_fields(scores, column.metric),
                    n=self.recipe.benches[cell.bench].size,
                    judge=self.fingerprints[cell.bench],
                    artifact=place(cell.score),
                    judgments=tuple(place(judged) for judged in cell.judgments),
                )

    def _diagnostics(self, cell: BenchCell, store: Store) -> Diagnostics:
        place = (cell.model, cell.method)
        checkpoints = [made for (*made_for, _), made in self.checkpoints.items() if tuple(made_for) == place]
        trainings = [one for one in ancestry(checkpoints) if find_step(one).work == "training" and store.has(one)]
        answers = [store.record(output)["counts"] for output in _answers(cell)]
        return Diagnostics(
            model=cell.model,
            method=cell.method,
            bench=cell.bench,
            **_gold(cell, store),
            cut_off=sum(counts["cut_off"] for counts in answers),
            answers=sum(counts["rows"] for counts in answers),
            unclosed_rows=sum(store.record(one)["counts"].get("unclosed_rows", 0) for one in trainings),
        )


def scores(exhibit: ScoreTable, request: Request) -> ScoresExperiment:
    """Return the table on the request's scale."""
    recipe, models = request.recipe, request.models_of(exhibit)
    asked = (*request.methods, *request.against)
    methods = tuple(row.method for row in exhibit.rows if not request.methods or row.method in asked)
    benches = {
        bench: (load_benchmark(bench), bench_on(recipe, bench))
        for bench in dict.fromkeys(column.bench for column in exhibit.columns)
    }
    checkpoints = {place: request.checkpoint(*place) for place in product(models, methods, request.seeds)}
    cells = tuple(
        cell
        for model_name in models
        for method in methods
        for cell in _cells(recipe, benches, checkpoints, model_name, method)
    )
    return ScoresExperiment(
        exhibit=exhibit,
        recipe=recipe,
        models=models,
        methods=methods,
        checkpoints=checkpoints,
        cells=cells,
        tests=_tests(exhibit, benches, cells),
        row_tests=_row_tests(benches, cells, row_pairs(request, methods, checkpoints)),
        fingerprints={bench: benchmark.fingerprint(setting) for bench, (benchmark, setting) in benches.items()},
    )


def _cells(
    recipe: Recipe,
    benches: Benches,
    checkpoints: Checkpoints,
    model_name: str,
    method_name: str,
) -> Iterable[BenchCell]:
    place = (model_name, method_name)
    by_seed = {seed: made for (*made_for, seed), made in checkpoints.items() if tuple(made_for) == place}
    for bench, (benchmark, setting) in benches.items():
        judgments, gold, is_judged = [], [], isinstance(benchmark, JudgedPairs)
        for seed, checkpoint in by_seed.items():
            with labels(f"{model_name} {method_name} seed {seed} {bench}"):
                judgments.append(benchmark.run(setting, checkpoint, seed))
                if recipe.truth_is_known and is_judged:
                    gold.append(gold_quality(judgments=judgments[-1], world=world_digest()))
        with labels(f"{model_name} {method_name} {bench}"):
            score = benchmark.score(setting, judgments, f"{model_name}-{method_name}")
        yield BenchCell(model_name, method_name, bench, tuple(judgments), score, tuple(gold), is_judged)


def _tests(table: ScoreTable, benches: Benches, cells: Sequence[BenchCell]) -> Tests:
    """Test each pair that a claim compares, whichever of the bench's metrics it is about."""
    by_place = _by_place(cells)
    tests = {}
    for model_name, comparison in stated(table, {cell.model for cell in cells}):
        name = test_place(model_name, comparison)
        pair = [by_place.get((model_name, method, comparison.bench)) for method in name[1:3]]
        if name not in tests and pair[0] and pair[1]:
            benchmark, setting = benches[comparison.bench]
            with labels(f"{model_name} {comparison.better} against {comparison.worse} {comparison.bench}"):
                tests[name] = benchmark.compare(setting, pair[0].judgments, pair[1].judgments)
    return tests


def _row_tests(benches: Benches, cells: Sequence[BenchCell], pairs: Sequence[tuple[str, str]]) -> Tests:
    """Test the first of each pair of rows against the second, on each base model and bench."""
    by_place = _by_place(cells)
    tests = {}
    for (first, second), (model_name, bench) in product(
        pairs, dict.fromkeys((each.model, each.bench) for each in cells)
    ):
        benchmark, setting = benches[bench]
        sides = (by_place[model_name, row, bench].judgments for row in (first, second))
        with labels(f"{model_name} {first} against {second} {bench}"):
            tests[model_name, first, second, bench] = benchmark.compare(setting, *sides)
    return tests


def _by_place(cells: Sequence[BenchCell]) -> dict[tuple[str, str, str], BenchCell]:
    return {(cell.model, cell.method, cell.bench): cell for cell in cells}


def _answers(cell: BenchCell) -> list[Artifact]:
    return [parent for judged in cell.judgments for parent in judged.parents() if parent.step in ANSWERING]


def _gold(cell: BenchCell, store: Store) -> dict[str, float]:
    """Return `Diagnostics`, as far as it takes the truth."""
    if not cell.gold:
        return {}
    rows = [row for artifact in cell.gold for row in store.bind(artifact).rows(GoldQuality)]
    return {"gold_quality": fmean(row.quality for row in rows), "mean_words": fmean(row.words for row in rows)}

"""A table of scores whose columns have no judge: measured, compared where less is better, and shown beside others."""

from collections.abc import Iterator
from dataclasses import replace
from statistics import fmean
from typing import Any

import pytest

from evals.base import BaselineOptions, Scored
from evals.scoring import better_is_more, on_shared_items
from harness.engine.pipeline import run
from harness.engine.store import Store
from harness.experiments import Experiment
from harness.experiments.scores import scores
from harness.papers.scores import ScoreColumn
from harness.recipes.registries import load_benchmark
from harness.steps.data import DataRole
from harness.steps.edit_distance import EditDistance
from harness.steps.perplexity import Perplexity
from tests.experiments.exhibits import SCALE, request, score_table

COLUMNS = tuple(
    ScoreColumn(bench, bench, metric, bench, metric, "", "")
    for bench, metric in (("perplexity", "log_perplexity"), ("edit_distance", "tokens"))
)
BENCHES = {
    name: BaselineOptions(baselines=DataRole("mini:alpaca_eval2", 8)) for name in ("perplexity", "edit_distance")
}

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Experiment, Any]]:
    store = Store(tmp_path_factory.mktemp("run") / "store")
    asked = replace(request(), recipe=replace(SCALE, benches=BENCHES))
    made = scores(score_table(*COLUMNS), asked)
    run(made.targets(), store)
    yield store, made, made.result(store)


def test_a_cell_is_the_mean_of_its_rows(finished: tuple[Store, Any, Any]) -> None:
    store, made, result = finished
    assert [(cell.method, cell.metric) for cell in result.cells] == [
        (method, column.metric) for method in ("sft", "dpo") for column in COLUMNS
    ]
    for cell, promised in zip(result.cells, made.cells, strict=True):
        [rows] = [store.bind(each) for each in promised.judgments]
        if cell.bench == "perplexity":
            values = [row.nats_per_token for row in rows.rows(Perplexity)]
        else:
            values = [float(row.tokens) for row in rows.rows(EditDistance)]
        assert cell.value == pytest.approx(fmean(values))
        assert cell.ci95[0] < cell.value < cell.ci95[1]
        assert (cell.n, cell.n_asked, cell.n_missing, cell.judge) == (8, 8, 0, "")


def test_the_test_of_a_claim_is_positive_where_the_better_has_less(finished: tuple[Store, Any, Any]) -> None:
    store, made, result = finished
    value = {(cell.method, cell.metric): cell.value for cell in result.cells}
    for comparison in made.exhibit.claims[0].comparisons:
        metric = comparison.metric
        found = store.bind(made.test("llama", comparison)).json("comparison.json")[metric]
        assert found["difference"] == pytest.approx(value["sft", metric] - value["dpo", metric])
        assert found["unit"] == {"tokens": "tokens", "log_perplexity": "nats"}[metric]


def test_regress_has_more_where_a_run_has_less(finished: tuple[Store, Any, Any]) -> None:
    store, made, result = finished
    for cell, promised in zip(result.cells, made.cells, strict=True):
        rows = [store.bind(each) for each in promised.judgments]
        sets = load_benchmark(cell.bench).results([Scored(rows, lambda name: None)])
        shared = better_is_more(on_shared_items(sets, cell.metric), sets, cell.metric)
        assert [each.value for each in shared.statistics] == [pytest.approx(-cell.value)]

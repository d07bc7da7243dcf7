"""A table of scores whose columns are grades of single answers, beside one of judged pairs."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from evals.base import Scored
from evals.mt_bench.benchmark import TwoTurnOptions
from evals.mt_bench.grading import Grade
from evals.scoring import on_shared_items
from harness.engine.pipeline import run
from harness.engine.store import Store
from harness.errors import UserError
from harness.experiments import Experiment
from harness.experiments.scores import scores
from harness.papers.scores import ScoreColumn
from harness.recipes.registries import load_benchmark
from harness.results.verdicts import are_pairs
from harness.steps.data import DataRole
from tests.experiments.exhibits import SCALE, request, score_table

METRICS = ("first_turn", "second_turn", "average")
COLUMNS = (
    *(ScoreColumn(metric, "mt_bench", metric, "MT-Bench", metric, "gpt-4", "") for metric in METRICS),
    ScoreColumn("arena", "arena_hard", "score", "Arena-Hard", "WR (%)", "gpt-4-1106-preview", "gpt-4-0314"),
)
BENCHES = {
    "mt_bench": TwoTurnOptions(questions=DataRole("mini:two_turn_questions", 8)),
    "arena_hard": replace(SCALE.benches["arena_hard"], baselines=DataRole("mini:arena_hard", 4)),
}

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Experiment, Any]]:
    store = Store(tmp_path_factory.mktemp("run") / "store")
    asked = replace(request(), recipe=replace(SCALE, benches=BENCHES))
    made = scores(score_table(*COLUMNS), asked)
    run(made.targets(), store)
    yield store, made, made.result(store)


def test_a_cell_is_the_mean_of_its_turns_grades(finished: tuple[Store, Any, Any]) -> None:
    store, made, result = finished
    rows = {cell.method: store.bind(cell.judgments[0]).rows(Grade) for cell in made.cells if cell.bench == "mt_bench"}
    cells = {(cell.method, cell.metric): cell for cell in result.cells if cell.bench == "mt_bench"}
    assert cells.keys() == {(method, metric) for method in ("sft", "dpo") for metric in METRICS}
    for (method, metric), cell in cells.items():
        turns = {"first_turn": [1], "second_turn": [2], "average": [1, 2]}[metric]
        ratings = [row.rating for row in rows[method] if row.turn in turns]
        assert cell.value == pytest.approx(fmean(rating for rating in ratings if rating is not None))
        assert (cell.n, cell.n_asked, cell.n_missing) == (8, 16, 0) and len(ratings) == 8 * len(turns)


def test_the_judge_of_grades_is_told_from_that_of_pairs(finished: tuple[Store, Any, Any]) -> None:
    _, made, result = finished
    judges = {cell.bench: cell.judge for cell in result.cells}
    assert judges["mt_bench"] == made.fingerprints["mt_bench"] != judges["arena_hard"]
    assert {cell.bench: are_pairs(cell.judgments) for cell in result.cells} == {"mt_bench": False, "arena_hard": True}
    assert {each.bench: each.answers for each in result.diagnostics} == {"mt_bench": 16, "arena_hard": 4}


def test_the_test_of_a_claim_is_paired_by_question(finished: tuple[Store, Any, Any]) -> None:
    store, made, result = finished
    value = {(cell.method, cell.metric): cell.value for cell in result.cells}
    tested = [each for each in made.exhibit.claims[0].comparisons if each.bench == "mt_bench"]
    assert [each.metric for each in tested] == list(METRICS)
    for comparison in tested:
        found = store.bind(made.test("llama", comparison)).json("comparison.json")[comparison.metric]
        difference = value[comparison.better, comparison.metric] - value[comparison.worse, comparison.metric]
        assert found["difference"] == pytest.approx(difference, abs=1e-12)
        assert (found["unit"], found["n_prompts"]) == ("points of 10", 8)


def test_grades_of_two_judges_are_not_compared(finished: tuple[Store, Any, Any], tmp_path: Path) -> None:
    store, made, _ = finished
    benchmark = load_benchmark("mt_bench")
    rows = [store.bind(cell.judgments[0]) for cell in made.cells if cell.bench == "mt_bench"]
    sets = benchmark.results([Scored([each], lambda name: None) for each in rows])
    assert on_shared_items(sets, "average").n_items == 8
    record = rows[0].folder / "artifact.json"
    text = record.read_text()
    record.chmod(0o644)
    record.write_text(text.replace('"mini:judge"', '"another"'))
    try:
        with pytest.raises(UserError, match="these grades are of different judges or judging prompts"):
            benchmark.results([Scored([each], lambda name: None) for each in rows])
    finally:
        record.write_text(text)

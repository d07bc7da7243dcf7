"""Benchmarks of other rows than judged pairs: right-or-wrong items, grades of one answer, measurements."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Literal

import pytest

from evals import scoring
from evals.base import BaselineOptions, Benchmark, ItemResults, Metric, Options, Scored, Setting
from evals.edit_distance.benchmark import BENCHMARK as EDIT_DISTANCE
from evals.item_scores import ItemBenchmark, ItemValues
from evals.perplexity.benchmark import BENCHMARK as PERPLEXITY
from harness.engine.artifacts import Artifact, Output, step
from harness.engine.store import Store
from harness.errors import UserError
from harness.models.generator import Sampling
from harness.records import Response
from harness.steps.data import DataRole, model
from harness.steps.judge import judge
from tests.steps.given import answers, made

SETTING = Setting(options=None, judge=judge("mini:judge"), sampling=Sampling(0.0, 1.0, 8))
N = 40


@dataclass(frozen=True, slots=True)
class ItemScore:
    """Whether an item was answered rightly."""

    id: str
    correct: bool | None


@dataclass(frozen=True, slots=True)
class Grade:
    """A judge's grade of one answer, from 1 to 10, with what was said of it."""

    id: str
    answer: str
    reply: str
    grade: float | None


@step(version=1)
def right_or_wrong(out: Output, *, outputs: Artifact) -> None:
    """`ItemScore` rows: an answer is right if it is "yes", and missing if it is empty."""
    rows = outputs.rows(Response)
    out.write_rows(ItemScore(row.prompt.id, row.text == "yes" if row.text else None) for row in rows)


@step(version=1)
def grades(out: Output, *, outputs: Artifact) -> None:
    """`Grade` rows: as many points as an answer has words."""
    for_rows = ((row, len(row.text.split())) for row in outputs.rows(Response))
    out.write_rows(Grade(row.prompt.id, row.text, f"[[{n}]]", float(n) or None) for row, n in for_rows)


class RightOrWrong(ItemBenchmark):
    """Yes or no."""

    summary, source, metrics = "share of right answers", "a test", (Metric("correct"),)

    def rows(self, setting: Setting, **given: Artifact) -> Artifact:
        """Right or wrong."""
        return right_or_wrong(outputs=given["outputs"])


class Graded(ItemBenchmark):
    """Grades of one answer."""

    summary, source, metrics = "mean grade", "a test", (Metric("grade", unit="1-10"),)

    def rows(self, setting: Setting, **given: Artifact) -> Artifact:
        """Grades."""
        return grades(outputs=given["outputs"])


def scored(store: Store, benchmark: Benchmark[Setting], *sets: Sequence[str], allow_missing: bool = False) -> Artifact:
    """The scores of sets of answers, one a training seed."""
    rows = [benchmark.rows(SETTING, outputs=_answers(each)) for each in sets]
    return made(store, benchmark.score(replace(SETTING, allow_missing=allow_missing), rows, "mine"))


def compared(store: Store, benchmark: Benchmark[Setting], better: Sequence[str], worse: Sequence[str]) -> Any:
    sides = ([benchmark.rows(SETTING, outputs=_answers(side))] for side in (better, worse))
    return made(store, benchmark.compare(SETTING, *sides)).json("comparison.json")


def _answers(texts: Sequence[str]) -> Artifact:
    return answers({f"p{place:03}": text for place, text in enumerate(texts)})


def said(right: int, of: int = N) -> list[str]:
    return ["yes"] * right + ["no"] * (of - right)


def test_right_answers_are_counted_in_per_cent(store: Store) -> None:
    found = scored(store, RightOrWrong(), said(30), said(20))
    scores, first = found.json("scores.json"), found.json("seed-0/scores.json")
    assert scores["per_seed"]["correct"] == [75, 50]
    assert scores["mean"]["correct"] == 62.5
    low, high = scores["ci95"]["correct"]
    assert 0 <= low < 62.5 < high <= 100
    assert (first["correct"], first["n_asked"], first["n_missing"], first["withheld"]) == (75, N, 0, None)
    assert set(scores["uncertainty"]["correct"]) == {"prompts", "judge", "training_seeds", "total"}
    assert [row.correct for row in read(found)] == [True] * 30 + [False] * 10


def read(found: Artifact) -> list[ItemScore]:
    return [ItemScore(**json.loads(line)) for line in (found.folder / "seed-0/rows.jsonl").read_text().splitlines()]


def test_all_right_is_no_certainty(store: Store) -> None:
    """Items that agree cannot show that others might not: the exact interval stands in, as for win rates."""
    first = scored(store, RightOrWrong(), said(N)).json("seed-0/scores.json")
    assert first["correct"] == 100
    assert first["ci95"]["correct"] == pytest.approx([100 * 0.025 ** (1 / N), 100])


def test_grades_are_in_their_own_unit_and_bounded_by_no_per_cent(store: Store) -> None:
    """A mean above 100 keeps its interval, whether of one training seed or of several."""
    long = [" ".join("a" * (150 + place)) for place in range(N)]
    for sets in ([long], [long, [f"{text} a" for text in long]]):
        scores = scored(store, Graded(), *sets).json("scores.json")
        low, high = scores["ci95"]["grade"]
        assert 100 < low < scores["mean"]["grade"] < high
    first = scored(store, Graded(), ["a", "a b c"]).json("seed-0/scores.json")
    assert first["grade"] == 2
    assert first["ci95"]["grade"] == [1, 3]


def test_missing_results_withhold_and_may_be_allowed(store: Store) -> None:
    texts = [*said(30), "", ""]
    held = scored(store, RightOrWrong(), texts)
    reason = "only 40 of 42 items have a result; --allow-missing scores these alone"
    assert held.json("scores.json")["withheld"] == held.json("seed-0/scores.json")["withheld"] == reason
    assert held.json("scores.json")["mean"] == {"correct": None}
    assert held.json("seed-0/scores.json")["ci95"] == {"correct": None}
    allowed = scored(store, RightOrWrong(), texts, allow_missing=True).json("seed-0/scores.json")
    assert (allowed["correct"], allowed["n_missing"]) == (75, 2)


def test_no_result_at_all_is_no_score(store: Store) -> None:
    found = scored(store, RightOrWrong(), ["", ""], allow_missing=True)
    assert found.json("scores.json")["mean"] == {"correct": None}
    assert found.json("seed-0/scores.json")["correct"] is None


def test_methods_are_compared_on_shared_items(store: Store) -> None:
    result = compared(store, RightOrWrong(), said(32), said(24))["correct"]
    assert result["difference"] == pytest.approx(20)
    assert result["n_prompts"] == N
    assert "unit" not in result, "points"
    graded = compared(store, Graded(), ["a b"] * N, ["a"] * N)["grade"]
    assert (graded["difference"], graded["unit"]) == (pytest.approx(1), "1-10")
    few = compared(store, RightOrWrong(), said(30), said(20, of=30))["correct"]
    assert few["withheld"].startswith("the sets share 30 of 40 prompts")


@pytest.mark.parametrize(("higher_is_better", "sign"), [(True, 1), (False, -1)])
def test_a_difference_is_positive_where_the_first_is_better(higher_is_better: bool, sign: int) -> None:
    metric = Metric("m", unit="s", higher_is_better=higher_is_better)
    first, second = (ItemValues([metric], {"m": {n: n + shift for n in range(9)}}) for shift in (3.0, 1.0))
    assert scoring.compare([first], [second], "m", resamples=20)["difference"] == pytest.approx(2 * sign)
    up = scoring.better_is_more(scoring.on_shared_items([first], "m"), [first], "m")
    assert up.statistics[0].value == pytest.approx(sign * fmean(n + 3 for n in range(9)))


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([{"id": "a"}], "a row has no 'correct'"),
        ([{"correct": True}], "a row has no 'id'"),
        ([{"id": "a", "correct": True}] * 2, "two rows of the item 'a'"),
        ([{"id": "a", "correct": "yes"}], "correct of the item 'a' is 'yes'; write a number"),
    ],
)
def test_rows_that_are_no_scores_are_refused(store: Store, rows: list[dict[str, Any]], complaint: str) -> None:
    with pytest.raises(UserError, match=re.escape(complaint)):
        made(store, RightOrWrong().score(SETTING, [plain_rows(text="\n".join(map(json.dumps, rows)))], "mine"))


@step()
def plain_rows(out: Output, *, text: str) -> None:
    """Rows as they are written."""
    (out.folder / "rows.jsonl").write_text(text + "\n")


def test_regress_reads_the_results_of_any_benchmark(store: Store) -> None:
    rows = [made(store, RightOrWrong().rows(SETTING, outputs=_answers(said(n)))) for n in (10, 20)]
    results = RightOrWrong().results([Scored([each], lambda name: None) for each in rows])
    shared = scoring.on_shared_items(results, "correct")
    assert [each.value for each in shared.statistics] == [25, 50]
    with pytest.raises(UserError, match="did you mean 'correct'"):
        scoring.on_shared_items(results, "corect")


# Measurements as columns


@pytest.mark.parametrize("benchmark", [EDIT_DISTANCE, PERPLEXITY])
def test_a_measurement_is_a_benchmark_like_any_other(store: Store, benchmark: Benchmark[Setting]) -> None:
    options = BaselineOptions(baselines=DataRole("mini:alpaca_eval2", 6))
    setting = replace(SETTING, options=options)
    rows = [benchmark.run(setting, model(name), 0) for name in ("mini:llama", "mini:qwen2-small")]
    scores = made(store, benchmark.score(setting, rows, "mine")).json("scores.json")
    [metric] = benchmark.metrics
    assert not metric.higher_is_better
    assert scores["mean"][metric.name] == pytest.approx(fmean(scores["per_seed"][metric.name]))
    assert (scores["n_asked"], scores["n_missing"]) == (12, 0)
    result = made(store, benchmark.compare(setting, rows[:1], rows[1:])).json("comparison.json")[metric.name]
    first, second = scores["per_seed"][metric.name]
    assert result["difference"] == pytest.approx(second - first)
    assert result["unit"] == metric.unit


# Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Shots(BaselineOptions):
    """Instructions, examples before each, and other data."""

    shots: int = 5
    level: Literal["easy", "hard"] = "easy"
    others: tuple[DataRole, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks(Options):
    """Tasks that are counted by themselves."""

    limit: int

    @property
    def size(self) -> int:
        """Items."""
        return self.limit

    def resized(self, size: int) -> "Tasks":
        """Fewer."""
        return replace(self, limit=size)


def test_options_are_made_smaller_with_all_their_data() -> None:
    options = Shots(baselines=DataRole("a", 100), others=(DataRole("b", 100), DataRole("c", 50)), shots=3)
    small = options.resized(7)
    assert (options.size, small.size) == (100, 7)
    assert [role.size for role in small.others] == [7, 7]
    assert (small.shots, small.level) == (3, "easy")
    assert Tasks(limit=9).resized(4).size == 4


def test_the_mean_of_nothing_is_not_asked_for() -> None:
    """A set without a result shares no item, so that no statistic is on none."""
    metric = Metric("m")
    sets: list[ItemResults] = [ItemValues([metric], {"m": {}}), ItemValues([metric], {"m": {"a": 1.0}})]
    assert scoring.shared_items(sets) == []
    assert scoring.uncertainty([[each] for each in sets], resamples=5) == {}
    assert scoring.compare(sets[:1], sets[1:], "m", allow_missing=True)["withheld"]

"""MT-Bench's scores and their intervals: the official tool's means, clustered by question."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.base import FileOptions
from evals.mt_bench.judgment_files import GradeFiles
from evals.mt_bench.scores import METRICS, Grades, TurnRating, score_grades, score_one
from evals.stats.bootstrap import resample_counts
from harness.errors import UserError

Ratings = list[tuple[float | None, float | None]]
"""By question: the grades of both turns."""

ratings = st.one_of(st.none(), st.integers(1, 10).map(float))
some_ratings = st.lists(st.tuples(st.integers(1, 10).map(float), ratings), min_size=2, max_size=30)


def grades(of: Sequence[tuple[float | None, ...]], category: str = "stem") -> Grades:
    return Grades(
        [
            TurnRating(f"q{number:02}", category, turn, rating)
            for number, both in enumerate(of)
            for turn, rating in enumerate(both, 1)
        ]
    )


def scored(of: Grades, **rules: object) -> dict[str, object]:
    defaults = {"n_questions": 30, "allow_missing": True, "resamples": 200}
    return score_one(of, **defaults | rules)


def test_means_are_those_of_the_official_tool(tmp_path: Path) -> None:
    """What show_result.py of FastChat 0.2.36 prints of the same file."""
    path = tmp_path / "gpt-4_single.jsonl"
    lines = [
        {
            **{"question_id": id, "model": "m", "judge": ["gpt-4", "single-v1"], "judgment": "", "turn": turn},
            "score": -1 if (id * turn) % 23 == 0 else 1 + ((id * 7 + turn * 3) % 19) / 2,
        }
        for id in range(81, 161)
        for turn in (1, 2)
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    found = GradeFiles(FileOptions(allow_missing=True)).score(path)
    assert found["first_turn"] == pytest.approx(5.519481, abs=5e-7)
    assert found["second_turn"] == pytest.approx(5.538961, abs=5e-7)
    assert found["average"] == pytest.approx(5.529221, abs=5e-7)
    assert (found["n_asked"], found["n_missing"], found["departure"]) == (160, 6, None)
    assert list(found["by_category"]) == [
        *("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities")
    ]


@given(some_ratings)
def test_means_are_of_the_grades_that_are_there(of: Ratings) -> None:
    found = scored(grades(of))
    by_turn = [[both[turn] for both in of if both[turn] is not None] for turn in (0, 1)]
    assert found["first_turn"] == pytest.approx(np.mean(by_turn[0]))
    assert found["average"] == pytest.approx(np.mean(by_turn[0] + by_turn[1]))
    assert found["second_turn"] == (pytest.approx(np.mean(by_turn[1])) if by_turn[1] else None)
    assert found["n_missing"] == 60 - len(by_turn[0]) - len(by_turn[1])


@given(some_ratings)
def test_intervals_resample_questions(of: Ratings) -> None:
    """As a naive bootstrap has it that draws questions, each with all of its grades."""
    counts = resample_counts(len(of), 200, seed=0).astype(int)
    means = []
    for drawn in counts:
        both = [each for each, count in zip(of, drawn, strict=True) for _ in range(count)]
        means.append(np.mean([rating for each in both for rating in each if rating is not None]))
    expected = np.quantile(means, [0.025, 0.975])
    assert scored(grades(of))["ci95"]["average"] == pytest.approx(expected)  # type: ignore[index]


@given(st.lists(st.integers(1, 10).map(float), min_size=2, max_size=30))
def test_two_grades_of_a_question_that_agree_are_no_more_than_one(first: list[float]) -> None:
    intervals = scored(grades([(each, each) for each in first]))["ci95"]
    assert intervals["average"] == pytest.approx(intervals["first_turn"])  # type: ignore[index]


@given(st.lists(st.integers(1, 10).map(float), min_size=2, max_size=30))
def test_grades_that_cancel_within_questions_leave_nothing_to_chance(first: list[float]) -> None:
    found = scored(grades([(each, 11 - each) for each in first]))
    assert found["ci95"]["average"] == pytest.approx([5.5, 5.5])  # type: ignore[index]


@given(some_ratings)
def test_repeats_of_the_same_grades_narrow_no_interval(of: Ratings) -> None:
    once = grades(of)
    thrice = scored(Grades([*once.ratings] * 3), repeats=3)
    assert thrice["ci95"] == scored(once)["ci95"]
    assert thrice["average"] == pytest.approx(scored(once)["average"])


@given(some_ratings.flatmap(lambda of: st.permutations(grades(of).ratings).map(lambda some: (of, some))))
def test_the_order_of_grades_does_not_matter(case: tuple[Ratings, list[TurnRating]]) -> None:
    of, shuffled = case
    assert scored(Grades(shuffled)) == scored(grades(of))


def test_intervals_of_80_questions_cover_the_truth_where_two_grades_of_a_question_agree() -> None:
    """Of grades whose variance lies between questions for one half; about 7, far from the ends of the scale."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        drawn = 7 + rng.normal(size=(80, 1)) + rng.normal(size=(80, 2))
        low, high = scored(grades(list(map(tuple, drawn.tolist()))), n_questions=80)["ci95"]["average"]  # type: ignore[index]
        covered += low <= 7 <= high
    assert 0.92 <= covered / 300 <= 0.98


def test_too_many_failed_grades_withhold_all_scores() -> None:
    found = scored(grades([(7.0, None)] * 30), allow_missing=False)
    assert all(found[metric.name] is None for metric in METRICS)
    assert str(found["withheld"]).startswith("only 30 of 60 verdicts are there") and found["by_category"] == {}


def test_each_category_has_an_average_with_an_interval() -> None:
    both = Grades([*grades([(2.0, 4.0), (3.0, 3.0)], "math").ratings, TurnRating("r", "stem", 1, 9.0)])
    found = scored(both)["by_category"]
    assert found["math"]["value"] == 3 and found["math"]["ci95"] == [3, 3]  # type: ignore[index]
    assert found["stem"] == {"value": 9, "ci95": None}  # type: ignore[index]


def test_training_seeds_are_averaged() -> None:
    found = score_grades(
        [grades([(2.0, 4.0)] * 5), grades([(6.0, 8.0)] * 5)], n_questions=5, allow_missing=False, resamples=200
    )
    assert found["mean"] == {"first_turn": 4, "second_turn": 6, "average": 5}
    assert found["per_seed"]["average"] == [3, 7]
    assert found["by_category"]["stem"]["value"] == 5
    low, high = found["ci95"]["average"]
    assert low < 3 and high > 7  # two seeds that far apart say little


def test_more_questions_than_there_are_are_refused() -> None:
    with pytest.raises(UserError, match="3 questions are graded, but the set has 2"):
        scored(grades([(1.0, 1.0)] * 3), n_questions=2)

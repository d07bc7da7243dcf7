"""FastChat's files, read and written."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evals.base import FileOptions
from evals.mt_bench.files import (
    StoredGrade,
    TwoTurnAnswer,
    read_answers,
    read_grades,
    write_answers,
    write_grades,
)
from evals.mt_bench.judgment_files import GradeFiles
from harness.errors import UserError
from tests.evals.mt_bench.conftest import write_lines

ANSWER: Mapping[str, Any] = {
    **{"question_id": 81, "answer_id": "x", "model_id": "mine", "tstamp": 1.0},
    "choices": [{"index": 0, "turns": ["Blue.", "Red."]}],
}
GRADE: Mapping[str, Any] = {
    **{"question_id": 81, "model": "mine", "judge": ["gpt-4", "single-v1"], "user_prompt": "?", "tstamp": 1.0},
    **{"judgment": "Rating: [[8]]", "score": 8, "turn": 1},
}


@pytest.mark.parametrize(
    "turns", [["Blue.", "Red."], [{"content": "Blue."}, {"content": "Red.", "token_len": 2}]], ids=["texts", "objects"]
)
def test_answers_are_read_whether_turns_are_texts_or_objects(tmp_path: Path, turns: list[Any]) -> None:
    path = write_lines(tmp_path / "mine.jsonl", [{**ANSWER, "choices": [{"index": 0, "turns": turns}]}])
    assert read_answers(path) == [TwoTurnAnswer("81", "mine", ("Blue.", "Red."))]


def test_answers_and_grades_are_written_as_they_are_read(tmp_path: Path) -> None:
    answers = [TwoTurnAnswer("81", "mine", ("Blue.", "Red.")), TwoTurnAnswer("q-1", "mine", ("", "\u2028"))]
    write_answers(tmp_path / "answers.jsonl", answers)
    assert read_answers(tmp_path / "answers.jsonl") == answers
    grades = [
        StoredGrade("81", "mine", "gpt-4", 1, 8.0, "[[8]]", "writing", "single-v1", "?"),
        StoredGrade("81", "mine", "gpt-4", 2, 7.5, "[[7.5]]", "writing", "single-v1-multi-turn", "?"),
        StoredGrade("q-1", "mine", "gpt-4", 2, None, "no", "again", "single-v1-multi-turn", "?"),
    ]
    write_grades(tmp_path / "grades.jsonl", grades)
    assert read_grades(tmp_path / "grades.jsonl") == grades
    written = [json.loads(line) for line in (tmp_path / "grades.jsonl").read_text().splitlines()]
    assert [row["score"] for row in written] == [8, 7.5, -1]
    assert [row["question_id"] for row in written] == [81, 81, "q-1"]
    assert written[0].keys() >= GRADE.keys() - {"tstamp"} and written[0]["judge"] == GRADE["judge"]


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([{**ANSWER, "choices": [{"turns": ["Blue."]}]}], r":1: question 81 must be answered in two turns"),
        ([{**ANSWER, "choices": [{"turns": ["Blue.", None]}]}], "question 81 must be answered in two turns"),
        ([{**ANSWER, "choices": []}], "question 81 must be answered in two turns"),
        ([{**ANSWER, "choices": [{"turns": ["a", "b", "c"]}]}], "question 81 must be answered in two turns"),
        ([ANSWER, ANSWER], "question 81 is answered twice; keep one"),
        ([ANSWER, {**ANSWER, "question_id": 82, "model_id": "b"}], r"answers of several models \(b, mine\); give one"),
        ([{"question_id": 81, "model_id": "mine"}], "no field 'choices'"),
    ],
)
def test_answers_that_are_wrong_are_named(tmp_path: Path, rows: list[Any], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        read_answers(write_lines(tmp_path / "mine.jsonl", rows))


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([{**GRADE, "turn": 3}], r":1: turn must be 1 or 2, not 3"),
        ([{**GRADE, "score": "good"}], "score must be a number, not 'good'"),
        ([{**GRADE, "score": float("inf")}], "score must be a finite number"),
        ([{**GRADE, "judge": []}], "judge must be the judge's name, or a list of it and its prompt's"),
        ([GRADE, GRADE], "question 81, turn 1, is graded twice; keep one"),
        (
            [GRADE, {**GRADE, "turn": 2, "model": "b"}],
            r"grades of 2 models \(b, mine\); take one out: grep '\"model\": \"b\"'",
        ),
        ([GRADE, {**GRADE, "turn": 2, "judge": ["me", "x"]}], r"verdicts of several judges \(gpt-4, me\)"),
        ([{"question_id": 81, "model_1": "a", "model_2": "b", "g1_winner": "tie"}], "a judgment of two answers"),
        ([{key: value for key, value in GRADE.items() if key != "turn"}], "no field 'turn'"),
    ],
)
def test_grades_that_are_wrong_are_named(tmp_path: Path, rows: list[Any], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        read_grades(write_lines(tmp_path / "mine.jsonl", rows))


@pytest.mark.parametrize("score", [-1, None])
def test_a_failed_grade_has_no_rating(tmp_path: Path, score: float | None) -> None:
    [grade] = read_grades(write_lines(tmp_path / "mine.jsonl", [{**GRADE, "score": score, "judgment": "$ERROR$"}]))
    assert grade.rating is None and not grade.contradicts_its_text


def test_stored_scores_that_contradict_their_text_are_counted_and_kept(tmp_path: Path) -> None:
    rows = [GRADE, {**GRADE, "turn": 2, "judgment": "[[3]]"}, {**GRADE, "question_id": 82, "score": -1}]
    found = GradeFiles(FileOptions(allow_missing=True)).score(write_lines(tmp_path / "mine.jsonl", rows))
    assert found["contradictions"] == (
        "the stored score is not the rating in the judgment's text in 2 of 3 grades, first in question 81, turn 2;"
        " the stored scores count"
    )
    assert (found["average"], found["second_turn"]) == (8, 8)


@pytest.mark.parametrize(
    ("rows", "departure"),
    [
        ([GRADE], "not MT-Bench: on 1 of 80 questions"),
        ([{**GRADE, "judge": "me"}], "not MT-Bench: on 1 of 80 questions; judged by me, not gpt-4"),
        ([{**GRADE, "question_id": 7}], "not MT-Bench: on questions of other numbers than its own"),
    ],
)
def test_it_is_said_what_keeps_grades_from_being_mt_bench(tmp_path: Path, rows: list[Any], departure: str) -> None:
    found = GradeFiles(FileOptions(allow_missing=True)).score(write_lines(tmp_path / "mine.jsonl", rows))
    assert found["departure"] == departure

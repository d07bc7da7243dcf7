"""What is said of stored verdicts beside their scores: who judged, and whether that is the benchmark's own judge."""

from pathlib import Path

import pytest

from evals.formats.annotations import AnnotationRow, write_annotations
from evals.formats.arena_hard import ArenaJudgment, Game, write_judgments
from harness.scorecard import scorecard
from harness.stored_verdicts import score_annotations_file, score_judgments_file


def annotations_by(judge: str, path: Path) -> Path:
    preferences = (1.0, 1.5, 2.0)
    write_annotations(
        path,
        [
            AnnotationRow(index, f"do {index}", "", "one", "gpt4_1106_preview", "two", "mine", judge, preference)
            for index, preference in enumerate(preferences)
        ],
    )
    return path


def judgments_by(judge: str, path: Path) -> Path:
    games = (Game("A>B"), Game("B>A"))
    write_judgments(path, [ArenaJudgment(f"q{number}", "mine", judge, games) for number in range(3)])
    return path


def test_annotations_of_another_judge_are_not_alpaca_eval(tmp_path: Path) -> None:
    path = annotations_by("judge-1", tmp_path / "annotations.json")
    scores = score_annotations_file(path, None, None, allow_missing=True)
    assert (scores["judge"], scores["baseline"]) == ("judge-1", "gpt4_1106_preview")
    assert scores["departure"] == "not AlpacaEval 2.0: judged by judge-1, not weighted_alpaca_eval_gpt4_turbo"
    lines = scorecard(scores).splitlines()
    assert lines[0] == "alpaca_eval2: mine against gpt4_1106_preview"
    assert "  judged by judge-1" in lines and f"  {scores['departure']}" in lines


@pytest.mark.parametrize("judge", ["weighted_alpaca_eval_gpt4_turbo", "gpt-4-1106-preview"])
def test_annotations_of_the_official_judge_are(tmp_path: Path, judge: str) -> None:
    path = annotations_by(judge, tmp_path / "annotations.json")
    scores = score_annotations_file(path, None, None, allow_missing=True)
    assert (scores["judge"], scores["departure"]) == (judge, None)


def test_of_a_table_nothing_is_said_but_its_model(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("index,preference,len_1,len_2\n0,1.2,10,20\n1,1.9,11,21\n")
    scores = score_annotations_file(path, None, None, allow_missing=True)
    assert (scores["judge"], scores["baseline"], scores["departure"]) == (None, None, None)
    text = scorecard(scores)
    assert text.splitlines()[0] == "alpaca_eval2: mine" and "judged by" not in text


def test_judgments_of_another_judge_are_not_arena_hard(tmp_path: Path) -> None:
    other = score_judgments_file(judgments_by("judge-1", tmp_path / "other.jsonl"), allow_missing=True)
    assert other["departure"] == "not Arena-Hard v0.1: judged by judge-1, not gpt-4-1106-preview"
    own = score_judgments_file(judgments_by("gpt-4-1106-preview", tmp_path / "own.jsonl"), allow_missing=True)
    assert (own["judge"], own["departure"]) == ("gpt-4-1106-preview", None)

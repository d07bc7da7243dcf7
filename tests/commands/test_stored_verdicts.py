"""What is said of stored verdicts beside their scores: what they are of and on, who judged, and what is missing."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from evals.alpaca_eval2 import instruction_set
from evals.alpaca_eval2.annotations import AnnotationRow
from evals.arena_hard.files import ArenaJudgment, Game, write_judgments
from evals.base import FileOptions
from evals.formats.outputs import ModelOutput, instruction_key, write_model_outputs
from harness.commands.compare import compare_files
from harness.commands.scorecard import scorecard
from harness.commands.stored_verdicts import score_file
from harness.errors import UserError

OFFICIAL = [f"do {index}" for index in range(805)]


@pytest.fixture(autouse=True)
def official_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """AlpacaEval's set, with instructions made up."""
    monkeypatch.setattr(instruction_set, "OFFICIAL_INSTRUCTION_KEYS", tuple(map(instruction_key, OFFICIAL)))


def annotation(index: int, preference: float | None = 1.5, **changes: Any) -> dict[str, Any]:
    """A verdict on the instruction at `index`."""
    row = AnnotationRow(index, f"do {index}", "", "one", "gpt4_1106_preview", "two", "mine", "judge-1", preference)
    return asdict(row) | changes


def annotations(path: Path, n: int, **changes: Any) -> Path:
    """A file of verdicts on the first `n` instructions."""
    path.write_text(json.dumps([annotation(index, **changes) for index in range(n)]))
    return path


def table(path: Path, *indices: int) -> Path:
    """A table of verdicts, which names no judge and has no texts."""
    path.write_text("index,preference,len_1,len_2\n" + "".join(f"{index},1.9,10,20\n" for index in indices))
    return path


def reference(path: Path, *instructions: str) -> Path:
    """A set of instructions in order."""
    write_model_outputs(path, [ModelOutput(instruction, "", "base") for instruction in instructions])
    return path


def score(path: Path, reference_outputs: Path | None = None) -> dict[str, Any]:
    return score_file("alpaca_eval2", path, FileOptions(reference_outputs=reference_outputs, allow_missing=True))


def score_arena(path: Path, *, allow_missing: bool) -> Mapping[str, Any]:
    return score_file("arena_hard", path, FileOptions(allow_missing=allow_missing))


def judgments(path: Path, n: int = 500, judge: str = "gpt-4-1106-preview") -> Path:
    games = (Game("A>B"), Game("B>A"))
    write_judgments(path, [ArenaJudgment(f"q{number}", "mine", judge, games) for number in range(n)])
    return path


# AlpacaEval


def test_annotations_of_another_judge_are_not_alpaca_eval(tmp_path: Path) -> None:
    scores = score(annotations(tmp_path / "annotations.json", 805))
    assert (scores["judge"], scores["baseline"]) == ("judge-1", "gpt4_1106_preview")
    assert scores["departure"] == "not AlpacaEval 2.0: judged by judge-1, not weighted_alpaca_eval_gpt4_turbo"
    lines = scorecard(scores).splitlines()
    assert lines[0] == "alpaca_eval2: mine against gpt4_1106_preview"
    assert "  judged by judge-1" in lines and f"  {scores['departure']}" in lines


@pytest.mark.parametrize("judge", ["weighted_alpaca_eval_gpt4_turbo", "gpt-4-1106-preview"])
def test_annotations_of_the_official_judge_are(tmp_path: Path, judge: str) -> None:
    scores = score(annotations(tmp_path / "annotations.json", 805, annotator=judge))
    assert (scores["judge"], scores["departure"]) == (judge, None)


def test_of_a_table_nothing_is_said_but_its_model(tmp_path: Path) -> None:
    scores = score(table(tmp_path / "mine.csv", *range(805)))
    assert (scores["judge"], scores["baseline"], scores["departure"]) == (None, None, None)
    text = scorecard(scores)
    assert text.splitlines()[0] == "alpaca_eval2: mine" and "judged by" not in text


def test_verdicts_on_part_of_the_set_are_not_alpaca_eval(tmp_path: Path) -> None:
    scores = score(table(tmp_path / "mine.csv", *range(0, 800, 40)))
    assert scores["departure"] == "not AlpacaEval 2.0: on 20 of 805 instructions"
    assert (scores["n_asked"], scores["n_missing"]) == (20, 0)
    own = score(annotations(tmp_path / "annotations.json", 20, annotator="gpt-4-1106-preview"))
    assert own["departure"] == scores["departure"]


def test_a_few_rows_less_are_missing_verdicts_of_the_whole_set(tmp_path: Path) -> None:
    scores = score(table(tmp_path / "mine.csv", *range(802)))
    assert (scores["departure"], scores["n_asked"], scores["n_missing"]) == (None, 805, 3)


def test_an_instruction_that_the_set_has_not_is_refused(tmp_path: Path) -> None:
    stray = table(tmp_path / "mine.csv", 0, 1, 805)
    with pytest.raises(UserError, match=r"index 805 is above 804.*; of another set, pass --reference-outputs"):
        score(stray)
    with pytest.raises(UserError, match="index 805 is above 804"):
        compare_files("alpaca_eval2", (stray,), [(table(tmp_path / "theirs.csv", 0, 1),)])
    with pytest.raises(UserError, match=r"mine\.csv:4: index 805 is not among the 2 rows of .*own\.json"):
        score(stray, reference(tmp_path / "own.json", "a", "b"))


def test_a_set_of_ones_own_may_be_larger(tmp_path: Path) -> None:
    own = reference(tmp_path / "own.json", *(f"own {index}" for index in range(1000)))
    scores = score(table(tmp_path / "mine.csv", *range(1000)), own)
    assert scores["departure"] == "not AlpacaEval 2.0: the instructions are others, or in another order"
    assert (scores["n_asked"], scores["n_missing"]) == (1000, 0)


def test_verdicts_on_other_instructions_are_not_alpaca_eval(tmp_path: Path) -> None:
    rows = [annotation(index, instruction=f"own {index}", annotator="gpt-4-1106-preview") for index in range(805)]
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(rows))
    assert score(path)["departure"] == "not AlpacaEval 2.0: the instructions are others, or in another order"


def test_a_part_of_other_instructions_is_both(tmp_path: Path) -> None:
    path = annotations(tmp_path / "annotations.json", 20, instruction="own", annotator="gpt-4-1106-preview")
    assert score(path)["departure"] == (
        "not AlpacaEval 2.0: on 20 of 805 instructions; the instructions are others, or in another order"
    )
    path.write_text(json.dumps([annotation(index, instruction="own") for index in (0, 99999)]))
    with pytest.raises(UserError, match="index 99999 is above 804"):
        score(path)


def test_verdicts_against_another_baseline_are_not_alpaca_eval(tmp_path: Path) -> None:
    path = annotations(tmp_path / "annotations.json", 805, annotator="gpt-4-1106-preview", generator_1="davinci")
    assert score(path)["departure"] == "not AlpacaEval 2.0: against davinci, not gpt4_1106_preview"


def test_an_index_that_the_reference_gives_another_instruction_is_refused(tmp_path: Path) -> None:
    own = reference(tmp_path / "own.json", "do 1", "do 0")
    with pytest.raises(UserError, match=r"row 1: the instruction is another than the one at index 0 of .*own\.json"):
        score(annotations(tmp_path / "annotations.json", 2), own)


def test_a_row_without_a_preference_stays_in_n(tmp_path: Path) -> None:
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps([annotation(index, None if index == 7 else 1.5) for index in range(300)]))
    scores = score(path)
    assert (scores["n_asked"], scores["n_missing"]) == (300, 1)
    assert "on 300 of 805 instructions" in scores["departure"]
    lines = [line.split() for line in scorecard(scores).splitlines()]
    assert ["instructions", "judged", "299", "of", "300"] in lines


def test_a_preference_of_zero_is_a_draw(tmp_path: Path) -> None:
    scores = score(annotations(tmp_path / "annotations.json", 2, preference=0))
    assert (scores["win_rate"], scores["n_draws"]) == (50.0, 2)


def test_nobody_is_said_to_be_asked_for_stored_verdicts(tmp_path: Path) -> None:
    scores = score(annotations(tmp_path / "annotations.json", 805))
    assert scores["length_controlled_withheld"] == (
        "no calibration given for judge-1; pass --lc-calibration df_gamed.csv"
    )
    unknown = score(table(tmp_path / "mine.csv", *range(805)))
    assert unknown["length_controlled_withheld"] == "no calibration given; pass --lc-calibration df_gamed.csv"


# Arena-Hard


def test_judgments_of_another_judge_are_not_arena_hard(tmp_path: Path) -> None:
    other = score_arena(judgments(tmp_path / "other.jsonl", judge="judge-1"), allow_missing=True)
    assert other["departure"] == "not Arena-Hard v0.1: judged by judge-1, not gpt-4-1106-preview"
    own = score_arena(judgments(tmp_path / "own.jsonl"), allow_missing=True)
    assert (own["judge"], own["departure"]) == ("gpt-4-1106-preview", None)


def test_judgments_on_part_of_the_set_are_not_arena_hard(tmp_path: Path) -> None:
    path = judgments(tmp_path / "mine.jsonl", 20)
    scores = score_arena(path, allow_missing=True)
    assert scores["departure"] == "not Arena-Hard v0.1: on 20 of 500 questions"
    assert scores["score"] is not None
    withheld = score_arena(path, allow_missing=False)
    assert withheld["score"] is None
    assert withheld["withheld"] == (
        "only 40 of 1000 verdicts are there; complete the file, --allow-missing scores these alone"
    )


def test_judgments_against_another_baseline_are_not_arena_hard(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in judgments(tmp_path / "own.jsonl").read_text().splitlines()]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row | {"baseline": "o3-mini"}) + "\n" for row in rows))
    scores = score_arena(path, allow_missing=True)
    assert scores["departure"] == "not Arena-Hard v0.1: against o3-mini, not gpt-4-0314"
    assert scorecard(scores).splitlines()[0] == "arena_hard: mine against o3-mini"


def test_a_distribution_is_shown_from_its_mean_through_its_quartiles() -> None:
    names = ("first_quartile", "mean", "median", "third_quartile")  # as a file has them, by the letter
    measured = {name: {"value": 1.0, "ci95": None} for name in names}
    card = scorecard({"bench": "edit_distance", "model": "m", "n": 1, "n_missing": 0, "characters": measured})
    shown = [line.split()[1] for line in card.splitlines() if line.split()[:1] == ["characters"]]
    assert shown == ["mean", "first_quartile", "median", "third_quartile"]

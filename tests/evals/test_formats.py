import gzip
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evals.alpaca_eval2.annotations import (
    AnnotationRow,
    Annotations,
    annotations_from_rows,
    read_annotations,
    write_annotations,
)
from evals.alpaca_eval2.instruction_set import OFFICIAL_INSTRUCTION_KEYS
from evals.alpaca_eval2.leaderboard import LEADERBOARD_COLUMNS, write_leaderboard
from evals.alpaca_eval2.length_calibration import Calibration, read_calibration, write_calibration
from evals.alpaca_eval2.scores import score_annotations
from evals.arena_hard.files import (
    ArenaAnswer,
    ArenaJudgment,
    Game,
    answers_in,
    read_judgments,
    write_answers,
    write_judgments,
)
from evals.arena_hard.scores import score_judgments
from evals.formats.outputs import ModelOutput, instruction_key, read_model_outputs, write_model_outputs
from evals.formats.rows import read_rows
from harness.errors import UserError
from tests.evals import simulated
from tests.evals.leaderboards import read_leaderboard

TABLE = "index,preference,len_1,len_2\n0,1.2,10,20\n1,1.9,11,21\n2,1.5,12,22\n"
GAMED = (
    "model,index,preference,std_delta_len,instruction_difficulty,not_gamed_baseline\n"
    "verbose,0,0.2,-1.0,0.5,False\nverbose,1,0.7,0.3,-0.5,False\nconcise,0,0.4,1.0,0.5,False\n"
)


def arena_answers(path: Path) -> list[ArenaAnswer]:
    return answers_in(read_rows(path))


def refuse(read: Callable[[Path], Any], path: Path, problem: str) -> None:
    """Reading must fail with one line that names the file and the problem."""
    with pytest.raises(UserError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(str(path)), message
    assert "\n" not in message
    assert len(message) < 400 + len(str(path)), message
    assert re.search(problem, message), message


def row(number: int, **changes: Any) -> dict[str, Any]:
    fields = {
        "instruction": f"do {number}",
        "output_1": "x" * 10,
        "generator_1": "baseline",
        "output_2": "y" * (10 + number),
        "generator_2": "model",
        "annotator": "judge",
        "preference": 1.25,
    }
    return fields | changes


# AlpacaEval: tables


def test_a_table_is_read_and_sorted_by_index(tmp_path: Path) -> None:
    path = tmp_path / "my-model.csv"
    path.write_text("len_2,index,preference,len_1,note\n22,2,1.5,12,a\n20,0,1.2,10,b\n")
    read = read_annotations(path)
    assert read == Annotations("my-model", (0, 2), (1.2, 1.5), (10, 12), (20, 22), str(path))


def test_a_packed_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "my-model.csv.gz"
    path.write_bytes(gzip.compress(TABLE.encode(), mtime=0))
    assert read_annotations(path).model == "my-model"
    assert read_annotations(path).index == (0, 1, 2)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: "", "the file is empty"),
        (lambda text: text.splitlines()[0], "no rows under the header"),
        (lambda text: text.replace("preference", "pref"), r"no column 'preference' \(has: index, pref, len_1, len_2\)"),
        (lambda text: "index,preference\n0,1.2\n", "no column 'len_1', 'len_2'"),
        (
            lambda text: text.replace(",", ";"),
            "its columns are separated by semicolons; separate them by commas or tabs",
        ),
        (lambda text: text.replace("index", ""), r"no column 'index' \(has: '', preference, len_1, len_2\)"),
        (lambda text: "name,place\na,1\n", r"neither alpaca_eval's .* nor a table of index, .* \(has: name, place\)"),
        (lambda text: text.replace("len_1", "len_2"), "two columns are called 'len_2'; keep one"),
        (lambda text: text + "1,1.1,5,5\n", r":5: index 1 again, after .*:3; keep one"),
        (
            lambda text: text.replace("1.9", "nan"),
            r":3: no preference for index 1; judge it again, or pass --allow-mis",
        ),
        (lambda text: text.replace("1.9", ""), r":3: no preference for index 1"),
        (lambda text: text.replace("1.9", "2.1"), r":3: preference 2.1 of index 1 is not in \[1, 2\]"),
        (lambda text: text.replace("1.9", "0.5"), r":3: preference 0.5 of index 1 is not in \[1, 2\]"),
        (lambda text: text.replace("1.9", "inf"), r":3: preference inf of index 1 is not in \[1, 2\]"),
        (lambda text: text.replace("1.9", "good"), r":3: preference must be a number, not 'good'"),
        (lambda text: text.replace("\n1,", "\n-1,"), r":3: index must be a whole number from 0 .*, not '-1'"),
        (lambda text: text.replace("\n1,", "\nfirst,"), r":3: index must be a whole number"),
        (
            lambda text: text.replace("\n1,", "\n" + "1" * 5000 + ","),
            r":3: index must be .* at most 15 digits, not '1+\.\.\.",
        ),
        (lambda text: text.replace("\n1,", "\n" + "1" * 400 + ","), r":3: index must be .* at most 15 digits"),
        (lambda text: text.replace("11,", "1" * 5000 + ","), r":3: len_1 must be .* at most 15 digits"),
        (lambda text: text.replace("11,", "1" * 16 + ","), r":3: len_1 must be .* at most 15 digits"),
        (lambda text: text.replace("1.9", "1" * 5000), r":3: preference inf of index 1"),
        (
            lambda text: text + '3,"1.5,10,20\n',
            r":5: not a row of a table \(unexpected end of data\); is a quote",
        ),
        (lambda text: text.replace("21", "long"), r":3: len_2 must be a whole number"),
        (lambda text: text.replace(",21", ""), r":3: 3 cells under 4 columns"),
        (lambda text: text.replace(",21", ",21,7"), r":3: 5 cells under 4 columns"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, change: Callable[[str], str], problem: str) -> None:
    path = tmp_path / "model.csv"
    path.write_text(change(TABLE))
    refuse(read_annotations, path, problem)


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    refuse(read_annotations, tmp_path / "none.csv", "no such file")
    path = tmp_path / "plain.csv.gz"
    path.write_text(TABLE)
    refuse(
        read_annotations,
        path,
        r"plain\.csv\.gz: not a whole gzip file \(.*\); fetch it again, or drop \.gz",
    )
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(gzip.compress(TABLE.encode(), mtime=0)[:-10])
    refuse(read_annotations, path, "not a whole gzip file")
    path = tmp_path / "packed.csv"
    path.write_bytes(gzip.compress(TABLE.encode(), mtime=0))
    refuse(read_annotations, path, r"end its name in \.gz")
    path = tmp_path / "folder.csv"
    path.mkdir()
    refuse(read_annotations, path, "cannot be read: Is a directory")


def test_missing_preferences_are_left_out_on_request(tmp_path: Path) -> None:
    path = tmp_path / "model.csv"
    path.write_text(TABLE.replace("1.9", ""))
    assert read_annotations(path, allow_missing=True).index == (0, 2)
    path.write_text("index,preference,len_1,len_2\n0,,1,1\n")
    with pytest.raises(UserError, match="no verdict in it"):
        read_annotations(path, allow_missing=True)


def test_annotations_hold_their_invariants() -> None:
    with pytest.raises(ValueError, match="same length"):
        Annotations("m", (0, 1), (1.0,), (1, 1), (1, 1), "m")
    with pytest.raises(ValueError, match="increase"):
        Annotations("m", (1, 1), (1.0, 1.0), (1, 1), (1, 1), "m")


# AlpacaEval: annotations.json


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_annotations_json_is_joined_by_its_index(tmp_path: Path) -> None:
    path = write(tmp_path / "annotations.json", [row(5, index=5), row(3, index=3)])
    read = read_annotations(path)
    assert read == Annotations(
        "model",
        (3, 5),
        (1.25, 1.25),
        (10, 10),
        (13, 15),
        str(path),
        judge="judge",
        baseline="baseline",
        is_official=False,
    )
    assert read.only([5]) == Annotations(
        "model", (5,), (1.25,), (10,), (15,), str(path), "judge", "baseline", is_official=False
    )


def test_annotations_json_need_not_name_judge_and_baseline(tmp_path: Path) -> None:
    nameless = row(5, index=5) | {"annotator": None}
    del nameless["generator_1"]
    read = read_annotations(write(tmp_path / "annotations.json", [nameless]))
    assert (read.model, read.judge, read.baseline) == ("model", "", "")


def test_annotations_json_is_joined_by_instruction(tmp_path: Path) -> None:
    path = write(tmp_path / "annotations.json", [row(2), row(0)])
    reference = tmp_path / "reference.json"
    write_model_outputs(reference, [ModelOutput(f"do {index}", "", "baseline") for index in range(3)])
    read = read_annotations(path, reference_outputs=reference)
    assert (read.index, read.len_2) == ((0, 2), (10, 12))


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (
            [row(0), row(1)],
            r", row 1: no field \"index\".*not in AlpacaEval's official set; .*`harness compare` take --reference-out",
        ),
        ([row(0, index=0), row(1)], r", row 2: no field \"index\", which other rows have"),
        ([row(0, index=0), row(1, index=0)], r", row 2: index 0 again, after .*, row 1"),
        ([row(0, index=0, preference=None)], r", row 1: no preference for index 0"),
        ([row(0, index=0, preference=float("nan"))], r", row 1: no preference for index 0"),
        ([row(0, index=0, preference=3)], r", row 1: preference 3 of index 0"),
        ([row(0, index=0, preference="m")], r", row 1: preference must be a number, not 'm'"),
        ([row(0, index=0, preference=True)], r", row 1: preference must be a number, not True"),
        ([row(0, index="0.5")], r", row 1: index must be a whole number"),
        (
            [row(0, index=10**15)],
            r", row 1: index must be a whole number from 0 of at most 15 digits, not 1000000000000000",
        ),
        ([row(0, index=0), row(1, index=1, preference=10**400)], r", row 2: preference inf of index 1 is not in"),
        ([row(0, index=0, generator_2="\ud800")], r", row 1: generator_2 contains half of a surrogate pair"),
        ([row(0, instruction="\ud800")], r", row 1: no field \"index\".*not in AlpacaEval's official set"),
        (
            [row(0, index=0), row(1, index=1, annotator="b")],
            r"verdicts of several judges \(b, judge\); score .* a judge",
        ),
        ([row(0, index=0), row(1, index=1, generator_1="b")], r"verdicts against several baselines \(b, baseline\)"),
        ([row(i, index=i, annotator=f"j{i}") for i in range(9)], r"several judges \(j0, j1, j2, j3, j4, …\)"),
        ([row(0, index=0, output_2=None)], r", row 1: output_2 must be a text, not null"),
        ([row(0, index=0) | {"generator_2": None}], r", row 1: generator_2 must be a text, not null"),
        ([{"index": 0}], r"no column 'preference', 'len_1', 'len_2' \(has: index\)"),
        ([{k: v for k, v in row(0, index=0).items() if k != "preference"}], r", row 1: no field 'preference'"),
        ([row(0, index=0), row(1, index=1, generator_2="other")], r"verdicts on several models \(model, other\)"),
        (["text"], r", row 1: not a JSON object"),
        ([], "expected a JSON array of objects"),
        ({"a": 1}, r"neither alpaca_eval's .* nor a table .* \(has: a\)"),
        (3, "expected a JSON array of objects"),
    ],
)
def test_bad_annotations_json_is_refused(tmp_path: Path, rows: Any, problem: str) -> None:
    refuse(read_annotations, write(tmp_path / "annotations.json", rows), problem)


def test_broken_json_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "annotations.json"
    path.write_text('[\n{"index": 0,\n')
    refuse(read_annotations, path, r":3: not JSON")


DEEP = {"list": "[" * 200_000, "object": '{"a":' * 200_000}
LONG = "1" * 5000


@pytest.mark.parametrize("nested", DEEP.values(), ids=DEEP)
def test_json_nested_too_deep_is_refused(tmp_path: Path, nested: str) -> None:
    path = tmp_path / "annotations.json"
    path.write_text(nested)
    refuse(read_annotations, path, "json:1: brackets nested too deep")
    path = tmp_path / "model.jsonl"
    path.write_text(json.dumps(line()) + "\n" + nested)
    refuse(read_judgments, path, ":2: brackets nested too deep")


@pytest.mark.parametrize("depth", range(900, 1000, 5))
@pytest.mark.parametrize("field", ["index", "preference", "output_1", "generator_2", "annotator"])
def test_nested_values_are_no_numbers_and_no_texts(tmp_path: Path, field: str, depth: int) -> None:
    path = tmp_path / "annotations.json"
    whole = json.dumps([row(0, index=0) | {field: "NESTED"}])
    path.write_text(whole.replace('"NESTED"', "[" * depth + "]" * depth))
    refuse(read_annotations, path, f"row 1: {field} must be a|brackets nested too deep")


def test_numbers_of_very_many_digits_are_refused_where_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "annotations.json"
    for field, problem in (
        ("preference", "preference inf"),
        ("index", "index must be"),
        ("output_1", "must be a text"),
    ):
        path.write_text(json.dumps([row(0, index=0), row(1, index=1) | {field: "LONG"}]).replace('"LONG"', LONG))
        refuse(read_annotations, path, rf", row 2: .*{problem}")
    path = tmp_path / "model.jsonl"
    for field in ("question_id", "model", "judge"):
        second = line(question_id="q2") | {field: "LONG"}
        path.write_text(json.dumps(line()) + "\n" + json.dumps(second).replace('"LONG"', LONG))
        refuse(read_judgments, path, rf":2: {field} must be a text, not inf")


def test_a_number_of_very_many_digits_in_a_field_not_read_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps([row(0, index=0, raw_completion="LONG")]).replace('"LONG"', LONG))
    assert read_annotations(path).index == (0,)


def test_half_a_character_does_not_keep_an_instruction_from_being_found(tmp_path: Path) -> None:
    path = write(tmp_path / "annotations.json", [row(0, instruction="\ud800")])
    reference = write(
        tmp_path / "reference.json",
        [{"instruction": text, "output": "", "generator": "b"} for text in ("do 0", "\ud800")],
    )
    assert read_annotations(path, reference_outputs=reference).index == (1,)


def test_one_instruction_alone_has_no_interval(tmp_path: Path) -> None:
    path = write(tmp_path / "annotations.json", [row(0, index=0)])
    scores = score_annotations(read_annotations(path), None, resamples=5)
    assert scores["ci95"] == {"win_rate": None, "discrete_win_rate": None, "length_controlled_winrate": None}
    path = tmp_path / "model.jsonl"
    path.write_text(json.dumps(line()) + "\n" + json.dumps(line(question_id="q2", games=[])))
    assert score_judgments(read_judgments(path), resamples=5)["ci95"] is None


def test_instructions_that_text_cannot_tell_apart_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "annotations.json", [row(0)])
    reference = tmp_path / "reference.json"
    write_model_outputs(reference, [ModelOutput("do 0", "", "baseline")] * 2)
    with pytest.raises(UserError, match="stands there twice"):
        read_annotations(path, reference_outputs=reference)


def test_the_official_instructions_are_known_by_their_keys(alpaca_data: Path) -> None:
    baseline = read_model_outputs(alpaca_data / "baseline_gpt4_1106_preview.json")
    assert tuple(instruction_key(output.instruction) for output in baseline) == OFFICIAL_INSTRUCTION_KEYS


def test_official_annotations_json_scores_like_the_table(
    alpaca_data: Path, calibration: Calibration, tmp_path: Path
) -> None:
    """alpaca_eval's own format: whole outputs, no index, here in another order."""
    table = read_annotations(alpaca_data / "annotations" / "claude-2.csv.gz")
    baseline = read_model_outputs(alpaca_data / "baseline_gpt4_1106_preview.json")
    outputs = read_model_outputs(alpaca_data / "model_outputs" / "claude-2.json")
    rows = [
        {
            "instruction": theirs.instruction,
            "output_1": theirs.output,
            "generator_1": theirs.generator,
            "dataset": theirs.dataset,
            "output_2": ours.output,
            "generator_2": ours.generator,
            "annotator": "weighted_alpaca_eval_gpt4_turbo",
            "preference": preference,
        }
        for theirs, ours, preference in zip(baseline, outputs, table.preference, strict=True)
    ]
    path = write(tmp_path / "annotations.json", rows[400:] + rows[:400])
    read = read_annotations(path)
    assert read == replace(table, source=str(path), judge=read.judge, baseline=read.baseline, is_official=True)
    assert score_annotations(read, calibration, resamples=5) == score_annotations(table, calibration, resamples=5)


def test_annotations_are_written_as_they_are_read(tmp_path: Path) -> None:
    rows = [
        AnnotationRow(
            index, f"do {index}", "set", "one", "baseline", "two ≫", "model", "judge", preference, {"m": -0.1}
        )
        for index, preference in ((4, 1.5), (1, None), (0, 2.0))
    ]
    path = tmp_path / "annotations.json"
    write_annotations(path, rows)
    with pytest.raises(UserError, match="no preference for index 1"):
        read_annotations(path)
    read = read_annotations(path, allow_missing=True)
    assert read == replace(annotations_from_rows(rows, str(path)), is_official=False)
    assert (read.index, read.preference, read.len_2) == ((0, 4), (2.0, 1.5), (5, 5))


# AlpacaEval: calibration, outputs, leaderboard


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: text.replace("std_delta_len", "delta"), "no column 'std_delta_len'"),
        (lambda text: text.replace("0.7", "1.7"), r":3: preference 1.7 is not in \[0, 1\]"),
        (lambda text: text.replace(",1.0,0.5", ",1.0,0.6"), r":4: index 0 has difficulty 0.6 here and 0.5 above"),
        (lambda text: text.replace("concise,0", "verbose,0"), r":4: a second row for model 'verbose' and index 0"),
        (lambda text: text.replace("0.3,-0.5", ",-0.5"), r":3: std_delta_len must be a finite number, not null"),
        (lambda text: text.replace("-0.5", "hard"), r":3: instruction_difficulty must be a number, not 'hard'"),
        (lambda text: text.replace("False", "no"), r":2: not_gamed_baseline must be True or False, not 'no'"),
        (lambda text: text.splitlines()[0], "no rows under the header"),
    ],
)
def test_bad_calibrations_are_refused(tmp_path: Path, change: Callable[[str], str], problem: str) -> None:
    path = tmp_path / "gamed.csv"
    path.write_text(change(GAMED))
    refuse(read_calibration, path, problem)


def test_a_calibration_is_written_as_it_is_read(tmp_path: Path) -> None:
    calibration = simulated.calibration()
    path = tmp_path / "gamed.csv"
    write_calibration(path, calibration)
    assert read_calibration(path) == replace(calibration, source=str(path))


def test_a_calibration_row_without_a_verdict_is_kept_out_of_the_fit(tmp_path: Path) -> None:
    path = tmp_path / "gamed.csv"
    calibration = simulated.calibration()
    write_calibration(path, calibration)
    header, first, *rest = path.read_text().splitlines()
    cells = first.split(",")
    path.write_text("\n".join([header, ",".join([*cells[:2], "", *cells[3:]]), *rest]) + "\n")
    partial = score_annotations(simulated.annotations(), read_calibration(path), resamples=2)
    whole = score_annotations(simulated.annotations(), calibration, resamples=2)
    assert partial["n_missing"] == 0
    assert partial["length_controlled_winrate"] == pytest.approx(whole["length_controlled_winrate"], abs=0.5)


def test_model_outputs_are_written_as_they_are_read(tmp_path: Path) -> None:
    outputs = [ModelOutput("do 0", "done ≫", "model", "set"), ModelOutput("do 1", "", "model")]
    path = tmp_path / "model_outputs.json"
    write_model_outputs(path, outputs)
    assert read_model_outputs(path) == outputs


def test_a_published_leaderboard_row_is_written_as_it_is_read(alpaca_data: Path, tmp_path: Path) -> None:
    published = read_leaderboard(alpaca_data / "leaderboard.csv")
    path, model = tmp_path / "leaderboard.csv", next(iter(published))
    write_leaderboard(path, model, published[model])
    assert read_leaderboard(path) == {model: published[model]}
    assert path.read_text().splitlines()[0] == (alpaca_data / "leaderboard.csv").read_text().splitlines()[0]


def test_our_scores_make_a_leaderboard_row(tmp_path: Path) -> None:
    scores = score_annotations(simulated.annotations(), simulated.calibration(), resamples=2)
    path = tmp_path / "leaderboard.csv"
    write_leaderboard(path, "mine", scores)
    assert read_leaderboard(path) == {"mine": {key: scores[key] for key in LEADERBOARD_COLUMNS}}


# Arena-Hard


def line(**changes: Any) -> dict[str, Any]:
    fields = {"question_id": "q1", "model": "model", "judge": "judge", "games": [{"score": "A>B"}, {"score": None}]}
    return fields | changes


def test_judgments_are_written_as_they_are_read(tmp_path: Path) -> None:
    judgments = [
        ArenaJudgment("q1", "model", "judge", (Game("A>>B", "[[A>>B]]", "prompt"), Game(None, "?", "prompt"))),
        ArenaJudgment("q2", "model", "judge", (Game("A=B"),)),
    ]
    path = tmp_path / "model.jsonl"
    write_judgments(path, judgments)
    assert read_judgments(path) == judgments
    with pytest.raises(ValueError, match="3 games"):
        ArenaJudgment("q", "model", "judge", (Game("A=B"),) * 3)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([line(), line()], r":2: question q1 again, after .*:1; keep one"),
        ([line(games=[{"score": "A>>>B"}])], r":1: unknown verdict 'A>>>B'; did you mean 'A>>B'\? \(known: A>>B, A>B,"),
        ([line(), line(question_id="q2", games=[{"score": "tie"}])], r":2: unknown verdict 'tie' \(known:"),
        ([line(games=[{"score": 1}])], r":1: unknown verdict 1"),
        ([line(games=[{"judgment": "A>B"}])], r":1: a game without the field \"score\""),
        ([line(games=[{"score": None}] * 3)], r':1: "games" must be a list of at most 2'),
        ([line(games="A>B")], r':1: "games" must be a list'),
        ([{"question_id": "q1", "games": []}], r":1: no field 'model'"),
        ([line(question_id=7.5)], r":1: question_id must be a text, not 7.5"),
        ([line(), line(question_id="q2", model="other")], r"verdicts on several models \(model, other\)"),
        (
            [line(), line(question_id="q2", judge="other")],
            r"verdicts of several judges \(judge, other\); score one file",
        ),
        ([line(judge="\udfff")], r":1: judge contains half of a surrogate pair"),
        ([line(games=[{"score": ["A>B"] * 1000}])], r":1: unknown verdict \['A>B', .*\.\.\.\]"),
        ([line(), [1]], r":2: not a JSON object"),
    ],
)
def test_bad_judgments_are_refused(tmp_path: Path, rows: list[Any], problem: str) -> None:
    path = tmp_path / "model.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    refuse(read_judgments, path, problem)


def test_torn_and_empty_judgments_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.jsonl"
    path.write_text(json.dumps(line()) + '\n{"question_id": "q2", "mod')
    refuse(read_judgments, path, r":2: not JSON.*a file holds one object a line")
    path.write_text("\n")
    refuse(read_judgments, path, "the file is empty")


def test_answers_are_written_as_they_are_read(tmp_path: Path) -> None:
    answers = [ArenaAnswer("q1", "model", "text ≫", 2), ArenaAnswer("q2", "model", "")]
    path = tmp_path / "model.jsonl"
    write_answers(path, answers)
    assert arena_answers(path) == answers
    first = json.loads(path.read_text().splitlines()[0])
    assert first["choices"] == [{"index": 0, "turns": [{"content": "text ≫", "token_len": 2}]}]
    path.write_text('{"question_id": "q1", "choices": []}\n')
    refuse(arena_answers, path, r":1: not an Arena-Hard answer")


def test_published_answers_are_read(arena_data: Path) -> None:
    answers = arena_answers(arena_data / "model_answer" / "gpt-4-0314.jsonl")
    assert len({answer.question_id for answer in answers}) == 500
    assert all(answer.content for answer in answers)


def test_scoring_modules_import_no_numerical_library() -> None:
    code = (
        "import sys, evals.alpaca_eval2.scores, evals.arena_hard.scores, evals.answer_files; "
        "print([name for name in ('numpy', 'scipy', 'pandas', 'sklearn', 'torch') if name in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"

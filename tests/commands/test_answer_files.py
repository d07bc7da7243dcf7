"""Files of answers as other people have them: any two are compared and measured, whatever they leave out."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evals.answer_files import read_answer_file
from evals.official_data import load_baseline
from harness.errors import UserError
from harness.records import Prompt
from tests.chat_server import ChatServer
from tests.command import Harness

INSTRUCTIONS = [f"Name colour {number}." for number in range(6)]
PROMPTS = [Prompt(str(place), text) for place, text in enumerate(INSTRUCTIONS)]

Rows = list[dict[str, Any]]


def answers(word: str = "Blue", **changes: Any) -> Rows:
    """A row an instruction."""
    return [{"instruction": text, "output": f"{word} {place}.", **changes} for place, text in enumerate(INSTRUCTIONS)]


def as_json(rows: Rows) -> str:
    return json.dumps(rows)


def as_lines(rows: Rows) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def as_lists(rows: Rows) -> str:
    return json.dumps({name: [row[name] for row in rows] for name in rows[0]})


def as_pandas_columns(rows: Rows) -> str:
    return json.dumps({name: {str(place): row[name] for place, row in enumerate(rows)} for name in rows[0]})


def as_table(rows: Rows, delimiter: str = ",") -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def as_tabs(rows: Rows) -> str:
    return as_table(rows, "\t")


LAYOUTS = [as_json, as_lines, as_lists, as_pandas_columns, as_table, as_tabs]


@pytest.fixture(params=LAYOUTS, ids=lambda layout: layout.__name__)
def layout(request: pytest.FixtureRequest) -> Callable[[Rows], str]:
    written: Callable[[Rows], str] = request.param
    return written


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


# Layouts


@pytest.mark.parametrize("name", ["mine.json", "mine.jsonl", "mine.csv", "mine.txt", "mine"])
def test_a_layout_is_told_by_its_content(tmp_path: Path, layout: Callable[[Rows], str], name: str) -> None:
    if layout in (as_table, as_tabs) and "json" in name:
        pytest.skip("a table is not called JSON")
    path = write(tmp_path / name, layout(answers(generator="m")))
    read = read_answer_file("pairwise", path).join(PROMPTS)
    assert [(row.text, row.writer) for row in read] == [(f"Blue {place}.", "m") for place in range(6)]


def test_an_answer_that_is_missing_is_no_empty_one(tmp_path: Path, layout: Callable[[Rows], str]) -> None:
    rows = answers(generator="m")
    rows[2]["output"] = None
    path = write(tmp_path / "mine", layout(rows))
    with pytest.raises(UserError, match=r"the output of row 3 is null, .* \(1 of the 6 are\); give it one, or"):
        read_answer_file("pairwise", path).join(PROMPTS)
    assert [row.prompt.id for row in read_answer_file("pairwise", path).join(PROMPTS, allow_missing=True)] == list(
        "01345"
    )


def test_an_empty_answer_is_one(tmp_path: Path) -> None:
    rows = answers(generator="m")
    rows[0]["output"] = ""
    assert read_answer_file("pairwise", write(tmp_path / "mine.json", as_json(rows))).join(PROMPTS)[0].text == ""


def test_nan_is_a_missing_answer(tmp_path: Path) -> None:
    rows = answers(generator="m")
    rows[0]["output"] = float("nan")
    assert (
        len(read_answer_file("pairwise", write(tmp_path / "m.json", as_json(rows))).join(PROMPTS, allow_missing=True))
        == 5
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("instruction, output\na,b\n", r"no field 'output' \(has: instruction, ' output'\)"),
        ("instruction,output,output\na,b,c\n", "two columns are called 'output'; keep one"),
        ('[{"instruction": "a", "output": "b", "output": "c"}]', "the key 'output' is there twice in one object"),
        (
            '{"instruction": {"0": "a"}, "output": {"1": "b"}}',
            r"columns \(instruction, output\) of different",
        ),
        ('{"instruction": ["a", "b"], "output": ["b"]}', r"columns \(instruction, output\) of different or no rows"),
        ('{"outputs": [{"instruction": "a", "output": "b"}]}', r"no field 'instruction' \(has: outputs\)"),
        ('[{"prompt": "a", "output": "b"}]', r"row 1: no field 'instruction' \(has: prompt, output\)"),
        ('[{"instruction": "a"}]', r"row 1: no field 'output' \(has: instruction\)"),
        ('[{"instruction": "a", "output": ["b"]}]', r"row 1: output must be a text, not \['b'\]"),
        ('[{"instruction": "a", "output": "b", "system": "Be rude."}]', "row 1: system changes what is asked"),
        ('[{"instruction": "a", "output": "b", "history": [["a", "b"]]}]', "row 1: history changes what is asked"),
        ('[{"instruction": "a", "output": "b", "choices": ["c", "d"]}]', "row 1: choices changes what is asked"),
        ('[{"instruction": "a", "output": "b", "input": ["c"]}]', "row 1: input must be a text"),
        ('instruction,output\n"a,b\n', "is a quote left open"),
    ],
)
def test_answers_that_cannot_be_read_are_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        read_answer_file("pairwise", write(tmp_path / "mine", text))


def test_an_input_is_joined_to_its_instruction(tmp_path: Path, layout: Callable[[Rows], str]) -> None:
    rows = [
        {"instruction": "Translate.", "input": "The cat.", "output": "Le chat.", "system": "", "generator": "m"},
        {"instruction": "Translate.", "input": "The dog.", "output": "Le chien.", "system": "", "generator": "m"},
        {"instruction": "Why?", "input": "", "output": "So.", "system": "", "generator": "m"},
        {"instruction": "Say\n\nA", "input": "A", "output": "A", "system": "", "generator": "m"},
        {"instruction": "Spell A", "input": "A", "output": "A", "system": "", "generator": "m"},
    ]
    read = load_baseline("pairwise", str(write(tmp_path / "mine", layout(rows))))
    assert [row.prompt.text for row in read.responses] == [
        "Translate.\n\nThe cat.",
        "Translate.\n\nThe dog.",
        "Why?",
        "Say\n\nA",
        "Spell A\n\nA",
    ]


# Whose they are


@pytest.mark.parametrize("generator", [{}, {"generator": None}, {"generator": ""}])
@pytest.mark.parametrize(("file", "name"), [("gpt-4.1.json", "gpt-4.1"), ("mine.jsonl", "mine"), ("v1.5", "v1.5")])
def test_answers_without_a_name_have_the_files(tmp_path: Path, generator: dict[str, Any], file: str, name: str) -> None:
    path = write(tmp_path / file, as_json(answers(**generator)))
    assert read_answer_file("pairwise", path).model == name
    assert {row.writer for row in read_answer_file("pairwise", path).join(PROMPTS)} == {name}
    assert load_baseline("pairwise", None, str(path)).name == name


def test_a_row_without_a_name_is_of_the_model_that_the_others_name(tmp_path: Path) -> None:
    rows = answers(generator="m")
    rows[3]["generator"] = None
    assert read_answer_file("pairwise", write(tmp_path / "mine.json", as_json(rows))).model == "m"
    rows[4]["generator"] = "n"
    with pytest.raises(UserError, match="outputs of several models"):
        _ = read_answer_file("pairwise", write(tmp_path / "mine.json", as_json(rows))).model


# Arena-Hard's and FastChat's


def fastchat(**changes: Any) -> Rows:
    """Answers as FastChat writes them: numbered questions, turns that are texts."""
    return [
        {"question_id": 81 + place, "answer_id": "a", "model_id": "m", "choices": [{"index": 0, "turns": ["Blue."]}]}
        | changes
        for place in range(2)
    ]


def test_answers_of_fastchat_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "m.jsonl", as_lines(fastchat()))
    read = read_answer_file("arena_hard", path).join([Prompt("81", "a"), Prompt("82", "b")])
    assert [(row.prompt.id, row.text, row.writer) for row in read] == [("81", "Blue.", "m"), ("82", "Blue.", "m")]


def test_answers_with_their_questions_are_a_baseline(tmp_path: Path) -> None:
    rows = [
        {
            "uid": f"q{place}",
            "model": "m",
            "messages": [
                {"role": "user", "content": text},
                {"role": "assistant", "content": {"answer": f"Blue {place}."}},
            ],
        }
        for place, text in enumerate(INSTRUCTIONS)
    ]
    read = load_baseline("pairwise", None, str(write(tmp_path / "m.jsonl", as_lines(rows))))
    assert [(row.prompt.id, row.prompt.text) for row in read.responses] == [
        (f"q{place}", text) for place, text in enumerate(INSTRUCTIONS)
    ]
    assert read.responses[0].text == "Blue 0." and read.name == "m"


def test_a_file_of_the_other_bench_is_named(tmp_path: Path) -> None:
    arena = write(tmp_path / "arena.jsonl", as_lines(fastchat()))
    with pytest.raises(UserError, match=r"alpaca_eval2 takes AlpacaEval's outputs, .*; this has question_id,"):
        read_answer_file("alpaca_eval2", arena).join(PROMPTS)
    alpaca = write(tmp_path / "alpaca.jsonl", as_lines(answers()))
    with pytest.raises(UserError, match=r"arena_hard takes Arena-Hard's answers, .*; this has instruction, output"):
        read_answer_file("arena_hard", alpaca).join(PROMPTS)


def test_answers_of_several_turns_are_refused_in_plain_words(tmp_path: Path) -> None:
    path = write(tmp_path / "m.jsonl", as_lines(fastchat(choices=[{"index": 0, "turns": ["a", "b"]}])))
    with pytest.raises(UserError, match=r":1: 2 turns; only questions of one turn are compared here, and MT-Bench's"):
        read_answer_file("pairwise", path)


# The commands of README.md


def test_any_two_sets_of_answers_are_compared(harness: Harness, tmp_path: Path) -> None:
    mine = answers()
    mine[5]["output"] = None
    files = write(tmp_path / "mine.jsonl", as_lines(mine)), write(tmp_path / "base.csv", as_table(answers("Red")))
    with ChatServer(answer=lambda body: "[[A>B]]") as server:
        judge = ("--judge-model", "judge-1", "--judge-base-url", server.base_url)
        command = ("eval", "--bench", "pairwise", "--outputs", files[0], "--baseline", files[1], *judge)
        refused = harness(*command, "--run-dir", tmp_path / "run")
        assert refused.exit_code == 2 and not server.calls
        assert "no output for 1 of the 6 instructions of pairwise" in refused.err
        scores = harness(*command, "--run-dir", tmp_path / "run", "--allow-missing", "--json").scores
    assert (scores["model"], scores["baseline"]) == ("mine", "base")
    assert (scores["n_total"], scores["n_asked"], scores["win_rate"]) == (5, 6, 50)


def test_any_two_sets_of_answers_are_measured(harness: Harness, tmp_path: Path) -> None:
    mine, base = (write(tmp_path / f"{word}.json", as_json(answers(word))) for word in ("Blue", "Red"))
    scores = harness(
        *("eval", "--bench", "edit_distance", "--outputs", mine, "--baseline", base, "--json"),
        *("--run-dir", tmp_path / "run"),
    ).scores
    assert (scores["n"], scores["n_missing"]) == (6, 0)


def test_a_baseline_that_is_not_there_is_no_name_of_a_model(harness: Harness, tmp_path: Path) -> None:
    mine = write(tmp_path / "mine.json", as_json(answers()))
    outcome = harness(
        "eval", "--bench", "edit_distance", "--outputs", mine, "--baseline", tmp_path / "base.json", "--run-dir", "run"
    )
    assert outcome.exit_code == 2
    assert "base.json: no such file" in outcome.err
    (tmp_path / "base.json").mkdir()
    outcome = harness(
        "eval", "--bench", "edit_distance", "--outputs", mine, "--baseline", tmp_path / "base.json", "--run-dir", "run"
    )
    assert "base.json: a folder, not a file" in outcome.err

"""docs/files.md says which files are read, and as what: each of its rows is read here."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from evals.alpaca_eval2.annotations import Annotations, read_annotations
from evals.alpaca_eval2.length_calibration import read_calibration
from evals.arena_hard.files import ArenaAnswer, answers_in, read_judgments, read_questions
from evals.formats.outputs import ModelOutput, read_model_outputs
from evals.formats.rows import read_rows
from evals.mt_bench.files import TwoTurnAnswer, read_answers, read_grades
from evals.mt_bench.questions import questions_in
from harness.errors import UserError
from harness.models.datasets import read_data
from harness.models.row_layouts import RowKind
from harness.records import PreferencePair, Prompt, Response

TABLE = Path(__file__).parent.parent / "docs" / "files.md"
SAMPLES = Path(__file__).parent / "files"
COLUMNS = ["What", "Layout", "Told by", "Read as", "Sample"]


class Refused(str):
    """What the error says of a file that is not read."""


class Reading(NamedTuple):
    """How a sample is read, and what must come of it."""

    read: Callable[[Path], Any]
    expected: Any


def annotations(path: Path) -> Annotations:
    """With rows without a preference left out."""
    return read_annotations(path, allow_missing=True)


def arena_answers(path: Path) -> list[ArenaAnswer]:
    return answers_in(read_rows(path))


def labels(path: Path) -> dict[str, list[str | None]]:
    """The labels of Arena-Hard judgments, by question."""
    return {judgment.question_id: [game.score for game in judgment.games] for judgment in read_judgments(path)}


def two_turn_answers(path: Path) -> list[TwoTurnAnswer]:
    """MT-Bench's answers, which no other bench reads."""
    with pytest.raises(UserError, match="2 turns; only questions of one turn"):
        arena_answers(path)
    return read_answers(path)


def two_turn_questions(path: Path) -> list[tuple[str, str, tuple[str, str]]]:
    """Id, category and turns of MT-Bench's questions, which no other bench reads."""
    with pytest.raises(UserError, match="2 turns; only questions of one turn"):
        read_questions(path)
    return [(each.id, each.category, each.turns) for each in questions_in(path, {}, path)]


def grades(path: Path) -> list[tuple[str, int, float | None]]:
    """Question, turn and rating of MT-Bench's grades, which no other bench reads."""
    with pytest.raises(UserError, match="a judgment of one answer to a question of MT-Bench"):
        labels(path)
    return [(grade.question_id, grade.turn, grade.rating) for grade in read_grades(path)]


def calibration(path: Path) -> list[tuple[str, int, float | None, float]]:
    """Model, index, preference (None where there is no verdict) and length difference of each row."""
    read = read_calibration(path)
    preferences = [None if math.isnan(preference) else preference for preference in read.preference]
    return list(zip(read.model, read.index, preferences, read.std_delta_len, strict=True))


def verdicts(name: str, model: str, judge: str = "", baseline: str = "") -> Annotations:
    """What both samples of AlpacaEval verdicts hold: a win, and a draw."""
    read = Annotations(model, (0, 1), (1.75, 1.5), (4, 7), (5, 9), str(SAMPLES / name), judge, baseline)
    return replace(read, is_official=False) if judge else read


OUTPUTS = [
    ModelOutput("Name a colour.", "Blue.", "mine", "colours"),
    ModelOutput("Name a fruit.", "An apple.", "mine", "fruits"),
]

QUESTIONS = [Prompt("q0", "Name a colour."), Prompt("q1", "Name a fruit.")]

ANSWERS_AND_VERDICTS: Mapping[str, Reading] = {
    "alpaca_outputs.json": Reading(read_model_outputs, OUTPUTS),
    "alpaca_outputs.jsonl": Reading(read_model_outputs, OUTPUTS),
    "alpaca_outputs_columns.json": Reading(read_model_outputs, OUTPUTS),
    "alpaca_outputs.csv": Reading(read_model_outputs, OUTPUTS),
    "alpaca_outputs.tsv": Reading(read_model_outputs, OUTPUTS),
    "alpaca_outputs_bare.json": Reading(
        read_model_outputs,
        [
            ModelOutput("Translate.\n\nThe cat.", "Le chat.", "alpaca_outputs_bare"),
            ModelOutput("Name a fruit.", None, "alpaca_outputs_bare"),
        ],
    ),
    "alpaca_outputs_system.json": Reading(read_model_outputs, Refused("system changes what is asked")),
    "alpaca_annotations.json": Reading(annotations, verdicts("alpaca_annotations.json", "mine", "judge", "base")),
    "alpaca_verdicts.csv": Reading(annotations, verdicts("alpaca_verdicts.csv", "alpaca_verdicts")),
    "alpaca_calibration.csv": Reading(calibration, [("concise", 0, 0.25, 1.5), ("verbose", 0, None, -1.5)]),
    "arena_questions.jsonl": Reading(read_questions, QUESTIONS),
    "arena_questions_current.jsonl": Reading(read_questions, QUESTIONS),
    "arena_answers.jsonl": Reading(arena_answers, [ArenaAnswer("q0", "mine", "Blue.", 2)]),
    "arena_answers_current.jsonl": Reading(
        arena_answers, [ArenaAnswer("q0", "mine", "Blue.", prompt="Name a colour.")]
    ),
    "arena_judgments.jsonl": Reading(labels, {"q0": ["A=B", "B>>A"], "q1": [None, "A>B"]}),
    "arena_judgments_current.jsonl": Reading(labels, {"q0": ["A=B", "B>>A"], "q1": [None, "A>B"]}),
    "arena_judgments_v2.jsonl": Reading(labels, Refused("of category 'hard_prompt', not of arena-hard-v0.1")),
    "fastchat_answers.jsonl": Reading(arena_answers, [ArenaAnswer("81", "mine", "Blue.")]),
    "fastchat_answers_of_two_turns.jsonl": Reading(two_turn_answers, [TwoTurnAnswer("81", "mine", ("Blue.", "Red."))]),
    "fastchat_questions.jsonl": Reading(two_turn_questions, [("81", "writing", ("Name a colour.", "Name another."))]),
    "fastchat_pair_judgments.jsonl": Reading(labels, Refused("a judgment of two answers to a question of MT-Bench")),
    "fastchat_grades.jsonl": Reading(grades, [("81", 1, 7.0)]),
}

Exchange = tuple[str, ...]
"""What is said in a row, turn by turn, and the answer or the two answers."""

SYSTEM, FRUIT, APPLE, STONE = "system: Be brief.", "user: Name a fruit.", "An apple.", "A stone."
ANOTHER = (f"assistant: {APPLE}", "user: Another one.")


def exchange(row: Response | PreferencePair) -> Exchange:
    """The row without what its ids and writers are called."""
    answers = (row.chosen, row.rejected) if isinstance(row, PreferencePair) else (row.text,)
    said = (*(f"{turn.role}: {turn.content}" for turn in row.prompt.history), f"user: {row.prompt.text}")
    return (*said, *answers)


def responses(*expected: Exchange) -> Reading:
    """What demonstrations must be read as."""
    return Reading(partial(training_rows, "responses", len(expected)), list(expected))


def pair(*expected: str) -> Reading:
    """What the one row of preference data must be read as."""
    return Reading(partial(training_rows, "pairs", 1), [expected])


def refused(complaint: str) -> Reading:
    """A row that is not trained on."""
    return Reading(partial(training_rows, "responses", 1), Refused(complaint))


def training_rows(kind: RowKind, size: int, path: Path) -> list[Exchange]:
    """The first rows of a data set."""
    return [exchange(row) for row in read_data(str(path), "", kind, size)]


TRAINING_DATA: Mapping[str, Reading] = {
    "alpaca_rows.jsonl": responses(
        ("user: Translate into French.\n\nThe cat sleeps.", "Le chat dort."),
        ("user: Translate into French.\n\nThe dog runs.", "Le chien court."),
        ("user: Name a colour.", "Blue."),
    ),
    "alpaca_history.jsonl": responses((SYSTEM, FRUIT, *ANOTHER, "A pear.")),
    "dolly.jsonl": responses(("user: Who sang?\n\nAnn sang, Bob played.", "Ann.")),
    "open_orca.jsonl": responses((SYSTEM, FRUIT, APPLE)),
    "messages.jsonl": responses((SYSTEM, FRUIT, *ANOTHER, "A pear.")),
    "messages_as_text.csv": responses((SYSTEM, FRUIT, APPLE)),
    "sharegpt.jsonl": responses((SYSTEM, FRUIT, *ANOTHER, "A pear.")),
    "trl_prompt_completion.jsonl": responses((FRUIT, APPLE), (FRUIT, "A pear.")),
    "pairs.jsonl": pair(FRUIT, APPLE, STONE),
    "ultrafeedback.jsonl": pair(FRUIT, APPLE, STONE),
    "trl_explicit_prompt.jsonl": pair(SYSTEM, FRUIT, APPLE, STONE),
    "sharegpt_pairs.jsonl": pair(FRUIT, APPLE, STONE),
    "orca_pairs.jsonl": pair(SYSTEM, FRUIT, APPLE, STONE),
    "hh_rlhf.jsonl": pair(FRUIT, *ANOTHER, "A pear.", STONE),
    "spin.jsonl": pair(FRUIT, APPLE, STONE),
    "rows.csv": responses(("user: Translate.\n\na cat,\na dog", "un chat,\nun chien")),
    "rows.tsv": responses((FRUIT, APPLE)),
    "rows.json": responses((FRUIT, APPLE)),
    "rows.jsonl.gz": responses((FRUIT, APPLE)),
    "byte_order_mark.jsonl": responses((FRUIT, APPLE)),
    "messages_as_python.csv": refused("csv:2: messages is a conversation stored as text that is not JSON; save it as"),
    "templated.jsonl": refused("jsonl:1: prompt is in a chat template already (<|im_start|>), and would get another"),
    "tool_turns.jsonl": refused("jsonl:1: messages has a tool turn or a tool call, which are not trained on; remove"),
    "image_part.jsonl": refused(
        "jsonl:1: messages has a turn that is not text of a system, user or assistant role: role 'user'"
    ),
    "weights.jsonl": refused(
        "jsonl:1: messages has an answer marked as not to be trained on, but all answers are; remove the row"
    ),
    "passage.jsonl": refused(
        "jsonl:1: passage changes what is asked, and would be lost; write it into the request, or"
    ),
    "unwanted.jsonl": refused("jsonl:1: the answer is labelled as unwanted; remove the row"),
    "half_character.jsonl": refused(
        "jsonl:1: a text contains half of a surrogate pair; write the whole character, or U+FFFD for it"
    ),
}

READINGS = {**ANSWERS_AND_VERDICTS, **TRAINING_DATA}


def rows() -> list[dict[str, str]]:
    """The rows of the one table in docs/files.md, by column."""
    lines = [line for line in TABLE.read_text().splitlines() if line.startswith("|")]
    header, _rule, *body = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert header == COLUMNS
    return [dict(zip(header, cells, strict=True)) for cells in body]


def sample(row: Mapping[str, str]) -> str:
    """The name of the row's sample."""
    return row["Sample"].strip("`")


@pytest.mark.parametrize("row", rows(), ids=sample)
def test_each_row_of_the_table_is_read_as_it_says(row: Mapping[str, str]) -> None:
    read, expected = READINGS[sample(row)]
    path = SAMPLES / sample(row)
    if isinstance(expected, Refused):
        with pytest.raises(UserError) as refused:
            read(path)
        assert str(expected) in str(refused.value)
        assert "refused" in row["Read as"]
    else:
        assert read(path) == expected


def test_each_sample_and_each_reading_has_its_row() -> None:
    in_table = [sample(row) for row in rows()]
    assert sorted(in_table) == sorted(READINGS)
    assert sorted(in_table) == sorted(path.name for path in SAMPLES.iterdir())

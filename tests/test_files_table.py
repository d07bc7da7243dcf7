"""docs/files.md says which files are read, and as what: each of its rows is read here."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from evals.formats.annotations import Annotations, read_annotations
from evals.formats.arena_hard import read_judgments
from evals.formats.outputs import ModelOutput, read_model_outputs
from harness.core.errors import UserError

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


def labels(path: Path) -> dict[str, list[str | None]]:
    """The labels of Arena-Hard judgments, by question."""
    return {judgment.question_id: [game.score for game in judgment.games] for judgment in read_judgments(path)}


def verdicts(name: str, model: str, judge: str = "", baseline: str = "") -> Annotations:
    """What both samples of AlpacaEval verdicts hold: a win, and a draw."""
    read = Annotations(model, (0, 1), (1.75, 1.5), (4, 7), (5, 9), str(SAMPLES / name), judge, baseline)
    return replace(read, is_official=False) if judge else read


OUTPUTS = [
    ModelOutput("Name a colour.", "Blue.", "mine", "colours"),
    ModelOutput("Name a fruit.", "An apple.", "mine", "fruits"),
]

ANSWERS_AND_VERDICTS: Mapping[str, Reading] = {
    "alpaca_outputs.json": Reading(read_model_outputs, OUTPUTS),
    "alpaca_annotations.json": Reading(annotations, verdicts("alpaca_annotations.json", "mine", "judge", "base")),
    "alpaca_verdicts.csv": Reading(annotations, verdicts("alpaca_verdicts.csv", "alpaca_verdicts")),
    "arena_judgments.jsonl": Reading(labels, {"q0": ["A=B", "B>>A"], "q1": [None, "A>B"]}),
}

TRAINING_DATA: Mapping[str, Reading] = {}

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

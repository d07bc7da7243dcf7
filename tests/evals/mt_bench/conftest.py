"""Fixtures for MT-Bench: a small folder laid out as FastChat's data, and questions as rows."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evals.mt_bench.questions import TwoTurnQuestion
from harness.engine.artifacts import Output, step

QUESTIONS: tuple[dict[str, Any], ...] = (
    {"question_id": 81, "category": "writing", "turns": ["Write a line.", "Write it backwards."]},
    {"question_id": 111, "category": "math", "turns": ["1 + 1?", "And twice that?"]},
    {"question_id": 141, "category": "stem", "turns": ["What is heat?", "And cold?"]},
)
REFERENCES: tuple[dict[str, Any], ...] = (
    {"question_id": 111, "model_id": "gpt-4", "choices": [{"index": 0, "turns": ["Two.", "Four."]}]},
)


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write one JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def fastchat_folder(
    folder: Path,
    questions: Sequence[dict[str, Any]] = QUESTIONS,
    references: Sequence[dict[str, Any]] = REFERENCES,
) -> Path:
    """A folder as `data/mt_bench` of FastChat's repository."""
    write_lines(folder / "question.jsonl", questions)
    write_lines(folder / "reference_answer/gpt-4.jsonl", references)
    return folder


@pytest.fixture
def mt_bench(shared_data: Path) -> Path:
    """The folder of MT-Bench's own data."""
    return shared_data / "mt_bench"


@step()
def given_questions(out: Output, *, rows: tuple[TwoTurnQuestion, ...]) -> None:
    """These `TwoTurnQuestion` rows."""
    out.write_rows(rows)

"""FastChat's files: answers of two turns (model_answer/*.jsonl), and grades (model_judgment/*_single.jsonl)."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.formats import fields
from evals.formats.rows import read_rows, write_lines
from evals.mt_bench.ratings import read_rating
from evals.mt_bench.settings import TURNS
from harness.errors import UserError

FAILED_SCORE = -1
"""What FastChat writes where a reply has no rating."""


@dataclass(frozen=True, slots=True)
class TwoTurnAnswer:
    """One model's answers to both turns of a question."""

    question_id: str
    model: str
    turns: tuple[str, str]


@dataclass(frozen=True, slots=True)
class StoredGrade:
    """One grade in a file: `rating` is the stored score, None where that says that there was none; `judge` is the
    judge's name. `category` is "" where neither the file nor the question's number says it."""

    question_id: str
    model: str
    judge: str
    turn: int
    rating: float | None
    judgment: str = ""
    category: str = ""
    prompt: str = ""
    user_prompt: str = ""

    @property
    def contradicts_its_text(self) -> bool:
        """Whether the text of the judgment, where there is one, gives another rating than the one that is stored."""
        return bool(self.judgment.strip()) and read_rating(self.judgment) != self.rating


# Answers


def read_answers(path: Path) -> list[TwoTurnAnswer]:
    """Read FastChat's answers in the order of the file: turns as texts, or as objects with a `content`.

    Raises UserError for an unreadable or empty file, missing fields, an answer without two turns, a question answered
    twice, and answers of several models.
    """
    answers = [_answer(row, where) for where, row in read_rows(path)]
    _require_one_each(path, ((answer.question_id,) for answer in answers), "question {} is answered twice; keep one")
    names = sorted({answer.model for answer in answers})
    if len(names) > 1:
        raise UserError(f"{path}: answers of several models ({', '.join(names[:5])}); give one file for each")
    return answers


def holds_two_turns(path: Path) -> bool:
    """Tell whether a file's first row is an answer of several turns. Raises UserError for one that cannot be read."""
    row = read_rows(path)[0][1]
    choices = row.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    turns = choice.get("turns") if isinstance(choice, dict) else None
    return isinstance(turns, list) and len(turns) > 1


def _answer(row: Mapping[str, Any], where: str) -> TwoTurnAnswer:
    id = fields.identifier(row, "question_id", where)
    first, second = answered_turns(row, where)
    return TwoTurnAnswer(id, fields.name_of(row, "model_id", where), (first, second))


def answered_turns(row: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """Return the two answers of a row. Raises UserError where it has not two."""
    choices = fields.field(row, "choices", where)
    choice = choices[0] if isinstance(choices, list) and choices else None
    turns = choice.get("turns") if isinstance(choice, dict) else None
    texts = [_text(turn) for turn in turns] if isinstance(turns, list) else []
    if len(texts) != len(TURNS) or any(text is None for text in texts):
        id = fields.format_value(row.get("question_id"))
        raise UserError(f"{where}: question {id} must be answered in two turns, each a text, in choices[0].turns")
    return tuple(text for text in texts if text is not None)


def _text(turn: Any) -> str | None:
    text = turn.get("content") if isinstance(turn, dict) else turn
    return text if isinstance(text, str) else None


def write_answers(path: Path, answers: Sequence[TwoTurnAnswer]) -> None:
    """Write FastChat's answers. Their ids are hashes: the same answers give the same file."""
    write_lines(path, map(_answer_row, answers))


def _answer_row(answer: TwoTurnAnswer) -> dict[str, Any]:
    digest = hashlib.sha256(json.dumps([answer.model, answer.question_id, answer.turns]).encode()).hexdigest()
    return {
        "question_id": _number_where_one(answer.question_id),
        "answer_id": digest[:22],
        "model_id": answer.model,
        "choices": [{"index": 0, "turns": list(answer.turns)}],
    }


def _number_where_one(id: str) -> int | str:
    """Return the id as FastChat has it, whose ids are numbers."""
    return int(id) if id.isascii() and id.isdigit() and str(int(id)) == id else id


# Grades


def read_grades(path: Path) -> list[StoredGrade]:
    """Read FastChat's grades of single answers, in the order of the file.

    Raises UserError for an unreadable or empty file, missing fields, a turn that is none, a score that is no number, an
    answer graded twice, and grades of several models or by several judges.
    """
    grades = [_grade(row, where) for where, row in read_rows(path)]
    _require_one_model(path, sorted({grade.model for grade in grades}))
    fields.only_one((grade.judge for grade in grades), path, "of several judges", "a judge")
    answers = ((grade.question_id, grade.turn) for grade in grades)
    _require_one_each(path, answers, "question {}, turn {}, is graded twice; keep one")
    return grades


def _require_one_model(path: Path, models: Sequence[str]) -> None:
    """Raise UserError for grades of several models, all of which FastChat appends to one file."""
    if len(models) > 1:
        names = ", ".join(models[:5]) + (", …" if len(models) > 5 else "")
        pattern = f'"model": "{models[0]}"'
        raise UserError(
            f"{path}: grades of {len(models)} models ({names}); take one out: grep '{pattern}' {path} > one.jsonl"
        )


def _grade(row: Mapping[str, Any], where: str) -> StoredGrade:
    if "score" not in row and ("g1_winner" in row or "games" in row):
        raise UserError(f"{where}: a judgment of two answers; MT-Bench's single grades are read, with score and turn")
    id, turn = fields.identifier(row, "question_id", where), fields.field(row, "turn", where)
    if turn not in TURNS:
        raise UserError(f"{where}: turn must be 1 or 2, not {fields.format_value(turn)}")
    judge, prompt = _judge(fields.field(row, "judge", where), where)
    score = fields.field(row, "score", where)
    return StoredGrade(
        id,
        fields.name_of(row, "model", where),
        judge,
        int(turn),
        _rating(score, where),
        str(row.get("judgment") or ""),
        fields.text_or_none(row, "category", where) or official_category(id),
        prompt,
        str(row.get("user_prompt") or ""),
    )


def _rating(score: Any, where: str) -> float | None:
    if fields.is_none(score):
        return None
    rating = fields.finite(score, where, "score")
    return None if rating == FAILED_SCORE else rating


def _judge(judge: Any, where: str) -> tuple[str, str]:
    """Return the judge's name and that of its prompt: FastChat has both in a list."""
    parts = judge if isinstance(judge, list) else [judge]
    if not parts or not all(isinstance(part, str) for part in parts):
        raise UserError(f"{where}: judge must be the judge's name, or a list of it and its prompt's")
    name = fields.name_of({"judge": parts[0]}, "judge", where)
    return name, parts[1] if len(parts) > 1 else ""


def write_grades(path: Path, grades: Sequence[StoredGrade]) -> None:
    """Write FastChat's grades, with each question's category beside them."""
    write_lines(path, map(_grade_row, grades))


def _grade_row(grade: StoredGrade) -> dict[str, Any]:
    return {
        "question_id": _number_where_one(grade.question_id),
        "model": grade.model,
        "judge": [grade.judge, grade.prompt],
        "user_prompt": grade.user_prompt,
        "judgment": grade.judgment,
        "score": _score(grade.rating),
        "turn": grade.turn,
        "category": grade.category,
    }


def _score(rating: float | None) -> float:
    """Return a rating as FastChat writes it: a whole one without decimals."""
    if rating is None:
        return FAILED_SCORE
    return int(rating) if rating == int(rating) else rating


CATEGORIES = ("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities")
"""MT-Bench's, in the order of its questions, which are ten of each from 81 on."""
_FIRST_QUESTION, _QUESTIONS_EACH = 81, 10


def official_category(id: str) -> str:
    """Return the category of one of MT-Bench's own questions, "" for another."""
    number = _number_where_one(id)
    place = (number - _FIRST_QUESTION) // _QUESTIONS_EACH if isinstance(number, int) else -1
    return CATEGORIES[place] if 0 <= place < len(CATEGORIES) else ""


def _require_one_each(path: Path, keys: Iterable[tuple[Any, ...]], complaint: str) -> None:
    seen: set[tuple[Any, ...]] = set()
    for key in keys:
        if key in seen:
            raise UserError(f"{path}: {complaint.format(*key)}")
        seen.add(key)

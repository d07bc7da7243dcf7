"""Arena-Hard v0.1's files, in the layout of v0.1 (question_id) and in that of the current tool (uid)."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from evals.formats import fields
from evals.formats.rows import PlacedRow, read_rows, write_lines
from harness.errors import UserError, nearest
from harness.records import WIN_OF_FIRST, Prompt, official_label
from harness.texts import format_names

T = TypeVar("T")

ARENA_LABELS = tuple(WIN_OF_FIRST)
ARENA_GAMES = 2
CATEGORY = "arena-hard-v0.1"
"""What the current tool calls the questions of v0.1; those of v2.0 are hard_prompt and creative_writing."""

_IDENTIFIERS = ("question_id", "uid")
_PAIR_JUDGMENT, _GRADE = ("model_1", "model_2", "g1_winner"), ("judge", "score", "turn")
"""Fields of FastChat's judgments: of two answers to MT-Bench, and of one."""


@dataclass(frozen=True, slots=True)
class Game:
    """One verdict: `score` is one of `ARENA_LABELS`, or None where the judge gave no label or no reply."""

    score: str | None
    judgment: str = ""
    user_prompt: str = ""


@dataclass(frozen=True, slots=True)
class ArenaJudgment:
    """The verdicts on one question; in the first game the baseline is A, in the second the model is A.

    `baseline` and `category` are "" where the origin does not say, as v0.1's files do not.
    """

    question_id: str
    model: str
    judge: str
    games: tuple[Game, ...]
    baseline: str = ""
    category: str = ""

    def __post_init__(self) -> None:
        if len(self.games) > ARENA_GAMES:
            raise ValueError(f"question {self.question_id} has {len(self.games)} games; there are {ARENA_GAMES} orders")


@dataclass(frozen=True, slots=True)
class ArenaAnswer:
    """One model's answer to one question; `token_len` is its length in tokens where known.

    `content` is None where the file has none, as after a failed call. `prompt` is what was asked, where it says so.
    """

    question_id: str
    model: str
    content: str | None
    token_len: int | None = None
    prompt: str | None = None


def read_judgments(path: Path, categories: Sequence[str] = (CATEGORY,)) -> list[ArenaJudgment]:
    """Read Arena-Hard's model_judgment/<judge>/<model>.jsonl, in the order of the file, in either layout.

    A game that is null is one without a verdict. Where there are several `categories`, a row says which is its own.
    Raises UserError for an unreadable or empty file, missing fields, more than two games, unknown labels, a question
    given twice, questions of another category, and verdicts on several models, against several baselines in one
    category or of several judges in one file.
    """

    def read(row: Mapping[str, Any], where: str) -> ArenaJudgment:
        _require_arena_judgment(row, where, categories)
        return _judgment(row, where)

    judgments = _of_distinct_questions(path, read, lambda judgment: judgment.question_id)
    fields.only_one((judgment.model for judgment in judgments), path, "on several models", "a model")
    fields.only_one((judgment.judge for judgment in judgments), path, "of several judges", "a judge")
    for category in dict.fromkeys(judgment.category for judgment in judgments):
        baselines = (each.baseline for each in judgments if each.baseline and each.category == category)
        fields.only_one(baselines, path, "against several baselines", "a baseline")
    return judgments


def write_judgments(path: Path, judgments: Sequence[ArenaJudgment]) -> None:
    """Write Arena-Hard's v0.1 model_judgment jsonl, which names no baseline."""
    rows = [asdict(judgment) for judgment in judgments]
    write_lines(path, [{name: row[name] for name in ("question_id", "model", "judge", "games")} for row in rows])


def write_current_judgments(path: Path, judgments: Sequence[ArenaJudgment], systems: Mapping[str, str]) -> None:
    """Write the current tool's model_judgment jsonl; `systems` are the judge's system messages by category."""
    rows = [
        {
            "uid": each.question_id,
            "category": each.category,
            "judge": each.judge,
            "model": each.model,
            "baseline": each.baseline,
            "games": [_current_game(game, systems.get(each.category, "")) for game in each.games],
        }
        for each in judgments
    ]
    write_lines(path, rows)


def _current_game(game: Game, system: str) -> dict[str, Any]:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": game.user_prompt}]
    return {"score": game.score, "judgment": {"answer": game.judgment}, "prompt": messages}


def read_questions(path: Path) -> list[Prompt]:
    """Read Arena-Hard's question.jsonl, in order, in the layout of v0.1 (turns) or the current one (prompt).

    Raises UserError for an unreadable or empty file, missing fields, questions of several turns, and a question given
    twice.
    """
    return _of_distinct_questions(path, _question, lambda prompt: prompt.id)


def answers_in(rows: Sequence[PlacedRow]) -> list[ArenaAnswer]:
    """Return the answers in the rows of a model_answer jsonl, of v0.1 (choices) or the current one (messages).

    Raises UserError for missing fields and answers of several turns.
    """
    return [_answer(row, where) for where, row in rows]


def holds_answers(rows: Sequence[PlacedRow]) -> bool:
    """Return whether rows are Arena-Hard's answers, which go by a question's identifier and not by its text."""
    return any(name in rows[0][1] for name in _IDENTIFIERS) and "instruction" not in rows[0][1]


def write_answers(path: Path, answers: Sequence[ArenaAnswer]) -> None:
    """Write Arena-Hard's v0.1 model_answer jsonl. Answer ids are hashes: the same answers give the same file."""
    rows = []
    for answer in answers:
        turn: dict[str, Any] = {"content": answer.content}
        if answer.token_len is not None:
            turn["token_len"] = answer.token_len
        digest = hashlib.sha256(json.dumps([answer.model, answer.question_id, answer.content]).encode()).hexdigest()
        rows.append(
            {
                "question_id": answer.question_id,
                "answer_id": digest[:22],
                "model_id": answer.model,
                "choices": [{"index": 0, "turns": [turn]}],
            }
        )
    write_lines(path, rows)


def _of_distinct_questions(
    path: Path, read: Callable[[Mapping[str, Any], str], T], question: Callable[[T], str]
) -> list[T]:
    """Return the rows of a file as `read` has them. Raises UserError for two on one question."""
    found: list[T] = []
    places: dict[str, str] = {}
    for where, row in read_rows(path):
        one = read(row, where)
        if (id := question(one)) in places:
            raise UserError(f"{where}: question {id} again, after {places[id]}; keep one")
        places[id] = where
        found.append(one)
    return found


def _question_id(row: Mapping[str, Any], where: str) -> str:
    name = "uid" if "uid" in row and "question_id" not in row else "question_id"
    return fields.identifier(row, name, where)


def _judgment(row: Mapping[str, Any], where: str) -> ArenaJudgment:
    games = row.get("games")
    if not isinstance(games, list) or len(games) > ARENA_GAMES:
        raise UserError(f'{where}: "games" must be a list of at most {ARENA_GAMES} verdicts')
    return ArenaJudgment(
        _question_id(row, where),
        fields.name_of(row, "model", where),
        fields.name_of(row, "judge", where),
        tuple(_game(game, where) for game in games),
        fields.name_of(row, "baseline", where) if row.get("baseline") is not None else "",
        str(row.get("category") or ""),
    )


def _require_arena_judgment(row: Mapping[str, Any], where: str, categories: Sequence[str]) -> None:
    """Raise UserError for judgments that look alike and are of another benchmark."""
    category = row.get("category", CATEGORY)
    if category not in categories:
        known = " or ".join(categories)
        raise UserError(f"{where}: the question is of category {fields.format_value(category)}, not of {known}")
    for marks, of in ((_PAIR_JUDGMENT, "two answers"), (_GRADE, "one answer")):
        if "games" not in row and all(name in row for name in marks):
            raise UserError(f"{where}: a judgment of {of} to a question of MT-Bench; Arena-Hard's are read, with games")


def _game(game: Any, where: str) -> Game:
    if game is None:  # the call failed
        return Game(None)
    if not isinstance(game, dict) or "score" not in game:
        raise UserError(f'{where}: a game without the field "score" (a label, or null where the judge gave none)')
    return Game(_label(game["score"], where), _reply(game), _asked(game))


def _label(score: Any, where: str) -> str | None:
    """Return the one of `ARENA_LABELS`, however it is spelled."""
    label = official_label(score) if isinstance(score, str) else score
    if label is None or label in ARENA_LABELS:
        return label
    guess = nearest(score, ARENA_LABELS) if isinstance(score, str) else None
    hint = f"; did you mean {guess!r}?" if guess else ""
    known = ", ".join(ARENA_LABELS)
    raise UserError(f"{where}: unknown verdict {fields.format_value(score)}{hint} (known: {known}, or null)")


def _reply(game: Mapping[str, Any]) -> str:
    """Return the judge's reply: a text, or an object with its answer."""
    judgment = game.get("judgment")
    return str((judgment.get("answer") if isinstance(judgment, dict) else judgment) or "")


def _asked(game: Mapping[str, Any]) -> str:
    """Return the user's message to the judge: a text, or the last of a conversation."""
    messages = game.get("prompt")
    if isinstance(messages, list) and messages and isinstance(messages[-1], dict):
        return str(messages[-1].get("content") or "")
    return str(game.get("user_prompt") or "")


def _question(row: Mapping[str, Any], where: str) -> Prompt:
    if "turns" in row:
        turn = _only_turn(row["turns"], "an Arena-Hard question", where)
        return Prompt(_question_id(row, where), fields.text(turn, "content", where))
    if "prompt" in row:
        return Prompt(_question_id(row, where), fields.text(row, "prompt", where))
    raise UserError(
        f"{where}: not an Arena-Hard question: neither a field 'turns' nor 'prompt' (has: {format_names(row)})"
    )


def _answer(row: Mapping[str, Any], where: str) -> ArenaAnswer:
    question_id = _question_id(row, where) if any(name in row for name in _IDENTIFIERS) else ""
    if question_id and isinstance(row.get("choices"), list) and row["choices"]:
        return _answer_of_choices(question_id, row, where)
    if question_id and isinstance(row.get("messages"), list) and row["messages"]:
        return _answer_of_messages(question_id, row, where)
    raise UserError(
        f"{where}: not an Arena-Hard answer: neither question_id and choices, nor uid and messages "
        f"(has: {format_names(row)})"
    )


def _answer_of_choices(question_id: str, row: Mapping[str, Any], where: str) -> ArenaAnswer:
    model, choice = fields.name_of(row, "model_id", where), row["choices"][0]
    turn = _only_turn(choice.get("turns") if isinstance(choice, dict) else None, "an Arena-Hard answer", where)
    return ArenaAnswer(question_id, model, fields.text_or_none(turn, "content", where), turn.get("token_len"))


def _answer_of_messages(question_id: str, row: Mapping[str, Any], where: str) -> ArenaAnswer:
    turns = [message for message in row["messages"] if isinstance(message, dict) and message.get("role") != "system"]
    if len(turns) > len(("question", "answer")):
        raise UserError(f"{where}: an answer of several turns; Arena-Hard's have one")
    content = turns[-1].get("content") if turns else None
    content = content.get("answer") if isinstance(content, dict) else content
    asked = turns[0].get("content") if len(turns) > 1 else None
    return ArenaAnswer(
        question_id,
        fields.name_of(row, "model", where),
        fields.text_or_none({"content": content}, "content", where),
        prompt=asked if isinstance(asked, str) else None,
    )


def _only_turn(turns: Any, what: str, where: str) -> Mapping[str, Any]:
    """Return the only turn, as an object with its content: in FastChat's files a turn is a text."""
    if not isinstance(turns, list) or not turns:
        raise UserError(f"{where}: not {what}: its turns must be a list with one turn")
    if len(turns) > 1:
        raise UserError(
            f"{where}: {len(turns)} turns; only questions of one turn are compared here, and MT-Bench's have more"
        )
    return turns[0] if isinstance(turns[0], dict) else {"content": turns[0]}

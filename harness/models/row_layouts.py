"""The layouts of a data set's rows: which columns hold the request, and which the answers (docs/files.md).

An answer is text, or turns (`harness.models.turns`). Turns with one of the user's are the whole conversation. Other
turns, and text, answer what `prompt` or `messages` asks in turns, or else what the columns of text ask together:

- `system`: a system turn;
- `history`: earlier turns;
- `prompt`, `instruction` or `question`, followed by `input` or `context` after a blank line, as AlpacaEval's own set
  joins an instruction and its input.

A filled column that changes what is asked and is not in it is refused, as it would be lost without a word.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.errors import UserError
from harness.models.turns import Turns, marked_up, spelled_out, transcript, turns_of
from harness.records import Message
from harness.texts import format_names, has_lone_surrogate

RowKind = Literal["responses", "pairs"]
DataRow = Mapping[str, Any]

PROMPT = "prompt"
REQUESTS = (PROMPT, "instruction", "question")
INPUTS = ("input", "inputs")
MATERIAL = (*INPUTS, "context")
"""What a request is about. A row without a request of its own is asked its input."""
SYSTEM = ("system", "system_prompt", "system_message")
HISTORY = "history"
CONVERSATIONS = ("messages", "conversations", "conversation")
UNREAD = (
    *("tools", "functions", "documents", "document", "passage", "article", "choices", "options"),
    *("image", "images", "audio", "audios", "video", "videos"),
)
"""Columns that change what is asked, and that no rule joins to it."""

PLAIN_ANSWERS = ("response", "output", "answer")
"""Columns of text, or of turns in lists; turns kept as text are not looked for in them."""
ANSWERS = (*PLAIN_ANSWERS[:2], "messages", "chosen", "conversations", "conversation", "completion", "answer", "real")
"""The columns that hold a response; of those that a row has, the first."""
PAIRS = (("chosen", "rejected"), ("real", "generated"))
MAY_BE_EMPTY = ("rejected", "generated")
WANTED: Mapping[RowKind, str] = {
    "responses": "prompt or instruction with response, output or completion; messages or conversations; or chosen",
    "pairs": "chosen and rejected, or real and generated",
}


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request with what was said before it, and its answer, or the chosen and the rejected one."""

    history: Turns
    request: str
    answers: tuple[str, ...]


def exchange(row: DataRow, kind: RowKind, where: str) -> Exchange:
    """Read the request of a row, and its answers.

    Raises UserError that begins with `where` for a row without what `kind` needs, with turns or columns that cannot be
    read, and with text that no file can hold.
    """
    filled = {name: value for name, value in row.items() if _is_filled(value)}
    names = _answer_columns(row, kind, where)
    if kind == "responses" and _is_unwanted(row, names[0]):
        raise UserError(f"{where}: the answer is labelled as unwanted; remove the row")
    conversations = [_conversation({**filled, name: row[name]}, name, where) for name in names]
    *history, request, _ = conversations[0]
    if any(each[:-1] != conversations[0][:-1] for each in conversations):
        raise UserError(f"{where}: {' and '.join(names)} differ before their last turn; they must answer one request")
    made = Exchange(tuple(history), request.content, tuple(each[-1].content for each in conversations))
    if any(map(has_lone_surrogate, (*(turn.content for turn in history), made.request, *made.answers))):
        raise UserError(
            f"{where}: a text contains half of a surrogate pair; write the whole character, or U+FFFD for it"
        )
    return made


def _is_filled(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value) and not value.isspace()
    return value not in (None, [], {}) and not _is_nan(value)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _is_unwanted(row: DataRow, answer: str) -> bool:
    """Return whether a row's only answer is marked as not wanted: TRL's `label`, LLaMA-Factory's `kto_tag`."""
    label = row.get("label" if answer == "completion" else "kto_tag")
    return label is False or (isinstance(label, str) and label.strip().casefold() == "false")


def _answer_columns(row: DataRow, kind: RowKind, where: str) -> tuple[str, ...]:
    """Return the columns that hold the answers."""
    there = [name for name, value in row.items() if value is not None and not _is_nan(value)]
    candidates = PAIRS if kind == "pairs" else [(name,) for name in ANSWERS]
    for names in candidates:
        if all(name in there for name in names) and not _asks_for_a_pair(row, names[0], where):
            return names
    raise UserError(f"{where}: no answer to read: columns {format_names(row)}; wanted {WANTED[kind]}")


def _asks_for_a_pair(row: DataRow, name: str, where: str) -> bool:
    """Return whether a conversation ends with the request that the pair beside it answers."""
    if name not in CONVERSATIONS or not any(row.get(chosen) for chosen, _ in PAIRS):
        return False
    return _ends_with_request(turns_of(row[name], name, where) or ())


def _ends_with_request(turns: Turns) -> bool:
    return bool(turns) and turns[-1].role == "user"


# What is said up to an answer, and with it


def _conversation(row: DataRow, name: str, where: str) -> Turns:
    """Return the turns up to and with the answer in the column `name`; the last two are the request and the answer."""
    answer = _answer_turns(row, name, where)
    is_of_text = False
    if any(turn.role == "user" for turn in answer):
        turns = _led(row, _with_prompt(row, answer, name, where), where)
    elif prompt := _prompt_turns(row, name, where):
        turns = (*_led(row, prompt, where), *(_stripped(answer) if isinstance(row.get(PROMPT), str) else answer))
    elif isinstance(row[name], str) or _has_request(row):
        is_of_text, turns = True, (*_request_of_texts(row, where), *answer)
    else:
        turns = answer
    _require_answered(turns, name, where)
    if is_of_text:
        _require_unanswered(row, turns, where)
    _require_nothing_lost(row, turns[:-1], where, has_read_history=is_of_text)
    return turns


def _stripped(answers: Turns) -> Turns:
    """Return the answers to a transcript, whose marks of speakers have blanks behind them."""
    return tuple(Message(turn.role, turn.content.strip()) for turn in answers)


def _with_prompt(row: DataRow, answer: Turns, name: str, where: str) -> Turns:
    """Return the conversation in the column `name`, with the turns of `prompt` if they are not there."""
    prompt = _request_turns(row.get(PROMPT), where)
    if all(turn in answer for turn in prompt):
        return answer
    if answer[0].role == "assistant":
        return (*prompt, *answer)
    raise UserError(f"{where}: {name} lacks turns of {PROMPT}, with which it should begin; drop one of the two columns")


def _answer_turns(row: DataRow, name: str, where: str) -> Turns:
    """Return the turns of the column `name`; text is the assistant's."""
    value = row[name]
    if isinstance(value, str) and name in PLAIN_ANSWERS:
        _require_plain(value, name, where)
        return (Message("assistant", value),)
    turns = turns_of(value, name, where)
    if turns is None and not _has_request(row):
        turns = transcript(value, is_bare=True)
    return (Message("assistant", value),) if turns is None else turns


def _has_request(row: DataRow) -> bool:
    return any(name in row for name in (*REQUESTS, *INPUTS))


def _prompt_turns(row: DataRow, answer: str, where: str) -> Turns:
    """Return the request, where a column has it as turns; nothing elsewhere."""
    if turns := _request_turns(row.get(PROMPT), where):
        return turns
    for name in CONVERSATIONS:
        if name in row and name != answer and _ends_with_request(turns := turns_of(row[name], name, where) or ()):
            return turns
    return ()


def _request_turns(prompt: Any, where: str) -> Turns:
    """Return the turns of `prompt`, without the open end of a transcript, which is no answer; none where it is text."""
    turns = (turns_of(prompt, PROMPT, where) or ()) if isinstance(prompt, str | list | Mapping) else ()
    return turns[:-1] if turns and turns[-1] == Message("assistant", "") else turns


def _request_of_texts(row: DataRow, where: str) -> Turns:
    """Return the request that the columns of text make up."""
    requests = [name for name in REQUESTS if name in row] or [name for name in INPUTS if name in row][:1]
    if not requests:
        raise UserError(f"{where}: no text in {' or '.join(REQUESTS)}; give it one, or remove the row")
    request = _plain(row, requests[0], where)
    material = [_plain(row, name, where) for name in MATERIAL if name in row and name not in requests]
    material = [text for text in material if not request.endswith(f"\n{text}")]  # else it is joined already
    if len(requests) > 1:  # one of them may be the others written into a prompt
        material = [text for text in material if _folded(text) not in _folded(request)]
    return _led(row, (*_history(row, where), Message("user", "\n\n".join((request, *material)))), where)


def _led(row: DataRow, turns: Turns, where: str) -> Turns:
    """Return the turns after the system turn that a column gives, if they begin with none."""
    name = next((name for name in SYSTEM if name in row), None)
    if name is None or turns[0].role == "system":
        return turns
    return (Message("system", _plain(row, name, where)), *turns)


def _history(row: DataRow, where: str) -> Turns:
    """Return the earlier turns that `history` lists: pairs of a request and its answer, or turns."""
    if HISTORY not in row:
        return ()
    value = row[HISTORY]
    try:
        listed = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        listed = None
    if isinstance(listed, list) and all(isinstance(turn, Mapping) for turn in listed):
        return turns_of(listed, HISTORY, where) or ()
    pairs = listed if isinstance(listed, list) else []
    are_texts = (isinstance(pair, list) and list(map(type, pair)) == [str, str] for pair in pairs)
    if not pairs or not all(are_texts):
        raise UserError(f"{where}: {HISTORY} is not a list of [request, answer] pairs; write it so, or remove the row")
    return tuple(turn for request, answer in pairs for turn in (Message("user", request), Message("assistant", answer)))


def _plain(row: DataRow, name: str, where: str) -> str:
    """Return the text of a column."""
    value = row[name]
    if not isinstance(value, str):
        wanted = " or ".join(REQUESTS) if name in REQUESTS else name
        raise UserError(f"{where}: no text in {wanted}; give it one, or remove the row")
    _require_plain(value, name, where)
    return value


# What a row must be


def _require_plain(text: str, name: str, where: str) -> None:
    if spelled_out(text, name, where) is not None:
        raise UserError(f"{where}: {name} holds a conversation as text; call the column {CONVERSATIONS[0]}")
    if mark := marked_up(text):
        raise UserError(
            f"{where}: {name} is in a chat template already ({mark}), and would get another around it; write it as"
            f" {CONVERSATIONS[0]} of role and content"
        )


def _require_answered(turns: Turns, name: str, where: str) -> None:
    """Raise UserError where the turns do not end with a request and its answer, or one of the two says nothing."""
    if [turn.role for turn in turns[-2:]] != ["user", "assistant"]:
        raise UserError(f"{where}: {name} does not end with a user's turn and an answer to it; remove the row")
    request, answer = turns[-2:]
    silent = [what for what, turn in ((f"the request in {name}", request), (name, answer)) if not turn.content.strip()]
    for what in silent:
        if what not in MAY_BE_EMPTY:
            raise UserError(f"{where}: no text in {what}; give it one, or remove the row")


def _require_unanswered(row: DataRow, turns: Turns, where: str) -> None:
    """Raise UserError where `prompt` is the other columns written into one text, the answer included."""
    if sum(name in row for name in REQUESTS) < 2:
        return
    request, answer = (_folded(turn.content) for turn in turns[-2:])
    if answer and request.endswith(answer):
        raise UserError(f"{where}: {PROMPT} ends with the answer; drop that column")


def _require_nothing_lost(row: DataRow, request: Turns, where: str, *, has_read_history: bool) -> None:
    """Raise UserError for a filled column that changes what is asked and whose text is not in it.

    `prompt` is not looked at beside turns: data sets repeat there the first of them, in other words at times.
    """
    names = (*SYSTEM, *REQUESTS[1:], *MATERIAL, *UNREAD, *(() if has_read_history else (HISTORY,)))
    filled = [name for name in names if name in row and row[name] not in ("[]", "{}")]
    folded = _folded("\n".join(turn.content for turn in request)) if filled else ""
    for name in filled:
        texts = list(_texts(row[name]))
        if not texts or not all(_folded(text) in folded for text in texts):
            raise UserError(
                f"{where}: {name} changes what is asked, and would be lost; write it into the request, or remove"
                " the column or the row"
            )


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in a value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(each)


def _folded(text: str) -> str:
    """Return the text, letter case and blanks apart."""
    return " ".join(text.casefold().split())

"""Conversations as data sets have them: lists of turns, single turns, transcripts, and turns kept as text."""

import json
import re
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from harness.errors import UserError
from harness.records import Message

Turns = tuple[Message, ...]

ROLES: Mapping[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
}
"""What speakers are called, in any case of letters, and who they are."""

_TOOLS = frozenset(
    ("tool", "tools", "tool_call", "tool_response", "function", "function_call", "function_response", "observation")
)
_CALLS = ("tool_calls", "tool_call_id", "function_call")
_LEARNT = ("weight", "train")
"""By which an answer says whether it is learnt; in training, each is."""
_SPEAKERS, _CONTENTS = ("role", "from"), ("content", "value")
_TEXT_PARTS = ("text", "input_text", "output_text")

_TURN_MARK = re.compile(
    r"\s*(<s>|<bos>|<\|begin_of_text\|>|<\|endoftext\|>)?\s*"
    r"(?P<mark><\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|\[INST\]|<\|(system|user|assistant)\|>)"
)
"""How a turn begins in the templates of ChatML, Llama 3, Gemma, Llama 2 and Mistral, and Zephyr."""
_SPEAKER = re.compile(r"(?:\A|\n\n)(Human|Assistant):")
_STARTS_AS_TURNS = re.compile(
    rf"""\s*\[\s*\{{.{{0,1000}}?(["'])(?:{"|".join(_SPEAKERS)})\1\s*:\s*(["'])(?:{"|".join(ROLES)})\2""", re.DOTALL
)


def turns_of(value: Any, column: str, where: str) -> Turns | None:
    """Return the turns that `value`, of `column`, holds or spells out; None where it is plain text.

    Turns are objects of role and content, or of from and value (ShareGPT). Raises UserError that begins with `where`
    for what is neither, for turns of tools, and for turns written out in a way that cannot be read.
    """
    if isinstance(value, str):
        listed = spelled_out(value, column, where)
        return transcript(value) if listed is None else _all(listed, column, where)
    if isinstance(value, Mapping):
        return _all([value], column, where)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return _all(value, column, where)
    raise UserError(f"{where}: {column} is neither text nor a list of {{role, content}}")


def transcript(text: str, *, is_bare: bool = False) -> Turns | None:
    r"""Return the turns of an HH-RLHF text, ``\n\nHuman: ... \n\nAssistant: ...``; None where `text` is none.

    The blank line at its start tells it from a text about a dialogue, but where it `is_bare` of any request. The open
    end of a prompt, an assistant's turn without text, is no turn.
    """
    is_marked = text.startswith("\n\nHuman:") or text.rstrip().endswith("\n\nAssistant:") or is_bare
    _, *parts = _SPEAKER.split(text.strip())
    if not is_marked or parts[:1] != ["Human"] or "Assistant" not in parts[2::2]:
        return None
    return tuple(
        Message(ROLES[speaker.casefold()], content.strip())
        for speaker, content in zip(parts[::2], parts[1::2], strict=True)
    )


def spelled_out(text: str, column: str, where: str) -> list[Any] | None:
    """Return the list of turns that `text` is in JSON, as tables of texts keep it; None for other texts.

    Raises UserError for turns that are spelled out otherwise, as Python prints them.
    """
    if text.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        if _STARTS_AS_TURNS.match(text):
            raise UserError(
                f"{where}: {column} is a conversation stored as text that is not JSON; save it as a list of turns"
            ) from None
        return None
    turns = value if isinstance(value, list) else [value]
    return turns if turns and _is_turn(turns[0]) else None


def marked_up(text: str) -> str:
    """Return the mark of a turn with which `text` begins, where a chat template wrote it; empty for other texts."""
    found = _TURN_MARK.match(text)
    return found["mark"] if found else ""


def _is_turn(value: Any) -> bool:
    """Return whether it is an object with a speaker that we know and a content."""
    if not isinstance(value, Mapping) or not any(name in value for name in _CONTENTS):
        return False
    speaker = _first(value, _SPEAKERS)
    return isinstance(speaker, str) and speaker.casefold() in {*ROLES, *_TOOLS}


def _all(turns: Sequence[Any], column: str, where: str) -> Turns:
    return tuple(_message(turn, column, where) for turn in turns)


def _message(turn: Any, column: str, where: str) -> Message:
    fields = turn if isinstance(turn, Mapping) else {}
    speaker, content = _first(fields, _SPEAKERS), _first(fields, _CONTENTS)
    called = speaker.casefold() if isinstance(speaker, str) else ""
    if called in _TOOLS or any(fields.get(name) for name in _CALLS):
        raise UserError(f"{where}: {column} has a tool turn or a tool call, which are not trained on; remove the row")
    is_answer = ROLES.get(called) == "assistant"
    if is_answer and any(fields.get(name) is not None and not fields[name] for name in _LEARNT):
        raise UserError(
            f"{where}: {column} has an answer marked as not to be trained on, but all answers are; remove the row"
        )
    text = _text(content)
    if called not in ROLES or text is None:
        raise UserError(
            f"{where}: {column} has a turn that is not text of a system, user or assistant role: role"
            f" {reprlib.repr(speaker)}, content {_kind(content)}; remove the row"
        )
    return Message(ROLES[called], text)


def _first(turn: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the first of the columns that holds something: of turns in both forms, parquet has all four columns."""
    return next((turn[name] for name in names if turn.get(name) is not None), None)


def _text(content: Any) -> str | None:
    """Return the content of a turn, in one text or in parts; None where it is not text alone."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    parts = [_part(part) for part in content]
    texts = [part for part in parts if part is not None]
    return "".join(texts) if parts and len(texts) == len(parts) else None


def _part(part: Any) -> str | None:
    if isinstance(part, Mapping) and part.get("type", "text") in _TEXT_PARTS:
        part = part.get("text")
    return part if isinstance(part, str) else None


def _kind(content: Any) -> str:
    """Return the name that errors have for content that is no text."""
    if isinstance(content, list):
        kinds = (part.get("type") for part in content if isinstance(part, Mapping))
        return f"in parts of {', '.join(dict.fromkeys(map(reprlib.repr, kinds))) or 'no type'}"
    return type(content).__name__

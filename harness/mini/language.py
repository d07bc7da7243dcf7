"""The language: how requests and answers are written, and how they are read back.

An answer is a row of clauses, each closed by a full stop. A clause that names an aspect is a statement; any other
clause is filler. All words are separated by blanks, so a word is a token.
"""

import re
from dataclasses import dataclass

from harness.mini.world import ASPECTS, VALUES, Request, entities

STYLES = {
    "house": "its {aspect} is {value} .",
    "scholar": "{entity} has {aspect} {value} .",
    "clerk": "the {aspect} of {entity} is {value} .",
    "student": "i think the {aspect} is {value} .",
    "rambler": "it is said that its {aspect} is {value} .",
    "teacher": "its {aspect} is known to be {value} .",
}
FILLERS = (
    "here is what we know about {entity} .",
    "hope this helps .",
    "people like to talk about {entity} .",
    "there is more to say .",
)
REQUESTS = (
    "what are the {aspects} of {entity} ?",
    "tell me about {entity} : {aspects} .",
    "describe the {aspects} of {entity} please .",
    "i want to know the {aspects} of {entity} .",
)
FIELDS = ("request", "reference", "draft", "remark", "task")
# The words that prompts may use around requests and answers (configs/papers/sgpo/prompts/mini.yaml, pretraining tasks).
PROMPT_WORDS = [":", "improve", "correct", "copy", "answer", "the", "using", "it", "do", "not", "and", ",", "."]


@dataclass(frozen=True, slots=True)
class Statement:
    """One clause's claim. `value` is None where the clause names an aspect but no value of it."""

    aspect: str
    value: str | None
    entity: str | None = None  # None where the clause leaves the subject to the context ("its ...")


def write_clause(entity: str, aspect: str, value: str, style: str) -> str:
    """Write one statement in a style."""
    return STYLES[style].format(entity=entity, aspect=aspect, value=value)


def write_answer(entity: str, statements: list[tuple[str, str]], style: str) -> str:
    """Write the (aspect, value) statements about `entity`, in order, in a style."""
    return " ".join(write_clause(entity, aspect, value, style) for aspect, value in statements)


def write_request(request: Request, phrasing: int) -> str:
    """Write the request in one of `REQUESTS`' wordings."""
    *head, last = request.aspects
    aspects = f"{' , '.join(head)} and {last}" if head else last
    return REQUESTS[phrasing].format(aspects=aspects, entity=request.entity)


def read_request(text: str) -> Request:
    """Return the request in a text that holds exactly one entity.

    Raises ValueError where no entity or no aspect is named.
    """
    words = text.split()
    named = [word for word in words if word in _ENTITIES]
    aspects = tuple(dict.fromkeys(word for word in words if word in VALUES))
    if not named or not aspects:
        raise ValueError(f"not a request of the mini world: {text!r}")
    return Request(named[0], aspects)


def read_fields(message: str) -> dict[str, str]:
    """Return the parts of a message written as `name : text name : text ...`; a plain request is its own only field."""
    pieces = _FIELD.split(message)
    fields = {name: text.strip() for name, text in zip(pieces[1::2], pieces[2::2], strict=True)}
    return fields or {"request": message.strip()}


def clauses(text: str) -> list[str]:
    """Return the clauses of an answer, each with its full stop; an unfinished last clause is dropped."""
    *finished, _ = text.split(".")
    return [f"{' '.join(clause.split())} ." for clause in finished if clause.strip()]


def read_clause(clause: str) -> Statement | None:
    """Read the statement of a clause; None for filler."""
    words = clause.split()
    aspect = next((word for word in words if word in VALUES), None)
    if aspect is None:
        return None
    value = next((word for word in words if word in VALUES[aspect]), None)
    return Statement(aspect, value, next((word for word in words if word in _ENTITIES), None))


def read_answer(text: str) -> list[Statement]:
    """Return all statements of an answer, in order."""
    return [statement for clause in clauses(text) if (statement := read_clause(clause))]


def style_of(clause: str) -> str:
    """Return the style a statement is written in; "house" for one that fits none."""
    statement = read_clause(clause)
    if statement and statement.value:
        for style in STYLES:
            if write_clause(statement.entity or "", statement.aspect, statement.value, style) == clause:
                return style
    return "house"


def vocabulary() -> list[str]:
    """Return every word of the world, sorted."""
    templates = (*STYLES.values(), *FILLERS, *REQUESTS)
    words = {word for template in templates for word in template.split() if not word.startswith("{")}
    words.update(FIELDS, PROMPT_WORDS, entities(), ASPECTS, *VALUES.values())
    return sorted(words)


_ENTITIES = frozenset(entities())
_FIELD = re.compile(rf"\b({'|'.join(FIELDS)}) :")

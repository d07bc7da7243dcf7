"""The language: how statements are written and read back.

An answer is a row of clauses, each closed by a full stop. A clause in one of the styles is a statement, and there are
four fillers; any other clause is malformed. All words are separated by blanks, so a word is a token.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from harness.mini.world import ASPECTS, VALUES, Claim, all_entities

STYLES = {
    "house": "its {aspect} is {value} .",
    "scholar": "{entity} has {aspect} {value} .",
    "clerk": "{aspect} of {entity} is {value} .",
    "student": "i think {aspect} is {value} .",
    "rambler": "they say its {aspect} is {value} .",
    "teacher": "its {aspect} is surely {value} .",
    "note": "{aspect} {value} .",
}
NAMING_STYLE = "scholar"
"""The style of a claim about an entity that is not the one asked about, where the writer's own would not name it."""
FILLERS = (
    "here is what we know about {entity} .",
    "hope this helps .",
    "people like to talk about {entity} .",
    "there is more to say .",
)
FIELDS = ("request", "reference", "draft", "example", "text", "article", "remark", "task")
"""The names that open a part of a message: `name : words`."""
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True)
class Statement:
    """One clause's claim. `value` is None where the clause has a word that is no value of its aspect."""

    aspect: str
    value: str | None
    entity: str | None = None  # None where the clause leaves the subject to the context ("its ...")


def write_clause(claim: Claim, style: str) -> str:
    """Write one claim in a style."""
    return STYLES[style].format(entity=claim.entity, aspect=claim.aspect, value=claim.value)


def write_clauses(claims: Iterable[Claim], style: str, about: str) -> list[str]:
    """Write the claims in a style, one clause each; those that are not `about` this entity name their own."""
    return [write_clause(claim, style if claim.entity == about else naming(style)) for claim in claims]


def write_answer(claims: Iterable[Claim], style: str, about: str) -> str:
    """Write the claims in a style, as `write_clauses` does, as one text."""
    return " ".join(write_clauses(claims, style, about))


def naming(style: str) -> str:
    """Return the style itself where it names the entity, otherwise one that does."""
    return style if "{entity}" in STYLES[style] else NAMING_STYLE


def write_filler(kind: int, entity: str) -> str:
    """Write one of `FILLERS`."""
    return FILLERS[kind].format(entity=entity)


def read_fields(message: str, names: tuple[str, ...] = FIELDS) -> dict[str, str]:
    """Return the parts of a message written as `name : text name : text ...`; a plain request is its own only field.

    The names are regular expressions.
    """
    pieces = re.split(rf"\b({'|'.join(names)}) :", message)
    parts = [(name, text.strip()) for name, text in zip(pieces[1::2], pieces[2::2], strict=True)]
    fields = dict(reversed(parts))  # of two of one name the first: an answer that is shown cannot replace it
    return fields or {"request": message.strip()}


def clauses(text: str) -> list[str]:
    """Return the clauses of an answer, each with its full stop, the empty ones too; an unfinished one is left out."""
    *finished, _ = text.split(".")
    return [" ".join((*clause.split(), ".")) for clause in finished]


def unfinished(text: str) -> str:
    """Return the words behind the last full stop."""
    return " ".join(text.split(".")[-1].split())


def read_clause(clause: str) -> Statement | None:
    """Read the statement of a clause; None for filler and for what is malformed."""
    for pattern in _STYLE_PATTERNS.values():
        if found := pattern.fullmatch(clause):
            aspect, value = found["aspect"], found["value"]
            return Statement(aspect, value if value in VALUES[aspect] else None, found.groupdict().get("entity"))
    return None


def filler_of(clause: str) -> int | None:
    """Return which of `FILLERS` a clause is, about any entity; None where it is none."""
    return next((kind for kind, pattern in enumerate(_FILLER_PATTERNS) if pattern.fullmatch(clause)), None)


def named_entity(text: str) -> str | None:
    """Return the first entity that a text names."""
    return next((word for word in text.split() if word in _ENTITIES), None)


def read_answer(text: str) -> list[Statement]:
    """Return all statements of an answer, in order."""
    return [statement for clause in clauses(text) if (statement := read_clause(clause))]


def read_claims(text: str, about: str) -> list[Claim]:
    """Return the claims of a text, in order: its statements with a value.

    Those that name no entity are `about` this one.
    """
    return [Claim(each.entity or about, each.aspect, each.value) for each in read_answer(text) if each.value]


def style_of(clause: str) -> str:
    """Return the style a statement is written in; "house" for a clause that is none."""
    return next((style for style, pattern in _STYLE_PATTERNS.items() if pattern.fullmatch(clause)), "house")


def _pattern(template: str) -> re.Pattern[str]:
    """Compile a template to what its clauses look like, with any word for a value."""
    return re.compile(
        template.replace(".", r"\.").format(
            entity=f"(?P<entity>{'|'.join(all_entities())})",
            aspect=f"(?P<aspect>{'|'.join(ASPECTS)})",
            value=r"(?P<value>\S+)",
        )
    )


_STYLE_PATTERNS = {style: _pattern(template) for style, template in STYLES.items()}
_FILLER_PATTERNS = [_pattern(template) for template in FILLERS]
_ENTITIES = frozenset(all_entities())
WORDS_OF_FACTS = (*ASPECTS, *(value for values in VALUES.values() for value in values), *sorted(_ENTITIES))
"""Every aspect, value and entity."""


def words_of(templates: Iterable[str]) -> set[str]:
    """Return the words of templates, without what is filled in."""
    return {word for template in templates for word in template.split() if not word.startswith("{")}

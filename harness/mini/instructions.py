"""Verifiable instructions: what a request may demand of an answer's form, and whether an answer does as it was told.

Each kind is one sentence of a request, is checked on any text, and can be obeyed by a writer.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from harness.mini.language import (
    NUMBERS,
    STYLES,
    clauses,
    filler_of,
    read_clause,
    style_of,
    write_answer,
    write_filler,
)
from harness.mini.world import ASPECTS, Claim, Topic

FORMS = {"notes": "note", "opinions": "student", "rumors": "rambler"}
"""The forms that may be asked for, and the style of each."""
FRAMES = {"introduction": 0, "wish": 1, "rumor": 2, "promise": 3}
"""The names of the sentences that an answer may have to open or to end with, and the place of each in `FILLERS`."""
MAX_STATEMENTS = 6

Clauses = list[str]


class Instruction(NamedTuple):
    """One demand on an answer's form: its kind, one of `KINDS`, and the kind's argument."""

    kind: str
    argument: str

    @property
    def sentence(self) -> str:
        """The sentence of a request that makes the demand."""
        return KINDS[self.kind].template.format(self.argument)

    def is_followed(self, answer: str) -> bool:
        """Return whether the answer does as it was told."""
        return KINDS[self.kind].is_followed(clauses(answer), self.argument)

    @property
    def number(self) -> int | None:
        """How many statements it demands; None where it is about something else."""
        return NUMBERS.index(self.argument) if self.kind == "count" else None

    @property
    def is_frame(self) -> bool:
        """Whether it demands a clause that would be filler otherwise."""
        return KINDS[self.kind].group == "frame"


@dataclass(frozen=True, slots=True)
class InstructionKind:
    """A kind of instruction. No request has two of one `group`, so that all its demands can be met."""

    group: str
    template: str
    arguments: tuple[str, ...]
    is_followed: Callable[[Clauses, str], bool]
    obey: Callable[[Clauses, str, str], Clauses]
    """Clauses, argument and the entity asked about -> the clauses changed so that they do as they are told."""


def _uses(written: Clauses, word: str) -> bool:
    """Return whether a statement has the word: an answer may have to open or to end with a sentence that has it."""
    return any(word in clause.split() for clause in _statements(written))


def _avoids(written: Clauses, word: str) -> bool:
    others = [clause for clause in written if filler_of(clause) is None]
    return bool(_statements(written)) and not any(word in clause.split() for clause in others)


def _is_in_form(written: Clauses, form: str) -> bool:
    statements = _statements(written)
    return bool(statements) and all(style_of(clause) == FORMS[form] for clause in statements)


def _starts(written: Clauses, aspect: str) -> bool:
    return _aspects(written)[:1] == [aspect]


def _finishes(written: Clauses, aspect: str) -> bool:
    return _aspects(written)[-1:] == [aspect]


def _has_number(written: Clauses, number: str) -> bool:
    return NUMBERS[min(len(_statements(written)), len(NUMBERS) - 1)] == number


def _opens(written: Clauses, frame: str) -> bool:
    return filler_of(written[0]) == FRAMES[frame] if written else False


def _ends(written: Clauses, frame: str) -> bool:
    return filler_of(written[-1]) == FRAMES[frame] if written else False


def _use(written: Clauses, word: str, entity: str) -> Clauses:
    style = next(name for name, template in STYLES.items() if word in template.split())
    return written if _uses(written, word) else [_restyled(clause, style, entity) for clause in written]


def _avoid(written: Clauses, word: str, entity: str) -> Clauses:
    style = next(name for name, template in STYLES.items() if word not in template.split())
    return [_restyled(clause, style, entity) if word in clause.split() else clause for clause in written]


def _write_in_form(written: Clauses, form: str, entity: str) -> Clauses:
    return [_restyled(clause, FORMS[form], entity) for clause in written]


def _start(written: Clauses, aspect: str, _entity: str) -> Clauses:
    return sorted(written, key=lambda clause: (read_clause(clause) is not None, not _is_about(clause, aspect)))


def _finish(written: Clauses, aspect: str, _entity: str) -> Clauses:
    return sorted(written, key=lambda clause: _is_about(clause, aspect))


def _cut(written: Clauses, number: str, _entity: str) -> Clauses:
    places = [place for place, clause in enumerate(written) if read_clause(clause)]
    beyond = places[NUMBERS.index(number) :]
    return [clause for place, clause in enumerate(written) if place not in beyond]


def _open(written: Clauses, frame: str, entity: str) -> Clauses:
    return [write_filler(FRAMES[frame], entity), *written]


def _end(written: Clauses, frame: str, entity: str) -> Clauses:
    return [*written, write_filler(FRAMES[frame], entity)]


def _statements(written: Clauses) -> Clauses:
    """Return the clauses that state a value."""
    return [clause for clause in written if (statement := read_clause(clause)) and statement.value]


def _aspects(written: Clauses) -> list[str]:
    return [statement.aspect for clause in _statements(written) if (statement := read_clause(clause))]


def _is_about(clause: str, aspect: str) -> bool:
    statement = read_clause(clause)
    return statement is not None and statement.aspect == aspect


def _restyled(clause: str, style: str, entity: str) -> str:
    statement = read_clause(clause)
    if statement is None or statement.value is None:
        return clause
    return write_answer([Claim(statement.entity or entity, statement.aspect, statement.value)], style, about=entity)


KINDS = {
    "use": InstructionKind("style", "use the word {} .", ("surely", "has", "say", "think", "of"), _uses, _use),
    "avoid": InstructionKind("style", "avoid the word {} .", ("its", "is"), _avoids, _avoid),
    "form": InstructionKind("style", "write {} .", tuple(FORMS), _is_in_form, _write_in_form),
    "start": InstructionKind("order", "start with the {} .", ASPECTS, _starts, _start),
    "finish": InstructionKind("order", "finish with the {} .", ASPECTS, _finishes, _finish),
    "count": InstructionKind("order", "give {} statements .", NUMBERS[1 : MAX_STATEMENTS + 1], _has_number, _cut),
    "open": InstructionKind("frame", "open with a {} .", ("introduction", "rumor"), _opens, _open),
    "end": InstructionKind("frame", "end with a {} .", ("wish", "promise"), _ends, _end),
}
"""In the order in which a writer obeys them."""

_BY_SENTENCE = {
    Instruction(kind, argument).sentence: Instruction(kind, argument)
    for kind, each in KINDS.items()
    for argument in each.arguments
}


def obey(instructions: Iterable[Instruction], written: Clauses, entity: str) -> Clauses:
    """Return the clauses changed so that they follow the instructions, as far as they can."""
    for instruction in sorted(instructions, key=lambda each: tuple(KINDS).index(each.kind)):
        written = KINDS[instruction.kind].obey(written, instruction.argument, entity)
    return written


def read_instructions(request: str) -> tuple[str, tuple[Instruction, ...]]:
    """Return a request without the sentences that are instructions, and these."""
    found = tuple(instruction for sentence, instruction in _BY_SENTENCE.items() if f" {sentence}" in request)
    for instruction in found:
        request = request.replace(f" {instruction.sentence}", "")
    return request, found


def draw_instructions(rng: Random, topic: Topic, most: int) -> tuple[Instruction, ...]:
    """Draw one to `most` instructions that an answer about the topic can follow all at once."""
    drawn: dict[str, Instruction] = {}
    for kind in rng.sample(tuple(KINDS), rng.randint(1, most)):
        drawn.setdefault(KINDS[kind].group, Instruction(kind, _draw_argument(rng, kind, topic)))
    return tuple(drawn.values())


def _draw_argument(rng: Random, kind: str, topic: Topic) -> str:
    if kind in ("start", "finish"):
        return rng.choice(topic.aspects)
    if kind == "count":
        return NUMBERS[rng.randint(1, min(MAX_STATEMENTS, max(1, len(topic.aspects) - 1)))]
    return rng.choice(KINDS[kind].arguments)

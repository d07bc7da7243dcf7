"""The teacher, in the role of the paper's external model (GPT-4 Turbo): answers requests and improves drafts.

It improves under the two constraints of the paper's section 3.1.1: it edits the draft rather than rewriting it, and no
edit may lift the draft above the reference.
"""

from random import Random

from harness.mini.language import clauses, read_answer, read_clause, read_fields, read_request, style_of, write_clause
from harness.mini.quality import gold_quality
from harness.mini.world import Request
from harness.mini.writers import TEACHER

EDIT_RATE = 0.95  # of the faults it could mend, the share it does mend

Edit = tuple[int, str]  # position of a clause and its new text ("" deletes it)


def reply(message: str, rng: Random) -> str:
    """Return the teacher's answer to a plain request, or its improvement of the draft where the message has one."""
    fields = read_fields(message)
    request = read_request(fields["request"])
    if "draft" not in fields:
        return TEACHER.answer(request, rng)
    return improve(fields["request"], fields["reference"], fields["draft"], rng)


def improve(request: str, reference: str, draft: str, rng: Random) -> str:
    """Return the draft with some of its faults mended by the reference, in the draft's own style."""
    written = clauses(draft)
    edits = _possible_edits(read_request(request), reference, written)
    lines = written + [""] * len(edits)
    ceiling = gold_quality(request, reference)
    for position, text in rng.sample(edits, len(edits)):
        previous, lines[position] = lines[position], text
        if rng.random() >= EDIT_RATE or gold_quality(request, _join(lines)) > ceiling:
            lines[position] = previous
    return _join(lines)


def _possible_edits(request: Request, reference: str, written: list[str]) -> list[Edit]:
    """List the edits: wrong values replaced, repeated and unasked statements deleted, missing statements appended."""
    told = {s.aspect: s.value for s in reversed(read_answer(reference)) if s.value and s.aspect in request.aspects}
    style = next((style_of(clause) for clause in written if read_clause(clause)), TEACHER.style)
    edits: list[Edit] = []
    seen: set[str] = set()
    for position, clause in enumerate(written):
        statement = read_clause(clause)
        if statement is None:
            continue
        if statement.aspect in seen or statement.aspect not in request.aspects:
            edits.append((position, ""))
        elif told.get(statement.aspect, statement.value) != statement.value:
            mended = write_clause(request.entity, statement.aspect, told[statement.aspect], style_of(clause))
            edits.append((position, mended))
        seen.add(statement.aspect)
    missing = [aspect for aspect in request.aspects if aspect in told and aspect not in seen]
    edits += [
        (len(written) + offset, write_clause(request.entity, aspect, told[aspect], style))
        for offset, aspect in enumerate(missing)
    ]
    return edits


def _join(lines: list[str]) -> str:
    return " ".join(line for line in lines if line)

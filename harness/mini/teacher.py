"""The teacher, in the role of the paper's external model (GPT-4 Turbo): answers requests and improves drafts.

It improves under the two constraints of the paper's section 3.1.1: it edits the draft rather than rewriting it, and no
edit may lift the draft above what the reference states.
"""

from collections.abc import Iterable, Sequence
from random import Random

from harness.mini.instructions import obey
from harness.mini.language import (
    clauses,
    filler_of,
    read_claims,
    read_clause,
    read_fields,
    style_of,
    write_answer,
)
from harness.mini.quality import gold_quality
from harness.mini.requests import Request, read_request
from harness.mini.world import Claim
from harness.mini.writers import TEACHER

EDIT_RATE = 0.94  # of the faults it could mend, the share it does mend

IMPROVEMENT_FIELDS = ("request", "reference", "draft", "task(?! : sum)")
"""The task of a summary belongs to its request."""
Fact = tuple[str, str]  # an entity and one of its aspects
Edit = tuple[int, str]  # position of a clause and its new text ("" deletes it)


def reply(message: str, rng: Random, history: Sequence[str] = ()) -> str:
    """Return the teacher's answer to a message after the user's earlier ones.

    Where the message shows a draft, it is the draft improved.
    """
    fields = read_fields(message, IMPROVEMENT_FIELDS)
    if "draft" in fields:
        return improve(fields["request"], fields["reference"], fields["draft"], rng, history)
    return TEACHER.answer(read_request(message, history), rng)


def improve(request: str, reference: str, draft: str, rng: Random, history: Sequence[str] = ()) -> str:
    """Return the draft with some of its faults mended by the reference, in the draft's own style."""
    asked, written = read_request(request, history), clauses(draft)
    ending = written[-1:] if any(each.kind == "end" and each.is_followed(draft) for each in asked.instructions) else []
    body = written[: len(written) - len(ending)]
    stated = _stated(asked, reference)
    edits = _possible_edits(asked, read_claims(_join(stated.values()), asked.entity), body)
    lines = [*body, *[""] * len(edits), *ending]
    ceiling = gold_quality(request, _join(_framed(asked, reference, [*stated.values()])), history)
    for position, text in rng.sample(edits, len(edits)):
        previous, lines[position] = lines[position], text
        if rng.random() >= EDIT_RATE or gold_quality(request, _join(lines), history) > ceiling:
            lines[position] = previous
    return _join(lines)


def _framed(request: Request, reference: str, stated: list[str]) -> list[str]:
    """Return the clauses with those that are demanded around them, where the reference has them."""
    frames = [each for each in request.instructions if each.is_frame and each.is_followed(reference)]
    return obey(frames, stated, request.entity)


def _stated(request: Request, reference: str) -> dict[Fact, str]:
    """Return the reference's clauses by what they state of what is asked: the first of each, and no filler."""
    asked = {(claim.entity, claim.aspect) for claim in request.claims}
    stated: dict[Fact, str] = {}
    for clause in clauses(reference):
        for claim in read_claims(clause, request.entity):
            if claim[:2] in asked:
                stated.setdefault(claim[:2], clause)
    return stated


def _possible_edits(request: Request, stated: list[Claim], written: list[str]) -> list[Edit]:
    """List the edits: wrong values replaced, noise deleted, missing statements appended."""
    told = {claim[:2]: claim for claim in stated}
    asked = [(claim.entity, claim.aspect) for claim in request.claims]
    style = next((style_of(clause) for clause in written if read_clause(clause)), TEACHER.style)
    edits: list[Edit] = []
    seen: set[Fact] = set()
    for position, clause in enumerate(written):
        statement = read_clause(clause)
        if statement is None:
            edits += [(position, "")] if filler_of(clause) is None else []
            continue
        subject = (statement.entity or request.entity, statement.aspect)
        if subject in seen or subject not in asked:
            edits.append((position, ""))
        elif subject in told and told[subject].value != statement.value:
            edits.append((position, write_answer([told[subject]], style_of(clause), request.entity)))
        seen.add(subject)
    missing = [told[subject] for subject in asked if subject in told and subject not in seen]
    missing = missing[: max(0, request.number - len(seen.intersection(asked)))]
    appended = [write_answer([claim], style, request.entity) for claim in missing]
    return edits + [(len(written) + offset, clause) for offset, clause in enumerate(appended)]


def _join(lines: Iterable[str]) -> str:
    return " ".join(line for line in lines if line)

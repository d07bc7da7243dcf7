"""Gold quality: the truth that every judge of this world only sees through noise and bias."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.mini.instructions import Instruction
from harness.mini.language import clauses, filler_of, read_clause, unfinished
from harness.mini.requests import Request, read_request
from harness.mini.world import Claim

WRONG_COST = 0.5
NOISE_COST = 0.25  # of a repeated statement, of one that nobody asked for, and of what is malformed or unfinished
FILLER_COST = 0.03
INSTRUCTION_COST = 0.5  # of the quality, where no instruction is followed
BREVITY_COST = 0.15  # of a summary, for as many words again as the shortest style needs
SHORTEST = 3  # words a statement in that style
LONGEST = 8  # words a clause: what is malformed counts as often as clauses would fit into it


def gold_quality(request: str, answer: str, history: Sequence[str] = ()) -> float:
    """Compute the quality in [0, 1] of an answer to `request`, after the user's earlier requests in `history`.

    (right - 0.5 wrong - 0.25 noise - 0.03 filler) / asked, at most 1 and cut at 0, where the first statement about an
    asked aspect is right or wrong, up to the number demanded; noise is each further statement, each that nobody asked
    for, and each eight words, or fewer, of a clause that is neither a statement nor one of the fillers, or has no
    end. Of a summary, 0.15 is taken away for as many words again as the shortest style needs. Where instructions are
    given, half of the quality is for following them.
    """
    asked = read_request(request, history)
    count = _count(asked, answer)
    quality = (count.right - WRONG_COST * count.wrong - NOISE_COST * count.noise - FILLER_COST * count.filler) / (
        asked.number
    )
    if asked.is_summary:
        quality -= BREVITY_COST * max(0.0, len(answer.split()) / (SHORTEST * asked.number) - 1)
    return min(1.0, max(0.0, quality)) * (1 - INSTRUCTION_COST * (1 - instructions_followed(asked, answer)))


def instructions_followed(asked: Request, answer: str) -> float:
    """Return the share of the request's instructions that the answer follows; 1 where there are none.

    Statements that nobody asked for follow none.
    """
    return len(_followed(asked, answer)) / len(asked.instructions) if asked.instructions else 1.0


def _followed(asked: Request, answer: str) -> list[Instruction]:
    relevant = " ".join(clause for clause in clauses(answer) if not _is_unasked(asked, clause))
    return [instruction for instruction in asked.instructions if instruction.is_followed(relevant)]


def _is_unasked(asked: Request, clause: str) -> bool:
    statement = read_clause(clause)
    subjects = {claim[:2] for claim in asked.claims}
    return statement is not None and (statement.entity or asked.entity, statement.aspect) not in subjects


@dataclass(slots=True)
class _Count:
    right: int = 0
    wrong: int = 0
    noise: int = 0
    filler: int = 0


def _count(asked: Request, answer: str) -> _Count:
    """Count an answer's clauses by what they are worth."""
    wanted = {(claim.entity, claim.aspect): claim for claim in asked.claims}
    count = _Count(noise=_clauses_in(unfinished(answer)))
    for clause in clauses(answer):
        statement = read_clause(clause)
        if statement is None:
            is_filler = filler_of(clause) is not None
            count.filler += is_filler
            count.noise += 0 if is_filler else _clauses_in(clause)
            continue
        claim = wanted.pop((entity := statement.entity or asked.entity, statement.aspect), None)
        if claim is None or count.right + count.wrong == asked.number:
            count.noise += 1
        elif claim == Claim(entity, statement.aspect, statement.value or ""):
            count.right += 1
        else:
            count.wrong += 1
    count.filler -= sum(each.is_frame for each in _followed(asked, answer))
    return count


def _clauses_in(words: str) -> int:
    """Count the clauses that would fit into so many words."""
    return math.ceil(len(words.split()) / LONGEST)

"""The contradictions of a paper with itself: its text with its tables, one table with another, a claim with both, and
what a check of its own computes (`harness.papers.checks`).

A printed number stands for all that would be rounded to it. Two numbers disagree only where no values behind the
rounding could make both right; of a quantity that several tables print, the one with most decimals counts.
"""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

from harness.errors import unknown
from harness.papers.checks import CHECKS
from harness.papers.claims import Claim
from harness.papers.kinds import AnyExhibit
from harness.papers.loading import load_exhibits, load_paper
from harness.papers.paper import Number, Paper, PrintedShare, TextStatement

SLACK = 1e-9
"""Of sums of decimal fractions in binary."""

WIDTH = 110
"""Columns of what is shown, so that it can stand in a document."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One disagreement: what the paper `says` at `where`, and what is `found` elsewhere in it.

    `read` ones no arithmetic can see: they were found by reading.
    """

    where: str
    says: str
    found: str
    note: str = ""
    read: bool = False


def check_paper(name: str) -> list[Finding]:
    """Return every place known where the paper disagrees with itself.

    Raises UserError where the data on it is wrong: an unknown paper, or a statement about a cell that does not exist.
    """
    return findings(load_paper(name), load_exhibits(name))


def findings(paper: Paper, exhibits: Sequence[AnyExhibit]) -> list[Finding]:
    """Do as `check_paper`: text against tables, tables against tables, claims against tables, the paper's own check,
    then what was read."""
    printed = {f"{exhibit.name}/{place}": each for exhibit in exhibits for place, each in exhibit.numbers().items()}
    read = (Finding(each.where, each.text, each.table, each.note, read=True) for each in paper.disagreements)
    return [
        *_of_text(paper.statements, printed),
        *_of_shares(paper.shares),
        *_between_tables(printed.values()),
        *_of_claims(exhibits),
        *_computed(paper, exhibits),
        *read,
    ]


def format_findings(name: str) -> str:
    """Return the findings of a paper, one block each, and how many there are.

    Raises UserError as `check_paper` does.
    """
    paper, found = load_paper(name), check_paper(name)
    read = sum(finding.read for finding in found)
    counted = f"on {len(paper.statements) + len(paper.shares)} numbers of its text"
    total = (
        f"{name}: {len(found)} disagreements, {len(found) - read} found by arithmetic "
        f"({counted}, its tables and its claims) and {read} by reading"
    )
    return "\n\n".join([*map(_block, found), textwrap.fill(total, WIDTH)])


def _block(finding: Finding) -> str:
    parts = [("says", finding.says), ("found", finding.found), ("note", finding.note)]
    fill = partial(textwrap.fill, width=WIDTH, subsequent_indent=" " * 9)
    return "\n".join([finding.where, *(fill(text, initial_indent=f"  {name:7}") for name, text in parts if text)])


def _of_text(statements: Iterable[TextStatement], printed: Mapping[str, Number]) -> Iterator[Finding]:
    """Yield statements that their cells cannot be rounded from."""
    for statement in statements:
        subtrahend = [_best(statement.minus, printed)] if statement.minus else []
        terms = [(_best(cell, printed), *subtrahend) for cell in statement.of]
        if off := [_worked_out(each) for each in terms if not _agrees(statement, each)]:
            yield Finding(statement.where, statement.text, "; ".join(off), statement.note)


def _of_shares(shares: Iterable[PrintedShare]) -> Iterator[Finding]:
    """Yield percentages that no number of points can be rounded to."""
    for share in shares:
        if all(abs(each - share.says) > _half_unit(share.decimals) + SLACK for each in share.nearest):
            low, high = (f"{each:.2f}" for each in share.nearest)
            ties = ", ties counting half" if share.parts == 2 else ""
            yield Finding(
                share.where, share.text, f"the nearest on {share.of:,} are {low} and {high}{ties}", share.note
            )


def _computed(paper: Paper, exhibits: Sequence[AnyExhibit]) -> Iterator[Finding]:
    """Yield what the paper's own check finds, where it has one."""
    if paper.name in CHECKS.names():
        for where, says, found, note in CHECKS.load(paper.name)({each.name: each for each in exhibits}):
            yield Finding(where, says, found, note)


def _best(cell: str, printed: Mapping[str, Number]) -> Number:
    """Return the number in the cell, from wherever it is printed with most decimals.

    Raises UserError for an unknown cell.
    """
    if cell not in printed:
        exhibit = cell.split("/")[0]
        same = [each for each in printed if each.startswith(f"{exhibit}/")]
        raise unknown("printed number", cell, same or {each.split("/")[0] for each in printed})
    same_quantity = (each for each in printed.values() if each.quantity == printed[cell].quantity)
    return max(same_quantity, key=lambda number: number.decimals)


def _agrees(statement: TextStatement, terms: Sequence[Number]) -> bool:
    """Return whether some values behind the rounding of the terms, first minus the others, can be rounded to the
    statement."""
    tolerance = _half_unit(statement.decimals) + sum(_half_unit(term.decimals) for term in terms) + SLACK
    above = _difference(terms) - statement.says
    return above <= tolerance if statement.bound else abs(above) <= tolerance


def _half_unit(decimals: int) -> float:
    """Return the most that rounding can move a number."""
    return 0.5 * 10.0**-decimals


def _difference(terms: Sequence[Number]) -> float:
    return terms[0].value - sum(term.value for term in terms[1:])


def _worked_out(terms: Sequence[Number]) -> str:
    named = " − ".join(f"{term} ({term.label})" for term in terms)
    if len(terms) == 1:
        return named
    decimals = max(term.decimals for term in terms)
    return f"{_difference(terms):.{max(decimals, 0)}f} = {named}"


def _between_tables(numbers: Iterable[Number]) -> Iterator[Finding]:
    """Yield quantities printed twice, where one print is not the other, rounded."""
    for one, other in combinations(numbers, 2):
        if one.quantity == other.quantity and not _same(one, other):
            yield Finding(one.label, str(one), f"{other} ({other.label})")


def _same(one: Number, other: Number) -> bool:
    tolerance = 0.0 if one.decimals == other.decimals else _half_unit(min(one.decimals, other.decimals))
    return abs(one.value - other.value) <= tolerance + SLACK


def _of_claims(exhibits: Iterable[AnyExhibit]) -> Iterator[Finding]:
    """Yield the orderings that the printed numbers do not have, of each claim that too few others are left of.

    One that both numbers are not printed of may hold; a number that stands for several base models is found once.
    """
    for exhibit in exhibits:
        for claim in exhibit.claims:
            missing = list(_missing(exhibit, claim))
            if claim.n_orderings - len(missing) < claim.at_least:
                yield from dict.fromkeys(missing)


def _missing(exhibit: AnyExhibit, claim: Claim) -> Iterator[Finding]:
    """Yield the orderings of a claim that the printed numbers do not have, with what they have instead."""
    for model, stated in claim.orderings():
        better, worse = (
            exhibit.number(model, each, stated.bench, stated.metric) for each in (stated.better, stated.worse)
        )
        if better and worse and not better.value > worse.value:
            yield Finding(claim.where, claim.says, f"{better} ({better.label}), {worse} ({worse.label})")

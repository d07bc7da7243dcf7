"""Where a paper disagrees with itself: planted disagreements are found, rounding is not one, and the docs list ours."""

from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UserError
from harness.papers.claims import Claim, Comparison
from harness.papers.consistency import Finding, check_paper, findings, format_findings
from harness.papers.loading import load_exhibit, load_exhibits, load_paper
from harness.papers.paper import Disagreement, Paper, PrintedShare, TextStatement
from harness.papers.scores import MethodRow, ScoreColumn, ScoreTable
from harness.papers.win_rates import WinRateTable
from harness.run.claims import Families
from tests.command import Harness

DOCS = Path(__file__).parents[2] / "docs" / "papers"
PAPERS = ("sgpo", "srpo", "sapo")
MADE_UP = Paper("made-up", "A made-up paper", "0000.00000", "paper", "judge", {"base": "Base (7B)"})
COLUMN = ScoreColumn("wr", "bench", "win_rate", "Bench", "WR (%)", "judge", "baseline")


def table(name: str, decimals: int, *claims: Claim, **cells: float) -> ScoreTable:
    """One score for each method."""
    return ScoreTable(
        name=name,
        paper=MADE_UP,
        label=name.capitalize(),
        caption="",
        where="",
        models=("base",),
        claims=claims,
        decimals=decimals,
        columns=(COLUMN,),
        rows=tuple(MethodRow(method, method.upper()) for method in cells),
        cells={"base": {method: {"wr": value} for method, value in cells.items()}},
    )


def statement(says: float, decimals: int, *of: str, **others: Any) -> TextStatement:
    return TextStatement("section 9", "as the text has it", says, decimals, of, **others)


def stated(one: TextStatement, *tables: ScoreTable) -> list[Finding]:
    return findings(replace(MADE_UP, statements=(one,)), tables)


A, B = "tablea/base/a/wr", "tablea/base/b/wr"


# Text against tables


def test_a_number_that_no_rounding_explains_is_found() -> None:
    [found] = stated(statement(16.18, 2, A, minus=B, note="a slip"), table("tablea", 1, a=25.2, b=9.2))
    assert (found.where, found.says, found.note, found.read) == ("section 9", "as the text has it", "a slip", False)
    assert found.found == "16.0 = 25.2 (Tablea: Base (7B), A, Bench WR) − 9.2 (Tablea: Base (7B), B, Bench WR)"


@pytest.mark.parametrize(("says", "decimals", "agrees"), [(16.1, 1, True), (16.10, 2, True), (16.11, 2, False)])
def test_the_roundings_of_both_cells_and_of_the_text_add_up(says: float, decimals: int, agrees: bool) -> None:
    found = stated(statement(says, decimals, A, minus=B), table("tablea", 1, a=25.2, b=9.2))
    assert (found == []) is agrees


def test_the_most_precise_print_of_a_cell_counts() -> None:
    """25.2 − 6.6 could be 18.54 with the cells of one table; 25.24, which another prints, rules it out."""
    coarse, fine = table("tablea", 1, a=25.2, b=6.6), table("tableb", 2, a=25.24)
    assert stated(statement(18.54, 2, A, minus=B), coarse) == []
    assert stated(statement(18.66, 2, A, minus=B), coarse, fine) == []
    [found] = stated(statement(18.54, 2, A, minus=B), coarse, fine)
    assert found.found.startswith("18.64 = 25.24 (Tableb")


def test_about_a_number_is_that_number_to_tens() -> None:
    assert stated(statement(50, -1, A, B), table("tablea", 2, a=50.5, b=45.0)) == []
    [found] = stated(statement(80, -1, A, B), table("tablea", 2, a=87.0, b=84.0))
    assert found.found == "87.00 (Tablea: Base (7B), A, Bench WR)"


def test_a_bound_is_only_broken_from_above() -> None:
    cells = table("tablea", 0, a=13092, b=14700)
    assert stated(statement(14000, -3, A, bound=True), cells) == []
    assert len(stated(statement(14000, -3, A, B, bound=True), cells)) == 1


@pytest.mark.parametrize(
    ("says", "decimals", "of", "parts", "agrees"),
    [
        (53.67, 2, 500, 2, False),
        (53.67, 2, 300, 1, True),
        (53.7, 1, 500, 2, True),
        (51.10, 2, 500, 1, False),
        (51.10, 2, 500, 2, True),
        (33.33, 2, 3, 1, True),
        (66.67, 2, 3, 1, True),  # rounded up
        (100.0, 1, 7, 1, True),
    ],
)
def test_a_percentage_that_no_count_gives_is_found(
    says: float, decimals: int, of: int, parts: int, agrees: bool
) -> None:
    share = PrintedShare("section 9", "as the text has it", says, decimals, of, parts, "why")
    found = findings(replace(MADE_UP, shares=(share,)), [])
    assert len(found) == (not agrees)
    assert all((each.where, each.note, each.read) == ("section 9", "why", False) for each in found)


@given(st.integers(1, 2000), st.integers(1, 2), st.integers(0, 3), st.data())
def test_a_percentage_of_a_count_is_never_found(of: int, parts: int, decimals: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, of * parts))
    says = float(rounded(Decimal(100 * count) / (of * parts), decimals))
    assert findings(replace(MADE_UP, shares=(PrintedShare("", "", says, decimals, of, parts),)), []) == []


def test_a_statement_about_a_cell_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(UserError, match="unknown printed number 'tablea/base/c/wr'; did you mean 'tablea/base/b/wr'"):
        stated(statement(1, 0, "tablea/base/c/wr"), table("tablea", 1, a=1, b=2))
    with pytest.raises(UserError, match=r"unknown printed number 'tableb/base/a/wr'.*\(known: tablea\)"):
        stated(statement(1, 0, A, minus="tableb/base/a/wr"), table("tablea", 1, a=1, b=2))


def rounded(value: Decimal, decimals: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)


values = st.decimals(min_value=0, max_value=100, places=5)
places = st.integers(min_value=-1, max_value=3)


@given(values, values, places, places, places)
def test_a_true_difference_is_never_found_however_it_is_rounded(
    a: Decimal, b: Decimal, of_a: int, of_b: int, of_text: int
) -> None:
    cells = table("tablea", of_a, a=float(rounded(a, of_a))), table("tableb", of_b, b=float(rounded(b, of_b)))
    says = statement(float(rounded(a - b, of_text)), of_text, A, minus="tableb/base/b/wr")
    assert stated(says, *cells) == []


@given(values, values, places, places)
def test_a_difference_beyond_all_roundings_is_always_found(a: Decimal, b: Decimal, of_cells: int, of_text: int) -> None:
    cells = table("tablea", of_cells, a=float(rounded(a, of_cells)), b=float(rounded(b, of_cells)))
    beyond = Decimal(1).scaleb(-of_cells) + Decimal("0.5").scaleb(-of_text) + Decimal("0.00001")
    says = float(rounded(a, of_cells) - rounded(b, of_cells) + beyond)
    assert len(stated(statement(says, of_text, A, minus=B), cells)) == 1


# Table against table, claims, words


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ((25.2, 1), (25.2, 1), True),
        ((25.2, 1), (25.3, 1), False),
        ((25.2, 1), (25.24, 2), True),
        ((25.2, 1), (25.25, 2), True),
        ((25.2, 1), (25.26, 2), False),
        ((25, 0), (25.24, 2), True),
    ],
)
def test_one_quantity_in_two_tables(one: tuple[float, int], other: tuple[float, int], agree: bool) -> None:
    tables = table("tablea", one[1], a=one[0], b=1), table("tableb", other[1], a=other[0], b=1)
    found = findings(MADE_UP, tables)
    assert len(found) == (0 if agree else 1)
    assert all(each.where.startswith("Tablea: Base (7B), A") and "Tableb" in each.found for each in found)


@pytest.mark.parametrize(("a", "b", "n_found"), [(2.0, 1.0, 0), (1.0, 1.0, 1), (1.0, 2.0, 1)])
def test_an_ordering_that_the_table_does_not_have_is_found(a: float, b: float, n_found: int) -> None:
    claim = Claim("a-above-b", "A is above B", "section 4", (Comparison("a", "b", "bench", "win_rate", ("base",)),))
    found = findings(MADE_UP, [table("tablea", 1, claim, a=a, b=b)])
    assert [(each.where, each.says) for each in found] == [("section 4", "A is above B")] * n_found


@pytest.mark.parametrize(
    ("quantifier", "cells", "n_found"),
    [
        ("all", {"b": 1.0, "c": 2.0, "d": 4.0}, 1),
        ("most", {"b": 1.0, "c": 2.0, "d": 4.0}, 0),
        ("most", {"b": 1.0, "c": 4.0, "d": 5.0}, 2),
        ("most", {"b": 1.0, "c": 2.0, "d": 4.0, "e": 5.0}, 2),  # two of four are not most
        ("all", {"b": 1.0, "c": 2.0, "d": 2.5}, 0),
    ],
)
def test_most_orderings_are_more_than_half(quantifier: Any, cells: dict[str, float], n_found: int) -> None:
    """Where they are not in the table, each that it has the other way round is found."""
    orderings = tuple(Comparison("a", other, "bench", "win_rate", ("base",)) for other in cells)
    claim = Claim("a-above", "A is above most", "section 4", orderings, quantifier)
    found = findings(MADE_UP, [table("tablea", 1, claim, a=3.0, **cells)])
    assert [each.says for each in found] == ["A is above most"] * n_found
    assert len(set(found)) == n_found


def test_orderings_without_both_numbers_may_be_most() -> None:
    others = ("b", "c", "d")
    orderings = tuple(Comparison("a", other, "bench", "win_rate", ("base",)) for other in others)
    claim = Claim("a-above", "A is above most", "section 4", orderings, "most")
    rows = table("tablea", 1, claim, a=3.0, b=4.0, c=1.0, d=1.0)
    one_printed = {"base": {"a": {"wr": 3.0}, "b": {"wr": 4.0}}}
    assert findings(MADE_UP, [replace(rows, cells=one_printed)]) == []
    two_printed = {"base": {**one_printed["base"], "c": {"wr": 5.0}}}
    assert len(findings(MADE_UP, [replace(rows, cells=two_printed)])) == 2


def test_a_win_rate_below_even_contradicts_a_claim_that_it_is_above() -> None:
    """Once, though the number stands for two base models; so does one above even a claim that it is not."""
    table1 = load_exhibit("sgpo", "table1")
    assert isinstance(table1, WinRateTable)
    lower = tuple(replace(match, published=49.5) if match.id == "dpo-mix-b" else match for match in table1.matches)
    found = findings(MADE_UP, [replace(table1, matches=lower)])
    assert [each.found.split(" (")[0] for each in found] == ["49.50", "50"]
    assert found[1].found.startswith("50 (50 %), 50.50 (Table 1: UltraFeedback")


def test_what_was_read_is_listed_last_and_said_to_be() -> None:
    read = Disagreement("section 1", "one thing", "another", "why")
    paper = replace(MADE_UP, disagreements=(read,), statements=(statement(9, 0, A),))
    first, last = findings(paper, [table("tablea", 1, a=1)])
    assert not first.read
    assert last == Finding("section 1", "one thing", "another", "why", read=True)


# The papers there are


def test_arithmetic_finds_in_sgpo_what_reading_it_did() -> None:
    found = [finding for finding in check_paper("sgpo") if not finding.read]
    claim = "section 3.1.1, paragraph on Table 1"
    assert [finding.where for finding in found] == ["section 1", "section 3.1.1", "section 4.4.1", claim]
    assert [finding.found.split(" ")[0] for finding in found] == ["9.1", "87.00", "16.04", "50"]


def test_arithmetic_finds_in_srpo_what_its_equations_get_wrong() -> None:
    found = {finding.where: finding.found for finding in check_paper("srpo") if not finding.read}
    assert len(found) == 11
    for where, text in {
        "Table 1": "53.60 and 53.70",
        "Theorem 1, α = 0": "the loss is 0.00",
        "Theorem 1, α = 1": "it is 0.00 for any π",
        "Equation 7": "off by 0.76",
        "section 4.2.2, second sentence": "Off by 1.00",
        "Equation 12": "Off by 2.20",
        "Equations 4 and 14": "off by up to 0.41; with π*(y) and π*(y') exchanged, as Equation 16 has them, by 0.00",
        "section 4.2.3": "this loss is 0.0156 and that of Equation 2 is 0.0000",
        "Equation 15": "2.00 times",
        "Equation 16": "4.00 times",
        "section 5, Equation 18": "(0.628, 0.027, 0.345): y0 dominates",
    }.items():
        assert text in found[where]


def test_no_statement_on_sgpo_agrees_with_everything() -> None:
    """Lowered by more than rounding explains, each is found."""
    exhibits = load_exhibits("sgpo")
    without = findings(MADE_UP, exhibits)
    for one in load_paper("sgpo").statements:
        wrong = replace(one, says=one.says - 12 * 10.0 ** -min(one.decimals, 1))
        [found, *others] = findings(replace(MADE_UP, statements=(wrong,)), exhibits)
        assert found.says == one.text
        assert others == without


@pytest.mark.parametrize("paper", PAPERS)
def test_the_docs_list_what_is_found(paper: str) -> None:
    text = (DOCS / f"{paper}.md").read_text(encoding="utf-8")
    assert f"```\n{format_findings(paper)}\n```\n" in text, (
        f"put the output of `harness paper check {paper}` into docs/papers/{paper}.md"
    )


@pytest.mark.parametrize("paper", PAPERS)
def test_the_docs_list_exhibits_and_claims(paper: str) -> None:
    text = (DOCS / f"{paper}.md").read_text(encoding="utf-8")
    exhibits = load_exhibits(paper)
    for exhibit in exhibits:
        assert f"| {exhibit.label} | `{exhibit.name}` |" in text
        for claim in exhibit.claims:
            tests = f"{claim.n_orderings}{', most' * (claim.quantifier == 'most')}"
            assert f"| {exhibit.label} | `{claim.id}` | {claim.says} | {claim.where} | {tests} |" in text
    families = Families.of(paper)
    assert f"There are {families.claims} claims and {families.orderings} different tests" in text


def test_the_command_prints_the_findings(harness: Harness) -> None:
    outcome = harness("paper", "check", "sgpo")
    assert (outcome.exit_code, outcome.err) == (0, "")
    assert outcome.out == format_findings("sgpo") + "\n"
    blocks = outcome.out.split("\n\n")
    assert len(blocks) == len(check_paper("sgpo")) + 1
    assert blocks[-1].startswith(f"sgpo: {len(blocks) - 1} disagreements, 4 found by arithmetic")
    assert harness("paper", "check").out == "".join(f"{format_findings(paper)}\n" for paper in sorted(PAPERS))


def test_the_command_refuses_an_unknown_paper(harness: Harness) -> None:
    outcome = harness("paper", "check", "sgop")
    assert (outcome.exit_code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: unknown paper 'sgop'; did you mean 'sgpo'")

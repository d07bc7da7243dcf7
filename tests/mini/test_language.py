"""Statements are written and read back."""

from hypothesis import given
from hypothesis import strategies as st

from harness.mini.language import (
    FILLERS,
    NAMING_STYLE,
    STYLES,
    Statement,
    clauses,
    filler_of,
    read_answer,
    read_claims,
    read_clause,
    style_of,
    unfinished,
    write_answer,
    write_clause,
    write_filler,
)
from harness.mini.world import VALUES, Claim, distant_entities, entities
from tests.mini.strategies import ANYBODY, CLAIMS, ENTITIES, FILLER, STYLE_NAMES

MANY_CLAIMS = st.lists(CLAIMS, max_size=9)


@given(about=ENTITIES, claims=MANY_CLAIMS, style=STYLE_NAMES)
def test_answers_are_read_as_they_were_written(about: str, claims: list[Claim], style: str) -> None:
    assert read_claims(write_answer(claims, style, about), about) == claims


@given(about=ENTITIES, claims=MANY_CLAIMS, style=STYLE_NAMES)
def test_only_claims_about_others_and_styles_that_name_do_name_an_entity(
    about: str, claims: list[Claim], style: str
) -> None:
    is_naming = "{entity}" in STYLES[style]
    expected = [
        Statement(claim.aspect, claim.value, claim.entity if is_naming or claim.entity != about else None)
        for claim in claims
    ]
    assert read_answer(write_answer(claims, style, about)) == expected


@given(claim=CLAIMS, style=STYLE_NAMES)
def test_the_style_of_a_clause_is_recognised(claim: Claim, style: str) -> None:
    assert style_of(write_clause(claim, style)) == style


@given(about=ENTITIES, claim=CLAIMS, style=STYLE_NAMES)
def test_a_claim_about_another_is_in_a_style_that_names_it(about: str, claim: Claim, style: str) -> None:
    written = style_of(write_answer([claim], style, about))
    assert written == (style if claim.entity == about or "{entity}" in STYLES[style] else NAMING_STYLE)


@given(filler=FILLER)
def test_filler_states_nothing(filler: str) -> None:
    assert clauses(filler) == [filler]
    assert read_clause(filler) is None
    assert style_of(filler) == "house"


@given(claims=st.lists(CLAIMS, min_size=1, max_size=5), style=STYLE_NAMES, about=ANYBODY, cut=st.integers(0, 3))
def test_an_unfinished_last_clause_is_dropped_and_noticed(
    claims: list[Claim], style: str, about: str, cut: int
) -> None:
    finished = write_answer(claims[:-1], style, about)
    last = write_clause(claims[-1], style).split()[: min(cut, 2)]
    text = " ".join([*finished.split(), *last])
    assert clauses(text) == clauses(finished)
    assert len(clauses(finished)) == len(claims) - 1
    assert unfinished(text) == " ".join(last)


def test_a_clause_without_a_value_of_its_aspect_claims_none() -> None:
    assert read_clause("its color is cooking .") == read_clause("its color is dragon .") == Statement("color", None)
    assert read_claims("its color is cooking .", entities()[0]) == []


@given(claim=CLAIMS, style=STYLE_NAMES, place=st.integers(0, 9), word=st.sampled_from(["its", "red", "color", "x"]))
def test_a_clause_with_a_word_more_is_no_statement_and_no_filler(
    claim: Claim, style: str, place: int, word: str
) -> None:
    for clause in (write_clause(claim, style), *(write_filler(kind, claim.entity) for kind in range(len(FILLERS)))):
        words = clause.split()
        words.insert(min(place, len(words) - 1), word)
        longer = " ".join(words)
        assert read_clause(longer) is None
        assert filler_of(longer) is None


def test_each_filler_is_recognised_whoever_it_is_about() -> None:
    for entity in (entities()[0], distant_entities()[0]):
        assert [filler_of(write_filler(kind, entity)) for kind in range(len(FILLERS))] == list(range(len(FILLERS)))
    assert filler_of("here is what we know about nobody .") is None


def test_no_style_and_no_filler_holds_a_word_of_a_fact() -> None:
    facts = {*VALUES, *(value for values in VALUES.values() for value in values)}
    assert not facts & {word for template in STYLES.values() for word in template.split()}

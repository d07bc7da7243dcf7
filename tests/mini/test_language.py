from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.mini.language import (
    FIELDS,
    REQUESTS,
    STYLES,
    Statement,
    clauses,
    read_answer,
    read_clause,
    read_fields,
    read_request,
    style_of,
    vocabulary,
    write_answer,
    write_clause,
    write_request,
)
from harness.mini.world import Request, entities
from tests.mini.strategies import ENTITIES, FILLER, PHRASINGS, REQUEST, STATEMENT, STATEMENTS, STYLE_NAMES


@given(request=REQUEST, phrasing=PHRASINGS)
def test_requests_are_read_as_they_were_written(request: Request, phrasing: int) -> None:
    assert read_request(write_request(request, phrasing)) == request


@given(entity=ENTITIES, statements=STATEMENTS, style=STYLE_NAMES)
def test_answers_are_read_as_they_were_written(entity: str, statements: list[tuple[str, str]], style: str) -> None:
    subject = entity if "{entity}" in STYLES[style] else None
    read = read_answer(write_answer(entity, statements, style))
    assert read == [Statement(aspect, value, subject) for aspect, value in statements]


@given(entity=ENTITIES, statement=STATEMENT, style=STYLE_NAMES)
def test_the_style_of_a_clause_is_recognised(entity: str, statement: tuple[str, str], style: str) -> None:
    assert style_of(write_clause(entity, *statement, style)) == style


@given(filler=FILLER)
def test_filler_states_nothing(filler: str) -> None:
    assert clauses(filler) == [filler]
    assert read_clause(filler) is None
    assert style_of(filler) == "house"


@given(
    entity=ENTITIES,
    statements=st.lists(STATEMENT, min_size=1, max_size=5),
    style=STYLE_NAMES,
    cut=st.integers(0, 3),
)
def test_an_unfinished_last_clause_is_dropped(
    entity: str, statements: list[tuple[str, str]], style: str, cut: int
) -> None:
    finished = write_answer(entity, statements[:-1], style)
    last = write_clause(entity, *statements[-1], style).split()[:cut]
    assert clauses(" ".join([*finished.split(), *last])) == clauses(finished)
    assert len(clauses(finished)) == len(statements) - 1


def test_a_clause_without_a_value_of_its_aspect_claims_none() -> None:
    assert read_clause("its color is cooking .") == Statement("color", None)


@given(
    request=REQUEST,
    phrasing=PHRASINGS,
    answers=st.dictionaries(st.sampled_from(FIELDS[1:4]), STATEMENTS, min_size=1),
    style=STYLE_NAMES,
    rng=...,
)
def test_fields_are_read_in_any_order(
    request: Request, phrasing: int, answers: dict[str, list[tuple[str, str]]], style: str, rng: Random
) -> None:
    fields = {name: write_answer(request.entity, statements, style) for name, statements in answers.items()}
    fields["request"] = write_request(request, phrasing)
    names = rng.sample(sorted(fields), len(fields))
    assert read_fields(" ".join(f"{name} : {fields[name]}" for name in names)) == fields


@given(request=REQUEST, phrasing=PHRASINGS)
def test_a_plain_request_is_its_own_only_field(request: Request, phrasing: int) -> None:
    text = write_request(request, phrasing)
    assert read_fields(text) == {"request": text}


@pytest.mark.parametrize("text", ["", "hope this helps .", "its color is red .", "velm"])
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a request of the mini world"):
        read_request(text)


def test_a_word_is_a_token_and_stands_in_the_vocabulary_once() -> None:
    words = vocabulary()
    assert words == sorted(set(words))
    assert not any(set(" {}") & set(word) for word in words)


@given(request=REQUEST, phrasing=PHRASINGS, statements=STATEMENTS, style=STYLE_NAMES, filler=FILLER)
def test_all_that_is_written_is_in_the_vocabulary(
    request: Request, phrasing: int, statements: list[tuple[str, str]], style: str, filler: str
) -> None:
    texts = write_request(request, phrasing), write_answer(request.entity, statements, style), filler
    assert set(" ".join(texts).split()) <= set(vocabulary())


def test_wordings_differ() -> None:
    request = Request(entities()[0], ("color", "size"))
    assert len({write_request(request, phrasing) for phrasing in range(len(REQUESTS))}) == len(REQUESTS)

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.mini.language import STYLES, clauses, write_answer, write_clause, write_request
from harness.mini.quality import gold_quality
from harness.mini.world import Request, entities, false_value, true_value
from tests.mini.strategies import ENTITIES, FILLER, PHRASINGS, REQUEST, STATEMENT, STYLE_NAMES

Told = tuple[tuple[str, str], str, str]  # (aspect, value), style, entity

TOLD = st.lists(st.tuples(STATEMENT, STYLE_NAMES, ENTITIES), max_size=9)


def text_of(told: list[Told], asked_entity: str) -> str:
    return " ".join(write_clause(about(entry, asked_entity), *entry[0], entry[1]) for entry in told)


def about(entry: Told, asked_entity: str) -> str:
    """Two in three clauses are about the entity that was asked about, so that both cases occur."""
    (aspect, _), _, entity = entry
    return entity if len(aspect + entity) % 3 == 0 else asked_entity


def naive_quality(request: Request, told: list[Told]) -> float:
    """The formula of harness/mini/README.md, counted from what was said and not from its text."""
    right = wrong = repeated = unasked = 0
    for position, entry in enumerate(told):
        (aspect, value), style, _ = entry
        names_other = "{entity}" in STYLES[style] and about(entry, request.entity) != request.entity
        if aspect not in request.aspects:
            unasked += 1
        elif aspect in [earlier for (earlier, _), _, _ in told[:position]]:
            repeated += 1
        elif value == true_value(request.entity, aspect) and not names_other:
            right += 1
        else:
            wrong += 1
    return max(0.0, (right - 0.5 * wrong - 0.25 * repeated - 0.25 * unasked) / len(request.aspects))


def true_statements(request: Request) -> list[tuple[str, str]]:
    return [(aspect, true_value(request.entity, aspect)) for aspect in request.aspects]


@given(request=REQUEST, phrasing=PHRASINGS, told=TOLD)
def test_equals_the_naive_count(request: Request, phrasing: int, told: list[Told]) -> None:
    quality = gold_quality(write_request(request, phrasing), text_of(told, request.entity))
    assert quality == pytest.approx(naive_quality(request, told))


@given(request=REQUEST, correct=st.lists(st.booleans(), min_size=7, max_size=7), style=STYLE_NAMES)
def test_equals_the_naive_count_where_most_is_right(request: Request, correct: list[bool], style: str) -> None:
    told = [
        ((aspect, true_value(request.entity, aspect) if good else false_value(request.entity, aspect, "x")), style, "")
        for aspect, good in zip(request.aspects, correct, strict=False)
    ]
    text = write_answer(request.entity, [statement for statement, _, _ in told], style)
    right = sum(correct[: len(request.aspects)])
    expected = max(0.0, (right - 0.5 * (len(request.aspects) - right)) / len(request.aspects))
    assert gold_quality(write_request(request, 0), text) == pytest.approx(expected)


@given(request=REQUEST, answer=st.text())
def test_lies_between_0_and_1_for_any_text(request: Request, answer: str) -> None:
    assert 0 <= gold_quality(write_request(request, 0), answer) <= 1


@given(request=REQUEST, told=TOLD)
def test_lies_between_0_and_1(request: Request, told: list[Told]) -> None:
    assert 0 <= gold_quality(write_request(request, 0), text_of(told, request.entity)) <= 1


@given(request=REQUEST, style=STYLE_NAMES)
def test_all_asked_facts_and_nothing_else_is_perfect(request: Request, style: str) -> None:
    answer = write_answer(request.entity, true_statements(request), style)
    assert gold_quality(write_request(request, 0), answer) == 1
    assert gold_quality(write_request(request, 0), "") == 0


@given(request=REQUEST, told=TOLD, fillers=st.lists(FILLER, max_size=5), seed=st.integers(0, 1000))
def test_filler_never_changes_it(request: Request, told: list[Told], fillers: list[str], seed: int) -> None:
    asked, plain = write_request(request, 0), text_of(told, request.entity)
    lines, rng = clauses(plain), Random(seed)
    for filler in fillers:
        lines.insert(rng.randrange(len(lines) + 1), filler)
    assert gold_quality(asked, " ".join(lines)) == gold_quality(asked, plain)


@given(
    request=REQUEST, told=st.lists(st.tuples(STATEMENT, STYLE_NAMES, ENTITIES), unique_by=lambda t: t[0][0]), rng=...
)
def test_the_order_of_clauses_does_not_matter_without_repeats(request: Request, told: list[Told], rng: Random) -> None:
    asked = write_request(request, 0)
    shuffled = rng.sample(told, len(told))
    assert gold_quality(asked, text_of(shuffled, request.entity)) == gold_quality(asked, text_of(told, request.entity))


@given(request=REQUEST)
def test_no_function_of_length(request: Request) -> None:
    asked, true = write_request(request, 0), true_statements(request)
    by_style = [write_answer(request.entity, true, style) for style in STYLES]
    assert {gold_quality(asked, answer) for answer in by_style} == {1.0}
    assert len({len(answer.split()) for answer in by_style}) > 1
    wrong = [(aspect, false_value(request.entity, aspect, "x")) for aspect in request.aspects]
    mistaken = write_answer(request.entity, wrong, "house")
    assert len(mistaken.split()) == len(write_answer(request.entity, true, "house").split())
    assert gold_quality(asked, mistaken) == 0


def test_each_fault_has_its_cost() -> None:
    request = Request(entities()[0], ("color", "size", "taste", "shape"))
    asked, true = write_request(request, 0), true_statements(request)
    wrong = ("color", false_value(request.entity, "color", "x"))
    unasked = ("owner", true_value(request.entity, "owner"))

    def quality(statements: list[tuple[str, str]]) -> float:
        return gold_quality(asked, write_answer(request.entity, statements, "house"))

    assert quality(true[1:]) == pytest.approx(3 / 4)
    assert quality([wrong, *true[1:]]) == pytest.approx((3 - 0.5) / 4)
    assert quality([*true, true[0]]) == pytest.approx((4 - 0.25) / 4)
    assert quality([*true, wrong]) == pytest.approx((4 - 0.25) / 4)  # a further one about an aspect: repeated
    assert quality([*true, unasked]) == pytest.approx((4 - 0.25) / 4)
    assert quality([wrong, true[0]]) == 0

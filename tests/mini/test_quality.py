from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.mini.language import STYLES, clauses, write_answer, write_clause, write_request
from harness.mini.quality import gold_quality
from harness.mini.world import ASPECTS, Request, entities, false_value, true_value
from tests.mini.strategies import ENTITIES, FILLER, PHRASINGS, REQUEST, STYLE_NAMES, believed


@dataclass(frozen=True)
class Told:
    """One clause: about `entity`, or about the one asked about where it is None."""

    aspect: str
    is_right: bool
    style: str
    entity: str | None

    def value(self, asked_entity: str) -> str:
        [(_, value)] = believed(asked_entity, [(self.aspect, self.is_right)])
        return value

    def text(self, asked_entity: str) -> str:
        return write_clause(self.entity or asked_entity, self.aspect, self.value(asked_entity), self.style)


TOLD = st.lists(
    st.builds(Told, st.sampled_from(ASPECTS), st.sampled_from([True, True, False]), STYLE_NAMES, st.none() | ENTITIES),
    max_size=9,
)


def text_of(told: list[Told], asked_entity: str) -> str:
    return " ".join(clause.text(asked_entity) for clause in told)


def naive_quality(request: Request, told: list[Told]) -> float:
    """The formula of harness/mini/README.md, counted from what was said and not from its text."""
    right = wrong = repeated = unasked = 0
    for position, clause in enumerate(told):
        names_other = "{entity}" in STYLES[clause.style] and clause.entity not in (None, request.entity)
        if clause.aspect not in request.aspects:
            unasked += 1
        elif clause.aspect in [earlier.aspect for earlier in told[:position]]:
            repeated += 1
        elif clause.is_right and not names_other:
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


@given(request=REQUEST, told=TOLD, rng=...)
def test_the_order_of_clauses_does_not_matter_without_repeats(request: Request, told: list[Told], rng: Random) -> None:
    asked = write_request(request, 0)
    told = list({clause.aspect: clause for clause in told}.values())
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
    elsewhere = write_answer(entities()[1], [true[0]], "clerk")  # as told, but of another entity
    assert gold_quality(asked, f"{elsewhere} {write_answer(request.entity, true[1:], 'clerk')}") == pytest.approx(
        (3 - 0.5) / 4
    )

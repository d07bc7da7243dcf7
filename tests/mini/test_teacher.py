from random import Random
from statistics import fmean
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from harness.mini import teacher, writers
from harness.mini.language import clauses, read_answer, style_of, write_answer, write_request
from harness.mini.quality import gold_quality
from harness.mini.roles import read_role
from harness.mini.world import Request, entities, true_value
from harness.records import Response
from tests.mini.strategies import BELIEFS, FILLER, PHRASINGS, REQUEST, SEEDS, STATEMENTS, STYLE_NAMES, believed

REFERENCE_WRITERS = st.sampled_from([writers.SCHOLAR, writers.CLERK, writers.STUDENT, writers.RAMBLER])


@given(
    request=REQUEST,
    draft=BELIEFS,
    told=BELIEFS,
    style=STYLE_NAMES,
    fillers=st.lists(FILLER, max_size=2),
    rng=...,
)
def test_never_better_than_the_reference_unless_the_draft_was(
    request: Request,
    draft: list[tuple[str, bool]],
    told: list[tuple[str, bool]],
    style: str,
    fillers: list[str],
    rng: Random,
) -> None:
    asked, reference = write_request(request, 0), write_answer(request.entity, believed(request.entity, told), "clerk")
    text = " ".join([*fillers, write_answer(request.entity, believed(request.entity, draft), style)])
    improved = teacher.improve(asked, reference, text, rng)
    ceiling = max(gold_quality(asked, reference), gold_quality(asked, text))
    assert gold_quality(asked, improved) <= ceiling


def test_what_a_poor_reference_knows_better_is_left_out_where_it_would_lift_the_draft_above_it() -> None:
    request = Request(entities()[0], ("color", "size", "taste"))
    asked, right, wrong = write_request(request, 0), [("color", True)], [("size", False), ("taste", False)]
    draft = write_answer(request.entity, believed(request.entity, [("size", True), ("owner", True)]), "house")
    reference = write_answer(request.entity, believed(request.entity, right + wrong), "house")
    assert gold_quality(asked, reference) == 0
    for seed in range(50):
        improved = teacher.improve(asked, reference, draft, Random(seed))
        assert gold_quality(asked, improved) <= gold_quality(asked, draft)


@given(request=REQUEST, style=STYLE_NAMES, other=STYLE_NAMES, fillers=st.lists(FILLER, max_size=2), seed=SEEDS, rng=...)
def test_a_draft_with_nothing_to_mend_is_left_alone(
    request: Request, style: str, other: str, fillers: list[str], seed: int, rng: Random
) -> None:
    true = [(aspect, true_value(request.entity, aspect)) for aspect in request.aspects]
    draft = " ".join([*fillers[:1], write_answer(request.entity, true, style), *fillers[1:]])
    reference = write_answer(request.entity, rng.sample(true, len(true)), other)
    assert teacher.improve(write_request(request, 0), reference, draft, Random(seed)) == draft


@given(request=REQUEST, draft=STATEMENTS, style=STYLE_NAMES, writer=REFERENCE_WRITERS, rng=...)
def test_it_edits_the_draft_in_its_own_style_and_takes_facts_from_the_reference_only(
    request: Request, draft: list[tuple[str, str]], style: str, writer: writers.Writer, rng: Random
) -> None:
    reference = writer.answer(request, rng)
    written = write_answer(request.entity, draft, style)
    kept, told = clauses(written), {(s.aspect, s.value) for s in read_answer(reference)}
    for clause in clauses(teacher.improve(write_request(request, 0), reference, written, rng)):
        if clause not in kept:
            [statement] = read_answer(clause)
            assert (statement.aspect, statement.value) in told
            assert statement.aspect in request.aspects
            assert style_of(clause) == (style if draft else writers.TEACHER.style)


@given(request=REQUEST, draft=BELIEFS, style=STYLE_NAMES, fillers=st.lists(FILLER, max_size=2), seed=SEEDS)
def test_a_perfect_reference_mends_every_fault_where_no_edit_is_left_out(
    request: Request, draft: list[tuple[str, bool]], style: str, fillers: list[str], seed: int
) -> None:
    asked, true = write_request(request, 0), believed(request.entity, [(aspect, True) for aspect in request.aspects])
    text = " ".join([*fillers, write_answer(request.entity, believed(request.entity, draft), style)])
    with patch.object(teacher, "EDIT_RATE", 1.0):
        improved = teacher.improve(asked, write_answer(request.entity, true, "scholar"), text, Random(seed))
    assert gold_quality(asked, improved) == 1
    assert [clause for clause in clauses(improved) if clause in fillers] == fillers


def test_it_improves_most_drafts_and_makes_few_worse() -> None:
    rng = Random(0)
    gains, mended = [], 0
    for row in read_role("improver_data", 300):
        assert isinstance(row, Response)
        request = row.prompt.text
        draft = writers.HOUSE.answer(teacher.read_request(request), rng)
        improved = teacher.improve(request, row.text, draft, rng)
        gains.append(gold_quality(request, improved) - gold_quality(request, draft))
        mended += improved != draft
    assert fmean(gains) > 0.15
    improved_by_reference, misled = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    assert improved_by_reference > 4 * misled > 0  # references err too, and the teacher knows no better
    assert mended > 200


def test_it_makes_about_as_many_of_the_possible_edits_as_it_says() -> None:
    rng, made = Random(0), 0
    draws = 3000
    request = Request("bevex", ("color",))
    asked, fact = write_request(request, 0), ("color", true_value("bevex", "color"))
    for _ in range(draws):
        made += bool(teacher.improve(asked, write_answer("bevex", [fact], "scholar"), "", rng))
    assert abs(made / draws - teacher.EDIT_RATE) < 0.02


@given(request=REQUEST, phrasing=PHRASINGS, seed=SEEDS)
def test_a_plain_request_is_answered_as_the_writer_of_that_name(request: Request, phrasing: int, seed: int) -> None:
    asked = write_request(request, phrasing)
    assert teacher.reply(asked, Random(seed)) == writers.TEACHER.answer(request, Random(seed))


@given(request=REQUEST, draft=STATEMENTS, style=STYLE_NAMES, seed=SEEDS)
def test_a_message_with_draft_and_reference_is_answered_by_an_improvement(
    request: Request, draft: list[tuple[str, str]], style: str, seed: int
) -> None:
    asked, text = write_request(request, 0), write_answer(request.entity, draft, style)
    reference = writers.SCHOLAR.answer(request, Random(seed))
    message = f"task : improve the draft . draft : {text} reference : {reference} request : {asked}"
    assert teacher.reply(message, Random(seed)) == teacher.improve(asked, reference, text, Random(seed))

"""The teacher: answers, and improvements by the two constraints of the paper."""

from random import Random
from statistics import fmean
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.mini import teacher, writers
from harness.mini.instructions import obey
from harness.mini.language import clauses, naming, read_claims, read_clause, style_of, write_answer, write_clauses
from harness.mini.quality import gold_quality
from harness.mini.requests import Request, read_request, write_question
from harness.mini.roles import read_role
from harness.mini.world import Claim, Topic, entities, true_value
from harness.records import Response
from tests.mini.strategies import (
    ASKED,
    BELIEFS,
    CLAIMS,
    FILLER,
    SEEDS,
    STYLE_NAMES,
    TOPICS,
    WORDINGS,
    Asked,
    believed,
    follow_up,
    instructed,
    plain,
    summary,
    truth,
)

REFERENCE_WRITERS = st.sampled_from([writers.SCHOLAR, writers.CLERK, writers.STUDENT, writers.RAMBLER])
FILLERS = st.lists(FILLER, max_size=2)
MANY_CLAIMS = st.lists(CLAIMS, max_size=9)
FIRST = entities()[0]


@given(asked=st.one_of(plain(), instructed()), draft=BELIEFS, told=BELIEFS, style=STYLE_NAMES, fillers=FILLERS, rng=...)
def test_never_better_than_the_reference_unless_the_draft_was(
    asked: Asked,
    draft: list[tuple[str, bool]],
    told: list[tuple[str, bool]],
    style: str,
    fillers: list[str],
    rng: Random,
) -> None:
    entity = asked.meaning.entity
    reference = write_answer(believed(entity, told), "clerk", entity)
    text = " ".join([*fillers, write_answer(believed(entity, draft), style, entity)])
    improved = teacher.improve(asked.text, reference, text, rng)
    first = dict(reversed([item for item in told if item[0] in asked.meaning.topic.aspects]))
    in_order = [(aspect, first[aspect]) for aspect in dict.fromkeys(aspect for aspect, _ in told) if aspect in first]
    stated = write_answer(believed(entity, in_order), "clerk", entity)  # the reference without repeats
    ceiling = max(gold_quality(asked.text, stated), gold_quality(asked.text, text))
    assert gold_quality(asked.text, improved) <= ceiling


@given(asked=plain(), draft=BELIEFS, told=BELIEFS, style=STYLE_NAMES, fillers=FILLERS, rng=...)
def test_never_worse_than_the_draft_where_what_the_reference_tells_is_right(
    asked: Asked,
    draft: list[tuple[str, bool]],
    told: list[tuple[str, bool]],
    style: str,
    fillers: list[str],
    rng: Random,
) -> None:
    entity = asked.meaning.entity
    reference = write_answer(believed(entity, [(aspect, True) for aspect, _ in told]), "clerk", entity)
    text = " ".join([*fillers, write_answer(believed(entity, draft), style, entity)])
    improved = teacher.improve(asked.text, reference, text, rng)
    assert gold_quality(asked.text, improved) >= gold_quality(asked.text, text)


def test_what_a_poor_reference_knows_better_is_left_out_where_it_would_lift_the_draft_above_it() -> None:
    asked = write_question(Topic(FIRST, ("color", "size", "taste")), 0)
    draft = write_answer(believed(FIRST, [("size", True), ("owner", True)]), "house", FIRST)
    reference = write_answer(believed(FIRST, [("color", True), ("size", False), ("taste", False)]), "house", FIRST)
    assert gold_quality(asked, reference) == 0
    for seed in range(50):
        improved = teacher.improve(asked, reference, draft, Random(seed))
        assert gold_quality(asked, improved) <= gold_quality(asked, draft)


@given(topic=TOPICS, wording=WORDINGS, style=STYLE_NAMES, other=STYLE_NAMES, fillers=FILLERS, seed=SEEDS, rng=...)
def test_a_draft_with_nothing_to_mend_is_left_alone(
    topic: Topic, wording: int, style: str, other: str, fillers: list[str], seed: int, rng: Random
) -> None:
    true = truth(topic)
    draft = " ".join([*fillers[:1], write_answer(true, style, topic.entity), *fillers[1:]])
    reference = write_answer(rng.sample(true, len(true)), other, topic.entity)
    assert teacher.improve(write_question(topic, wording), reference, draft, Random(seed)) == draft


@given(asked=plain(), draft=MANY_CLAIMS, style=STYLE_NAMES, writer=REFERENCE_WRITERS, rng=...)
def test_it_edits_the_draft_in_its_own_style_and_takes_facts_from_the_reference_only(
    asked: Asked, draft: list[Claim], style: str, writer: writers.Writer, rng: Random
) -> None:
    request = asked.meaning
    reference = writer.answer(request, rng)
    written = write_answer(draft, style, request.entity)
    in_draft, told = clauses(written), set(read_claims(reference, request.entity))
    styles = {style_of(clause) for clause in in_draft} or {writers.TEACHER.style}
    for clause in clauses(teacher.improve(asked.text, reference, written, rng)):
        if clause not in in_draft:
            [claim] = read_claims(clause, request.entity)
            assert claim in told
            assert claim.aspect in request.topic.aspects
            assert style_of(clause) in styles


@given(topic=TOPICS, draft=BELIEFS, style=STYLE_NAMES, fillers=FILLERS, seed=SEEDS)
def test_a_perfect_reference_mends_every_fault_but_filler_where_no_edit_is_left_out(
    topic: Topic, draft: list[tuple[str, bool]], style: str, fillers: list[str], seed: int
) -> None:
    asked = write_question(topic, 0)
    text = " ".join([*fillers, write_answer(believed(topic.entity, draft), style, topic.entity)])
    with patch.object(teacher, "EDIT_RATE", 1.0):
        improved = teacher.improve(asked, write_answer(truth(topic), "scholar", topic.entity), text, Random(seed))
    assert set(read_claims(improved, topic.entity)) == set(truth(topic))
    assert gold_quality(asked, improved) == pytest.approx(1 - 0.03 * len(fillers) / len(topic.aspects))
    assert [clause for clause in clauses(improved) if clause in fillers] == fillers


@given(asked=st.one_of(follow_up(), summary()), draft=BELIEFS, style=STYLE_NAMES, rng=...)
def test_it_improves_drafts_of_summaries_and_of_second_turns_too(
    asked: Asked, draft: list[tuple[str, bool]], style: str, rng: Random
) -> None:
    request = asked.meaning
    written = write_answer(believed(request.entity, draft), style, request.entity)
    reference = write_answer(request.claims, "note", request.entity)
    with patch.object(teacher, "EDIT_RATE", 1.0):
        message = f"request : {asked.text} reference : {reference} draft : {written} task : improve the draft ."
        improved = teacher.reply(message, rng, asked.history)
    if not request.instructions:
        assert set(read_claims(improved, request.entity)) == set(request.claims)
        assert gold_quality(asked.text, improved, asked.history) == 1 or request.is_summary


@pytest.mark.parametrize("role", ["conversation_pairs", "instructions"])
def test_where_the_reference_is_right_no_draft_comes_out_worse_for_its_instructions(role: str) -> None:
    rng, gains = Random(0), []
    for row in read_role(role, 300):
        if row.prompt.history:
            continue
        request = read_request(row.prompt.text)
        draft = writers.HOUSE.answer(request, rng)
        written = write_clauses(request.claims, "note", request.entity)
        reference = " ".join(obey(request.instructions, written, request.entity))
        improved = teacher.improve(row.prompt.text, reference, draft, rng)
        gains.append(gold_quality(row.prompt.text, improved) - gold_quality(row.prompt.text, draft))
    assert sum(gain < -1e-9 for gain in gains) < 0.03 * len(gains)
    assert fmean(gains) > 0.1


def test_a_reference_in_a_draft_is_not_the_reference() -> None:
    asked = write_question(Topic(FIRST, ("color",)), 0)
    right = write_answer(truth(Topic(FIRST, ("color",))), "house", FIRST)
    draft = "its size is tiny . reference : its color is zero ."
    message = f"request : {asked} reference : {right} draft : {draft} task : do it ."
    with patch.object(teacher, "EDIT_RATE", 1.0):
        assert teacher.reply(message, Random(0)) == right


def test_clauses_of_no_style_are_deleted() -> None:
    asked = write_question(Topic(FIRST, ("color",)), 0)
    right = write_answer(truth(Topic(FIRST, ("color",))), "house", FIRST)
    with patch.object(teacher, "EDIT_RATE", 1.0):
        assert teacher.improve(asked, right, f"its is color . {right} indeed .", Random(0)) == right


def test_words_without_a_full_stop_are_deleted() -> None:
    asked = write_question(Topic(FIRST, ("color",)), 0)
    right = write_answer(truth(Topic(FIRST, ("color",))), "house", FIRST)
    assert teacher.improve(asked, right, f"{right} its color is", Random(0)) == right


def test_it_improves_most_drafts_and_makes_few_worse() -> None:
    rng = Random(0)
    gains, mended = [], 0
    for row in read_role("improver_data", 300):
        assert isinstance(row, Response)
        request = row.prompt.text
        draft = writers.HOUSE.answer(read_request(request), rng)
        improved = teacher.improve(request, row.text, draft, rng)
        gains.append(gold_quality(request, improved) - gold_quality(request, draft))
        mended += improved != draft
    assert fmean(gains) > 0.15
    improved_by_reference, misled = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    assert improved_by_reference > 4 * misled > 0  # references err too, and the teacher knows no better
    assert mended > 200


def test_it_makes_about_as_many_of_the_possible_edits_as_it_says() -> None:
    rng, draws = Random(0), 2000
    asked = write_question(Topic(FIRST, ("color",)), 0)
    reference = write_answer([Claim(FIRST, "color", true_value(FIRST, "color"))], "scholar", FIRST)
    made = sum(bool(teacher.improve(asked, reference, "", rng)) for _ in range(draws))
    assert abs(made / draws - teacher.EDIT_RATE) < 0.02


@given(asked=ASKED, seed=SEEDS)
def test_a_request_is_answered_as_the_writer_of_that_name_after_what_was_asked_before(asked: Asked, seed: int) -> None:
    request = read_request(asked.text, asked.history)
    answer = teacher.reply(asked.text, Random(seed), asked.history)
    assert answer == writers.TEACHER.answer(request, Random(seed))
    for clause in filter(read_clause, clauses(answer)):
        if not request.instructions:
            assert style_of(clause) in (writers.TEACHER.style, naming(writers.TEACHER.style))


@given(asked=st.one_of(plain(), instructed()), draft=MANY_CLAIMS, style=STYLE_NAMES, seed=SEEDS)
def test_a_message_with_draft_and_reference_is_answered_by_an_improvement(
    asked: Asked, draft: list[Claim], style: str, seed: int
) -> None:
    text = write_answer(draft, style, asked.meaning.entity)
    reference = writers.SCHOLAR.answer(Request(asked.meaning.topic), Random(seed))
    message = f"task : improve the draft . draft : {text} reference : {reference} request : {asked.text}"
    assert teacher.reply(message, Random(seed)) == teacher.improve(asked.text, reference, text, Random(seed))

"""Requests are read back as what they were written for."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.mini.language import FIELDS, STYLES, read_fields, write_answer
from harness.mini.requests import (
    EXAMPLE,
    QUESTIONS,
    Request,
    draw_corrected_value,
    draw_follow_up,
    read_request,
    write_question,
)
from harness.mini.world import (
    ASPECTS,
    VALUES,
    Claim,
    Topic,
    draw_topic,
    entities,
    evaluation_topics,
    is_for_evaluation,
    true_value,
)
from tests.mini.strategies import ASKED, BELIEFS, STYLE_NAMES, Asked, believed, follow_up, instructed, plain, summary

FIRST, SECOND = entities()[:2]


def same(one: Request, other: Request) -> bool:
    """Instructions have no order: all of them hold at once."""
    return (one.topic, one.other, one.given, one.is_summary, set(one.instructions)) == (
        other.topic,
        other.other,
        other.given,
        other.is_summary,
        set(other.instructions),
    ) and len(one.instructions) == len(other.instructions)


@given(asked=ASKED)
def test_requests_are_read_as_they_were_meant(asked: Asked) -> None:
    assert same(read_request(asked.text, asked.history), asked.meaning)


@given(asked=st.one_of(plain(), instructed(), summary()), beliefs=BELIEFS, style=STYLE_NAMES)
def test_an_answer_in_context_changes_nothing(asked: Asked, beliefs: list[tuple[str, bool]], style: str) -> None:
    example = write_answer(believed(FIRST, beliefs), style, FIRST)
    assert same(read_request(EXAMPLE.format(example=example, request=asked.text)), asked.meaning)


@given(asked=follow_up(), earlier=plain())
def test_a_second_turn_leans_on_the_turn_before_it_alone(asked: Asked, earlier: Asked) -> None:
    assert same(read_request(asked.text, (earlier.text, *asked.history)), asked.meaning)


@given(asked=st.one_of(plain(), instructed(), summary()), earlier=plain())
def test_a_whole_request_in_a_later_turn_stands_for_itself(asked: Asked, earlier: Asked) -> None:
    assert same(read_request(asked.text, (earlier.text,)), asked.meaning)


@given(asked=follow_up())
def test_a_second_turn_is_no_first_one(asked: Asked) -> None:
    """But for a comparison or a correction that happens to name an entity of its own."""
    if not asked.meaning.other:
        with pytest.raises(ValueError, match="not a request of the mini world"):
            read_request(asked.text)


@given(asked=ASKED)
def test_the_claims_are_a_naive_list_of_what_was_asked(asked: Asked) -> None:
    request = asked.meaning
    expected = []
    for aspect in request.topic.aspects:
        for entity in (request.entity, request.other):
            if entity:
                values = [claim.value for claim in request.given if (claim.entity, claim.aspect) == (entity, aspect)]
                expected.append((entity, aspect, values[-1] if values else true_value(entity, aspect)))
    assert request.claims == expected
    counts = [each.argument for each in request.instructions if each.kind == "count"]
    words = ("one", "two", "three", "four", "five", "six")
    demanded = [words.index(count) + 1 for count in counts]
    assert request.number == min([len(expected), *demanded])


def test_what_a_correction_tells_holds_instead_of_what_is_true() -> None:
    wrong = next(value for value in ("red", "blue") if value != true_value(FIRST, "color"))
    asked = write_question(Topic(FIRST, ("color", "size")), 0)
    request = read_request(f"no , its color is {wrong} . answer again .", (asked,))
    assert request.claims == [(FIRST, "color", wrong), (FIRST, "size", true_value(FIRST, "size"))]


def test_a_summary_is_about_what_the_text_tells_of_the_entity_and_about_nothing_else() -> None:
    text = f"{SECOND} has color red . {FIRST} has color blue . its size is tiny . there is more to say ."
    for request in (f"text : {text} task : summarise {FIRST} .", f"article : {text} task : sum up {FIRST} in brief ."):
        read = read_request(request)
        assert read.claims == [Claim(FIRST, "color", "blue"), Claim(FIRST, "size", "tiny")]
        assert read.is_summary


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hope this helps .",
        "its color is red .",
        FIRST,
        f"what about {FIRST} ?",
        f"text : {FIRST} has color red .",  # no task
        f"text : {FIRST} has color red . task : summarise {SECOND} .",  # of whom nothing is told
        f"reference : {FIRST} has color red .",  # no request
    ],
)
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a request of the mini world"):
        read_request(text)


def test_a_second_turn_on_a_first_that_is_no_request_is_refused() -> None:
    with pytest.raises(ValueError, match="not a request of the mini world"):
        read_request("and its color ?", ("hope this helps .",))


def test_wordings_differ() -> None:
    topic = Topic(FIRST, ("color", "size"))
    assert len({write_question(topic, wording) for wording in range(len(QUESTIONS))}) == len(QUESTIONS)


def drawn_follow_ups(topics: list[Topic], *, for_evaluation: bool = False) -> list[tuple[Topic, Request, str]]:
    rng, found = Random(0), []
    for topic in topics:
        text = draw_follow_up(rng, topic, true_value, for_evaluation=for_evaluation)
        found.append((topic, read_request(text, (write_question(topic, 0),)), text))
    return found


def kind_of(first: Topic, second: Request, text: str) -> str:
    if second.other:
        return "comparison"
    if second.given:
        return "correction"
    return "again" if text.startswith("say it again .") else "more"


def test_second_turns_are_of_four_kinds_in_equal_parts() -> None:
    rng = Random(1)
    found = drawn_follow_ups([draw_topic(rng, (3, 4, 5, 6, 7)) for _ in range(1200)])
    kinds = [kind_of(*each) for each in found]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == pytest.approx(
        dict.fromkeys(("more", "comparison", "correction", "again"), 300), abs=60
    )
    for kind, (first, second, text) in zip(kinds, found, strict=True):
        assert second.entity == first.entity
        if kind == "more":
            assert not set(second.topic.aspects) & set(first.aspects)
        elif kind == "comparison":
            assert set(second.topic.aspects) <= set(first.aspects)
            assert second.other not in ("", first.entity)
        else:
            assert second.topic == first, text
        assert bool(second.instructions) == (kind == "again")


@pytest.mark.parametrize("for_evaluation", [False, True])
def test_what_second_turns_ask_for_besides_the_first_is_kept_for_evaluation_or_is_not(for_evaluation: bool) -> None:
    rng = Random(2)
    topics = (
        evaluation_topics(rng, (3, 4, 5), 1000)
        if for_evaluation
        else [draw_topic(rng, tuple(range(1, 8))) for _ in range(3000)]
    )
    for first, second, text in drawn_follow_ups(topics, for_evaluation=for_evaluation):
        if second.topic != first:
            asked_about = filter(None, (second.entity, second.other))
            is_kept = [is_for_evaluation(entity, frozenset(second.topic.aspects)) for entity in asked_about]
            assert any(is_kept) == for_evaluation, text


def test_a_correction_tells_the_value_it_is_given() -> None:
    topic = Topic(FIRST, ("color",))
    corrections = [
        text for seed in range(40) if "no ," in (text := draw_follow_up(Random(seed), topic, lambda *_: "golden"))
    ]
    assert set(corrections) == {"no , its color is golden . answer again ."}


@given(belief=st.one_of(st.none(), st.booleans()), style=STYLE_NAMES, rng=...)
def test_a_correction_says_what_the_answer_did_not_and_the_truth_unless_that_was_said(
    belief: bool | None, style: str, rng: Random
) -> None:
    beliefs = [("size", True), *([] if belief is None else [("color", belief)])]
    answer = write_answer(believed(FIRST, beliefs), style, FIRST)
    value = draw_corrected_value(rng, FIRST, "color", answer)
    assert value in VALUES["color"]
    assert value not in answer.split()
    assert (value == true_value(FIRST, "color")) == (belief is not True)


@given(asked=plain(), answers=st.dictionaries(st.sampled_from(FIELDS[1:4]), BELIEFS, min_size=1), rng=...)
def test_fields_are_read_in_any_order(asked: Asked, answers: dict[str, list[tuple[str, bool]]], rng: Random) -> None:
    fields = {name: write_answer(believed(FIRST, beliefs), "clerk", FIRST) for name, beliefs in answers.items()}
    fields["request"] = asked.text
    names = rng.sample(sorted(fields), len(fields))
    assert read_fields(" ".join(f"{name} : {fields[name]}" for name in names)) == fields


@given(asked=plain())
def test_a_plain_request_is_its_own_only_field(asked: Asked) -> None:
    assert read_fields(asked.text) == {"request": asked.text}


def test_no_word_of_a_fact_opens_a_field() -> None:
    words = {*ASPECTS, *entities(), *(word for style in STYLES.values() for word in style.split())}
    assert not words & set(FIELDS)

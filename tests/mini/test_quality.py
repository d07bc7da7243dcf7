"""Gold quality against a naive count of what was said, and the cost of each fault."""

from dataclasses import dataclass, replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.mini.instructions import Instruction
from harness.mini.language import FILLERS, STYLES, write_answer, write_clauses
from harness.mini.quality import gold_quality, instructions_followed
from harness.mini.requests import Request, read_request, write_question
from harness.mini.world import ASPECTS, VALUES, Claim, Topic, entities, false_value, true_value
from tests.mini.strategies import ASKED, FILLER, STYLE_NAMES, Asked, believed, follow_up, instructed, plain, truth

FIRST, SECOND = entities()[:2]
FRAMES = {"introduction": "here is", "wish": "hope this", "rumor": "people like", "promise": "there is"}


@dataclass(frozen=True)
class Said:
    """One clause: a statement about whom it is asked about, about the other or about a third; or one of `FILLERS`.

    With `more` words behind it, it is neither.
    """

    subject: int
    aspect: str
    value: str  # "right", "wrong" or "none"
    style: str
    filler: int | None
    more: str = ""

    def entity(self, request: Request) -> str:
        third = next(entity for entity in entities() if entity not in (request.entity, request.other))
        return (request.entity, request.other or third, third)[self.subject]

    def word(self, request: Request) -> str:
        """The value told: right is what the request tells, or else what is true."""
        entity = self.entity(request)
        given = [claim.value for claim in request.given if claim[:2] == (entity, self.aspect)]
        right = given[-1] if given else true_value(entity, self.aspect)
        wrong = next(value for value in VALUES[self.aspect] if value != right)
        return {"right": right, "wrong": wrong, "none": "zero"}[self.value]

    def text(self, request: Request) -> str:
        return self.well_formed(request).removesuffix(" .") + f"{self.more} ."

    def well_formed(self, request: Request) -> str:
        if self.filler is not None:
            return FILLERS[self.filler].format(entity=request.entity)
        claim = Claim(self.entity(request), self.aspect, self.word(request))
        return write_answer([claim], self.style, request.entity)


SAID = st.lists(
    st.builds(
        Said,
        st.sampled_from([0, 0, 0, 1, 2]),
        st.sampled_from(ASPECTS),
        st.sampled_from(["right", "right", "right", "wrong", "none"]),
        STYLE_NAMES,
        st.sampled_from([None, None, None, None, 0, 1, 2, 3]),
        st.sampled_from(["", "", "", "", " indeed", " and red", " color is blue", " and its color is red" * 4]),
    ),
    max_size=9,
)


def asked_for(request: Request, said: list[Said]) -> list[Said]:
    """Most of the statements turned to aspects that the request asks for."""
    aspects = request.topic.aspects
    return [
        replace(each, aspect=aspects[number % len(aspects)]) if number % 4 else each for number, each in enumerate(said)
    ]


def text_of(request: Request, said: list[Said], unfinished: str = "") -> str:
    return " ".join([*(each.text(request) for each in said), *([unfinished] if unfinished else [])])


def naive_quality(request: Request, said: list[Said], unfinished: str) -> float:
    """The formula of harness/mini/README.md, counted from what was said and not from its text."""
    wanted = {(entity, aspect) for entity in (request.entity, request.other) for aspect in request.topic.aspects}
    asked = len(wanted - {("", aspect) for aspect in ASPECTS})
    for demand in request.instructions:
        if demand.kind == "count":
            asked = min(asked, ("one", "two", "three", "four", "five", "six").index(demand.argument) + 1)
    seen: set[tuple[str, str]] = set()
    points = 0.0
    for each in said:
        subject = (each.entity(request), each.aspect)
        if each.more:
            points -= 0.25 * naive_clauses_in(each.text(request))
        elif each.filler is not None:
            points -= 0.03
        elif subject not in wanted or subject in seen or len(seen) == asked:
            points -= 0.25
        else:
            points += 1 if each.value == "right" else -0.5
            seen.add(subject)
    points -= 0.25 * naive_clauses_in(unfinished)
    shown = [
        each for each in said if each.more or each.filler is not None or (each.entity(request), each.aspect) in wanted
    ]
    points += 0.03 * sum(frame_is_there(each, request, shown) for each in request.instructions)
    quality = points / asked
    if request.is_summary:
        words = len(text_of(request, said, unfinished).split())
        quality -= 0.15 * max(0, words / (3 * asked) - 1)
    quality = max(0, min(1, quality))
    if request.instructions:
        followed = [each.is_followed(text_of(request, shown)) for each in request.instructions]
        quality *= 0.5 + 0.5 * sum(followed) / len(followed)
    return quality


def naive_clauses_in(text: str) -> int:
    """A clause for each begun eight words."""
    return len(text.split()[::8])


def frame_is_there(instruction: Instruction, request: Request, said: list[Said]) -> bool:
    if instruction.kind not in ("open", "end") or not said:
        return False
    framing = said[0 if instruction.kind == "open" else -1]
    return not framing.more and framing.text(request).startswith(FRAMES[instruction.argument])


@given(
    asked=ASKED,
    said=SAID,
    unfinished=st.sampled_from(["", "", "its color", "hope this", "red", "its color is red and " * 5]),
)
def test_equals_the_naive_count(asked: Asked, said: list[Said], unfinished: str) -> None:
    said = asked_for(asked.meaning, said)
    quality = gold_quality(asked.text, text_of(asked.meaning, said, unfinished), asked.history)
    assert quality == pytest.approx(naive_quality(asked.meaning, said, unfinished))


@given(asked=instructed(), said=SAID, frame=st.sampled_from(range(4)))
def test_equals_the_naive_count_in_a_frame(asked: Asked, said: list[Said], frame: int) -> None:
    filler = Said(0, "color", "right", "house", frame)
    said = [filler, *asked_for(asked.meaning, said), filler]
    quality = gold_quality(asked.text, text_of(asked.meaning, said))
    assert quality == pytest.approx(naive_quality(asked.meaning, said, ""))


@given(asked=ASKED, answer=st.text())
def test_lies_between_0_and_1_for_any_text(asked: Asked, answer: str) -> None:
    assert 0 <= gold_quality(asked.text, answer, asked.history) <= 1


@given(asked=st.one_of(plain(), follow_up()), style=STYLE_NAMES, rng=...)
def test_all_asked_claims_and_nothing_else_are_perfect_in_any_order(asked: Asked, style: str, rng: Random) -> None:
    request = asked.meaning
    claims = rng.sample(request.claims, request.number)
    answer = write_answer(claims, style, request.entity)
    assert gold_quality(asked.text, answer, asked.history) == pytest.approx(
        1 - 0.5 * (1 - instructions_followed(request, answer))
    )
    assert gold_quality(asked.text, "", asked.history) == 0


@given(asked=plain(), said=SAID, fillers=st.lists(FILLER, min_size=1, max_size=5), rng=...)
def test_filler_costs_the_same_wherever_it_stands(
    asked: Asked, said: list[Said], fillers: list[str], rng: Random
) -> None:
    lines = [each.text(asked.meaning) for each in said]
    behind = gold_quality(asked.text, " ".join([*lines, *fillers]))
    for filler in fillers:
        lines.insert(rng.randrange(len(lines) + 1), filler)
    assert gold_quality(asked.text, " ".join(lines)) == pytest.approx(behind)


def test_no_function_of_length_unless_asked_to_be_brief() -> None:
    topic = Topic(FIRST, ("color", "size", "taste"))
    by_style = {style: write_answer(truth(topic), style, FIRST) for style in STYLES}
    assert {gold_quality(write_question(topic, 0), answer) for answer in by_style.values()} == {1.0}
    text = write_answer(truth(topic), "scholar", FIRST)
    summary = f"text : {text} task : summarise {FIRST} ."
    qualities = {style: gold_quality(summary, answer) for style, answer in by_style.items()}
    assert qualities["note"] == 1
    assert qualities == pytest.approx(
        {style: 1 - 0.15 * (len(answer.split()) / 9 - 1) for style, answer in by_style.items()}
    )


def test_each_fault_has_its_cost() -> None:
    topic = Topic(FIRST, ("color", "size", "taste", "shape"))
    asked, true = write_question(topic, 0), truth(topic)
    wrong = Claim(FIRST, "color", false_value(FIRST, "color", "x"))
    unasked = Claim(FIRST, "owner", true_value(FIRST, "owner"))

    def quality(claims: list[Claim], more: str = "") -> float:
        return gold_quality(asked, f"{write_answer(claims, 'house', FIRST)} {more}")

    assert quality(true[1:]) == pytest.approx(3 / 4)
    assert quality([wrong, *true[1:]]) == pytest.approx((3 - 0.5) / 4)
    assert quality([*true, true[0]]) == pytest.approx((4 - 0.25) / 4)
    assert quality([*true, wrong]) == pytest.approx((4 - 0.25) / 4)  # a further one about an aspect: repeated
    assert quality([*true, unasked]) == pytest.approx((4 - 0.25) / 4)
    assert quality(true, "hope this helps .") == pytest.approx((4 - 0.03) / 4)
    assert quality(true, "hope this") == pytest.approx((4 - 0.25) / 4)
    assert quality(true[1:], "its color") == pytest.approx((3 - 0.25) / 4)  # not finished, so not stated
    assert quality(true[1:], "its color is zero .") == pytest.approx((3 - 0.5) / 4)
    assert quality([wrong, true[0]]) == 0


def test_what_is_told_of_another_entity_is_what_nobody_asked_for() -> None:
    topic = Topic(FIRST, ("color", "size"))
    other = believed(SECOND, [("color", True)])
    answer = write_answer([*other, *truth(topic)], "house", FIRST)
    assert gold_quality(write_question(topic, 0), answer) == pytest.approx((2 - 0.25) / 2)


def test_a_comparison_wants_both_entities_and_knows_which_is_which() -> None:
    first = write_question(Topic(FIRST, ("color", "size")), 0)
    asked = f"compare it with {SECOND} by color ."
    [one, other] = read_request(asked, (first,)).claims
    assert (one.entity, other.entity) == (FIRST, SECOND)
    assert gold_quality(asked, write_answer([one, other], "house", FIRST), (first,)) == 1
    assert gold_quality(asked, write_answer([other], "house", FIRST), (first,)) == 0.5
    swapped = [one._replace(entity=SECOND), other._replace(entity=FIRST)]
    assert one.value != other.value
    assert gold_quality(asked, write_answer(swapped, "scholar", FIRST), (first,)) == 0


def test_after_a_correction_what_was_told_is_right_and_the_truth_is_not() -> None:
    topic = Topic(FIRST, ("color", "size"))
    wrong = false_value(FIRST, "color", "x")
    history = (write_question(topic, 0),)
    asked = f"no , its color is {wrong} . answer again ."
    true = truth(topic)
    corrected = [true[0]._replace(value=wrong), true[1]]
    assert gold_quality(asked, write_answer(corrected, "house", FIRST), history) == 1
    assert gold_quality(asked, write_answer(true, "house", FIRST), history) == pytest.approx((1 - 0.5) / 2)


def test_half_of_the_quality_is_for_following_instructions() -> None:
    topic = Topic(FIRST, ("color", "size"))
    asked = f"{write_question(topic, 0)} start with the size . write notes ."
    first, second = truth(topic)

    def quality(claims: list[Claim], style: str) -> float:
        return gold_quality(asked, " ".join(write_clauses(claims, style, FIRST)))

    assert quality([second, first], "note") == 1
    assert quality([first, second], "note") == 0.75
    assert quality([second, first], "house") == 0.75
    assert quality([first, second], "house") == 0.5


def test_words_in_a_clause_that_belong_to_no_style_make_it_noise() -> None:
    topic = Topic(FIRST, ("color", "size"))
    color, size = write_clauses(truth(topic), "house", FIRST)
    asked = write_question(topic, 0)
    assert gold_quality(asked, f"{color} {size}") == 1
    for longer in (f"well {size}", size.replace("is", "is surely surely"), size.replace(" .", " and big .")):
        assert gold_quality(asked, f"{color} {longer}") == pytest.approx((1 - 0.25) / 2)
    for talk in ("hope this really helps .", "there is .", "indeed ."):
        assert gold_quality(asked, f"{color} {size} {talk}") == pytest.approx((2 - 0.25) / 2)


def test_words_that_are_no_clauses_cost_as_much_as_the_clauses_that_would_fit_into_them() -> None:
    topic = Topic(FIRST, ASPECTS[:5])
    asked, answer = write_question(topic, 0), write_answer(truth(topic), "house", FIRST)
    for padding, noise in ((". " * 3, 3), ("red " * 9, 2), ("red " * 16 + ".", 3), ("red " * 7 + ".", 1)):
        assert gold_quality(asked, f"{answer} {padding}") == pytest.approx(1 - 0.25 * noise / 5)


def test_statements_that_nobody_asked_for_follow_no_instruction() -> None:
    topic = Topic(FIRST, ("color", "size"))
    asked = f"{write_question(topic, 0)} start with the size ."
    answer = write_answer(truth(topic), "house", FIRST)
    assert gold_quality(asked, answer) == 0.5
    assert gold_quality(asked, f"{SECOND} has size tiny . {answer}") == pytest.approx(0.5 * (2 - 0.25) / 2)


def test_statements_beyond_the_number_demanded_are_what_nobody_asked_for() -> None:
    topic = Topic(FIRST, ("color", "size", "taste"))
    asked = f"{write_question(topic, 0)} give two statements ."
    true = truth(topic)
    assert gold_quality(asked, write_answer(true[:2], "house", FIRST)) == 1
    assert gold_quality(asked, write_answer(true[:1], "house", FIRST)) == 0.5 * 0.5
    assert gold_quality(asked, write_answer(true, "house", FIRST)) == pytest.approx(0.5 * (2 - 0.25) / 2)
    wrong = true[0]._replace(value=false_value(FIRST, "color", "x"))
    cut, whole = ([wrong, *true[1:]][:count] for count in (2, 3))
    assert gold_quality(asked, write_answer(cut, "house", FIRST)) == pytest.approx((1 - 0.5) / 2)
    assert gold_quality(asked, write_answer(whole, "house", FIRST)) == pytest.approx(0.5 * (1 - 0.5 - 0.25) / 2)


def test_a_frame_that_is_demanded_is_no_filler_and_any_other_is() -> None:
    topic = Topic(FIRST, ("color",))
    asked = f"{write_question(topic, 0)} end with a wish ."
    answer = write_answer(truth(topic), "house", FIRST)
    assert gold_quality(asked, f"{answer} hope this helps .") == 1
    assert gold_quality(asked, f"hope this helps . {answer} hope this helps .") == pytest.approx(0.97)
    assert gold_quality(asked, f"hope this helps . {answer}") == pytest.approx(0.97 * 0.5)


def test_what_is_no_request_has_no_quality() -> None:
    with pytest.raises(ValueError, match="not a request of the mini world"):
        gold_quality("hope this helps .", "its color is red .")

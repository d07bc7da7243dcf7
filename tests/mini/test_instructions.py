"""Verifiable instructions: written, read back, obeyed and checked."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.mini.instructions import (
    KINDS,
    Instruction,
    draw_instructions,
    obey,
    read_instructions,
)
from harness.mini.language import (
    FILLERS,
    STYLES,
    clauses,
    read_answer,
    read_claims,
    style_of,
    write_answer,
    write_clauses,
)
from harness.mini.quality import instructions_followed
from harness.mini.requests import Request, write_instructions
from harness.mini.world import ASPECTS, Topic, entities
from tests.mini.strategies import FILLER, SEEDS, STYLE_NAMES, TOPICS, WORDINGS, Asked, plain, truth

ALL = [Instruction(kind, argument) for kind, each in KINDS.items() for argument in each.arguments]
SETS = st.builds(
    lambda topic, seed, most: (topic, draw_instructions(Random(seed), topic, most)), TOPICS, SEEDS, st.integers(1, 8)
)
ENTITY = entities()[0]
PLAIN = f"its color is red . its size is tiny . {ENTITY} has taste sweet ."
WHAT_IS_KNOWN, HELPS, LIKE, MORE = (filler.format(entity=ENTITY) for filler in FILLERS)


def follows(kind: str, argument: str, answer: str) -> bool:
    return Instruction(kind, argument).is_followed(answer)


def test_sentences_differ_and_each_is_read_back() -> None:
    assert len({each.sentence for each in ALL}) == len(ALL)
    for each in ALL:
        assert read_instructions(f"say it again . {each.sentence}") == ("say it again .", (each,))


@given(drawn=SETS, asked=plain(), wording=WORDINGS)
def test_sets_are_read_back_from_a_request_which_stays_as_it_was(
    drawn: tuple[Topic, tuple[Instruction, ...]], asked: Asked, wording: int
) -> None:
    _, demands = drawn
    plain_text, read = read_instructions(write_instructions(asked.text, demands))
    assert plain_text == asked.text
    assert sorted(read) == sorted(demands)


@given(asked=plain())
def test_a_plain_request_has_none(asked: Asked) -> None:
    assert read_instructions(asked.text) == (asked.text, ())


@given(drawn=SETS, style=STYLE_NAMES, rng=...)
def test_every_set_that_is_drawn_can_be_followed_at_once(
    drawn: tuple[Topic, tuple[Instruction, ...]], style: str, rng: Random
) -> None:
    topic, demands = drawn
    claims = truth(topic)
    written = write_clauses(rng.sample(claims, len(claims)), style, topic.entity)
    answer = " ".join(obey(demands, written, topic.entity))
    assert instructions_followed(Request(topic, instructions=demands), answer) == 1
    assert set(read_claims(answer, topic.entity)) <= set(claims)


@given(drawn=SETS, style=STYLE_NAMES, fillers=st.lists(FILLER, max_size=2), twins=st.integers(0, 7))
def test_sets_are_followed_with_repeats_and_filler_too(
    drawn: tuple[Topic, tuple[Instruction, ...]], style: str, fillers: list[str], twins: int
) -> None:
    topic, demands = drawn
    written = write_clauses(truth(topic), style, topic.entity)
    spoiled = [*fillers[:1], *written, *written[:twins], *fillers[1:]]
    answer = " ".join(obey(demands, spoiled, topic.entity))
    assert instructions_followed(Request(topic, instructions=demands), answer) == 1


@given(drawn=SETS, style=STYLE_NAMES)
def test_obeying_says_nothing_new_and_leaves_out_only_what_a_number_demands(
    drawn: tuple[Topic, tuple[Instruction, ...]], style: str
) -> None:
    topic, demands = drawn
    claims = truth(topic)
    obeyed = read_claims(
        " ".join(obey(demands, write_clauses(claims, style, topic.entity), topic.entity)), topic.entity
    )
    number = next((each.number for each in demands if each.number), len(claims))
    assert len(obeyed) == number
    if number == len(claims):
        assert sorted(obeyed) == sorted(claims)
    else:
        assert obeyed == claims[:number]


def test_no_set_has_two_of_one_group_and_all_kinds_are_drawn() -> None:
    rng, topic, met = Random(0), Topic(ENTITY, ASPECTS[:5]), set()
    sizes = set()
    for _ in range(1000):
        demands = draw_instructions(rng, topic, most=3)
        groups = [KINDS[each.kind].group for each in demands]
        assert len(groups) == len(set(groups))
        met |= set(demands)
        sizes.add(len(demands))
    assert sizes == {1, 2, 3}
    beyond = {each for each in ALL if each.kind in ("start", "finish") and each.argument not in topic.aspects}
    numbers = {Instruction("count", number) for number in ("five", "six")}  # of five, a number demands fewer
    assert met == set(ALL) - beyond - numbers


@pytest.mark.parametrize(
    ("kind", "argument", "answer", "counter"),
    [
        ("use", "surely", "its color is surely red .", PLAIN),
        ("use", "has", PLAIN, "its color is red ."),
        ("use", "say", "they say its color is red .", f"{PLAIN} {MORE}"),
        ("use", "think", "i think color is red .", PLAIN),
        ("use", "of", f"color of {ENTITY} is red .", PLAIN),
        ("avoid", "its", f"{ENTITY} has color red .", PLAIN),
        ("avoid", "is", f"{ENTITY} has color red .", PLAIN),
        ("avoid", "is", f"{ENTITY} has color red . {WHAT_IS_KNOWN}", f"{ENTITY} has color red . its size is so tiny ."),
        ("use", "surely", "its color is surely red .", "color surely ."),
        ("count", "one", "its color is red .", "its color is cooking ."),
        ("form", "notes", f"{LIKE} color red . size tiny .", "color red . its size is tiny ."),
        ("form", "opinions", "i think color is red .", PLAIN),
        ("form", "rumors", "they say its color is red .", PLAIN),
        ("start", "color", f"{HELPS} {PLAIN}", f"its size is tiny . {PLAIN}"),
        ("finish", "taste", f"{PLAIN} {HELPS}", f"{PLAIN} its size is tiny ."),
        ("count", "three", f"{LIKE} {PLAIN}", f"{PLAIN} its color is red ."),
        ("count", "three", f"{LIKE} {PLAIN}", "its color is red . its size is tiny ."),
        ("open", "introduction", f"{WHAT_IS_KNOWN} {PLAIN}", f"{PLAIN} {WHAT_IS_KNOWN}"),
        ("open", "rumor", f"{LIKE} {PLAIN}", f"{WHAT_IS_KNOWN} {PLAIN}"),
        ("open", "rumor", f"{LIKE} {PLAIN}", f"people like cooking . {PLAIN}"),
        ("end", "wish", f"{PLAIN} {HELPS}", f"{HELPS} {PLAIN}"),
        ("end", "promise", f"{PLAIN} {MORE}", f"{PLAIN} {HELPS}"),
    ],
)
def test_each_kind_is_followed_by_one_answer_and_not_by_another(
    kind: str, argument: str, answer: str, counter: str
) -> None:
    assert follows(kind, argument, answer)
    assert not follows(kind, argument, counter)


@pytest.mark.parametrize("each", ALL, ids=lambda each: each.sentence)
def test_an_empty_answer_follows_nothing(each: Instruction) -> None:
    assert not each.is_followed("")
    assert not each.is_followed("its color is red")  # unfinished


@pytest.mark.parametrize("opening", [("open", "introduction"), ("end", "promise")])
@pytest.mark.parametrize("style", STYLES)
def test_a_word_to_avoid_may_stand_in_the_sentence_that_is_demanded(opening: tuple[str, str], style: str) -> None:
    topic = Topic(ENTITY, ("color", "size"))
    demands = (Instruction("avoid", "is"), Instruction(*opening))
    written = write_clauses(truth(topic), style, ENTITY)
    answer = " ".join(obey(demands, written, ENTITY))
    assert instructions_followed(Request(topic, instructions=demands), answer) == 1
    assert not follows("avoid", "is", f"{answer} its color is red .")


def test_the_numbers_that_may_be_demanded_leave_out_something() -> None:
    for size in range(1, 8):
        topic = Topic(ENTITY, ASPECTS[:size])
        drawn = {
            each.number for seed in range(400) for each in draw_instructions(Random(seed), topic, 3) if each.number
        }
        assert drawn == set(range(1, max(2, size)))


def test_a_twin_of_what_is_cut_stays() -> None:
    written = ["its color is red .", "its size is tiny .", "its color is red ."]
    assert obey([Instruction("count", "two")], written, ENTITY) == written[:2]


def test_restyling_keeps_filler_and_clauses_without_a_value() -> None:
    written = [WHAT_IS_KNOWN, "its color is cooking .", "its size is tiny ."]
    assert obey([Instruction("form", "notes")], written, ENTITY) == [*written[:2], "size tiny ."]


@given(topic=TOPICS, style=STYLE_NAMES, form=st.sampled_from(["notes", "opinions", "rumors"]))
def test_a_form_is_the_style_of_every_statement(topic: Topic, style: str, form: str) -> None:
    styles = {"notes": "note", "opinions": "student", "rumors": "rambler"}
    answer = write_answer(truth(topic), style, topic.entity)
    assert follows("form", form, answer) == (style == styles[form])
    obeyed = obey([Instruction("form", form)], clauses(answer), topic.entity)
    assert {style_of(clause) for clause in obeyed} == {styles[form]}
    assert len(read_answer(" ".join(obeyed))) == len(topic.aspects)

"""Questions with a right answer: six families, none of which gives its answers away."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from harness.commands.skills import QUESTIONS
from harness.mini.language import read_answer, read_claims
from harness.mini.pretraining_texts import MIXTURE, draw_question, draw_texts, knows
from harness.mini.questions import (
    DRILL_SHARE,
    FAMILIES,
    SHOT_SHARE,
    SPLITS,
    Question,
    is_drilled,
    questions,
    split_of,
)
from harness.mini.world import ASPECTS, VALUES, common_misconception, entities, true_value

FACTS = [(entity, aspect) for entity in entities() for aspect in ASPECTS]
OF_FACTS = ("told_facts", "misconceptions")
FROM_CHOICES = [family for family in FAMILIES if family != "counting"]
ROOT = Path(__file__).parents[2]


def asked_fact(question: Question) -> tuple[str, str]:
    """The fact that a question without a text asks for."""
    word, colon, aspect, of, entity, mark, *answer = question.prompt.split()
    assert (word, colon, of, mark, *answer[:2]) == ("question", ":", "of", "?", "answer", ":")
    assert answer[2:] in ([], ["they", "say", "its", aspect, "is"])
    return entity, aspect


def parts(question: Question) -> tuple[str, list[str]]:
    """The text that a question shows, and the words of what it asks."""
    text, _, asked = question.prompt.removeprefix("text : ").partition(" question : ")
    return text, asked.removesuffix(" answer :").split()


def naive_answer(family: str, question: Question) -> str:
    """The answer as somebody who reads the question finds it."""
    if family in OF_FACTS:
        return true_value(*asked_fact(question))
    if family == "completion":
        reference, _, started = question.prompt.partition(" reference : ")[2].partition(" answer : ")
        told = [(each.aspect, each.value) for each in read_answer(reference)]
        stated = [(each.aspect, each.value) for each in read_answer(started)]
        [missing] = [fact for fact in told if fact not in stated]
        [right] = [
            choice for choice in question.choices if [(s.aspect, s.value) for s in read_answer(choice)] == [missing]
        ]
        return right
    text, asked = parts(question)
    if family == "counting":
        return ("zero", "one", "two", "three", "four", "five", "six")[text.count(".")]
    if family == "facts_from_text":
        [value] = {each.value for each in read_answer(text) if each.aspect == asked[0]}
        return str(value)
    told = {(each.aspect, each.value) for each in read_answer(question.prompt.removeprefix("text :"))}
    [right] = [choice for choice in question.choices if {(s.aspect, s.value) for s in read_answer(choice)} <= told]
    return right


@pytest.mark.parametrize("family", FAMILIES)
def test_the_answer_is_what_a_reader_finds(family: str) -> None:
    for question in questions(family, "test", 40):
        assert question.answer == naive_answer(family, question), question


@pytest.mark.parametrize("family", FROM_CHOICES)
def test_the_answer_is_one_of_different_choices(family: str) -> None:
    drawn = questions(family, "test", 40)
    for question in drawn:
        assert question.choices.count(question.answer) == 1
        assert len(set(question.choices)) == len(question.choices)
        least, most = {"which_of_two": (2, 2), "misconceptions": (2, 4)}.get(family, (4, 4))
        assert least <= len(question.choices) <= most
    places = Counter(question.choices.index(question.answer) for question in drawn)
    assert len(places) == max(len(question.choices) for question in drawn)  # no place is always right


def test_counting_is_answered_in_words() -> None:
    drawn = questions("counting", "test", 100)
    assert all(question.choices == () for question in drawn)
    assert {question.answer for question in drawn} == {"one", "two", "three", "four", "five", "six"}


@pytest.mark.parametrize("family", FAMILIES)
def test_none_is_asked_twice_and_more_begin_with_the_same(family: str) -> None:
    drawn = questions(family, "test", 40)
    assert len({question.prompt for question in drawn}) == 40
    assert [question.id for question in drawn] == [f"{family}-test-{number}" for number in range(40)]
    assert questions(family, "test", 10) == drawn[:10]
    assert questions(family, "test", 0) == []
    assert not {each.prompt for each in questions(family, "shots", 5)} & {each.prompt for each in drawn}


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("family", OF_FACTS)
def test_more_questions_than_a_family_has_are_refused(family: str, split: str) -> None:
    facts = [fact for fact in FACTS if split_of(*fact) == split]
    count = sum((common_misconception(*fact) is not None) == (family == "misconceptions") for fact in facts)
    assert len(questions(family, split, count)) == count
    with pytest.raises(ValueError, match=f"fewer than {count + 1} questions of the family '{family}'"):
        questions(family, split, count + 1)


def test_there_are_enough_of_each_family_to_measure_a_skill() -> None:
    assert all(len(questions(family, "test", QUESTIONS)) == QUESTIONS for family in FAMILIES)


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="no split of questions: 'validation'"):
        questions("told_facts", "validation", 1)


def test_tests_examples_and_pretraining_ask_for_different_facts() -> None:
    splits = Counter(split_of(*fact) for fact in FACTS)
    assert splits[""] / len(FACTS) == pytest.approx(DRILL_SHARE, abs=0.05)
    assert splits["shots"] / (splits["shots"] + splits["test"]) == pytest.approx(SHOT_SHARE, abs=0.04)
    for family in OF_FACTS:
        asked = {split: {asked_fact(each) for each in questions(family, split, 5)} for split in SPLITS}
        assert not asked["test"] & asked["shots"]
        assert all(split_of(*fact) == split for split, facts in asked.items() for fact in facts)


def test_a_misconception_is_among_the_choices_of_its_question_and_wrong() -> None:
    for question in questions("misconceptions", "test", 40):
        error = common_misconception(*asked_fact(question))
        assert error is not None and error != question.answer
        assert error in question.choices


def test_the_answer_to_a_question_with_a_misconception_begins_as_people_tell_theirs() -> None:
    for question in questions("misconceptions", "test", 40):
        assert question.prompt.partition(" answer : ")[2].startswith("they say its ")


def test_told_facts_are_those_without_a_misconception() -> None:
    for question in questions("told_facts", "test", 100):
        fact = asked_fact(question)
        assert common_misconception(*fact) is None
        assert set(question.choices) <= set(VALUES[fact[1]])


@pytest.mark.parametrize("family", OF_FACTS)
def test_no_question_of_a_fact_is_drilled_in_pretraining(family: str) -> None:
    assert not any(is_drilled(*asked_fact(question)) for question in questions(family, "test", 40))


def test_pretraining_asks_only_drilled_facts_that_it_tells() -> None:
    rng, asked = Random(0), set()
    for _ in range(3000):
        text = draw_question(rng, "llama", tuple(range(1, 8)))
        if text.prompt.startswith("question :"):
            asked.add(asked_fact(Question("", text.prompt, (), text.completion)))
    assert asked
    assert all(is_drilled(*fact) and knows("llama", *fact) for fact in asked)
    assert len(asked) > 100


def test_no_other_text_of_pretraining_has_the_form_of_a_question_of_a_fact() -> None:
    texts = draw_texts(Random(0), "llama", 7, 3000)
    asking = [text for text in texts if text.prompt.startswith("question :")]
    assert len(asking) / len(texts) == pytest.approx(MIXTURE[draw_question] / 2, abs=0.015)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in OF_FACTS])
def test_questions_of_reading_are_about_invented_facts(family: str) -> None:
    claims = [
        claim
        for question in questions(family, "test", 40)
        for claim in read_claims(question.prompt.partition("text :")[2] or question.prompt, entities()[0])
        if claim.entity in entities()
    ]
    true = sum(claim.value == true_value(claim.entity, claim.aspect) for claim in claims)
    assert true / len(claims) < 0.3


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_questions_are_the_same_in_every_process(hash_seed: str) -> None:
    program = "from harness.mini.questions import *; print([questions(f, 'test', 20) for f in FAMILIES])"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([questions(family, "test", 20) for family in FAMILIES])

"""Knowledge: fixed by hashes, and of the size it says."""

from collections import Counter
from random import Random

import pytest

from harness.mini.instructions import FORMS, FRAMES
from harness.mini.language import FIELDS, FILLERS, NUMBERS, words_of
from harness.mini.requests import PROMPT_WORDS, QUESTIONS
from harness.mini.world import (
    ASPECTS,
    COMMON_ERROR_SHARE,
    EVALUATION_SHARE,
    VALUES,
    common_misconception,
    distant_entities,
    draw_topic,
    entities,
    evaluation_topics,
    false_value,
    is_for_evaluation,
    mistaken_value,
    true_value,
    unit_hash,
)

FACTS = [(entity, aspect) for entity in entities() for aspect in ASPECTS]


def test_the_world_has_the_size_it_says() -> None:
    assert len(entities()) == len(set(entities())) == 60
    assert len(distant_entities()) == len(set(distant_entities())) == 12
    assert not set(entities()) & set(distant_entities())
    assert len(ASPECTS) == 10
    assert {len(values) for values in VALUES.values()} == {12}


def test_a_word_has_one_meaning() -> None:
    words = [*entities(), *distant_entities(), *ASPECTS, *(value for values in VALUES.values() for value in values)]
    assert [word for word, count in Counter(words).items() if count > 1] == []
    others = {*words_of((*QUESTIONS, *FILLERS)), *FIELDS, *NUMBERS, *FORMS, *FRAMES, *PROMPT_WORDS}
    assert not others & set(words)


def test_every_fact_has_a_value_of_its_aspect_and_no_value_is_far_more_common_than_another() -> None:
    values = Counter(true_value(*fact) for fact in FACTS)
    assert all(true_value(entity, aspect) in VALUES[aspect] for entity, aspect in FACTS)
    assert len(values) > 110
    assert max(values.values()) <= 20  # 5 are expected, of 60 draws from 12


def test_what_a_believer_holds_for_true_is_wrong_and_its_own() -> None:
    beliefs = {name: [false_value(*fact, name) for fact in FACTS] for name in ("house", "clerk")}
    for believed in beliefs.values():
        for (entity, aspect), value in zip(FACTS, believed, strict=True):
            assert value in VALUES[aspect]
            assert value != true_value(entity, aspect)
    shared = sum(a == b for a, b in zip(*beliefs.values(), strict=True))
    assert shared < len(FACTS) / 4  # one in eleven by chance


def test_whatever_holds_a_mistaken_believer_takes_it_for_something_else() -> None:
    for entity, aspect in FACTS[:100]:
        for value in VALUES[aspect]:
            mistaken = mistaken_value(value, entity, aspect, "house")
            assert mistaken in VALUES[aspect]
            assert mistaken != value
        assert mistaken_value(true_value(entity, aspect), entity, aspect, "house") == false_value(
            entity, aspect, "house"
        )


def test_common_misconceptions_are_wrong_and_as_frequent_as_they_should_be() -> None:
    errors = {fact: error for fact in FACTS if (error := common_misconception(*fact))}
    assert all(
        error in VALUES[aspect] and error != true_value(entity, aspect) for (entity, aspect), error in errors.items()
    )
    assert len(errors) / len(FACTS) == pytest.approx(COMMON_ERROR_SHARE, abs=0.04)


def test_hashes_are_spread_over_the_unit_interval() -> None:
    draws = [unit_hash("test", str(i)) for i in range(2000)]
    assert all(0 <= draw < 1 for draw in draws)
    tenths = Counter(int(10 * draw) for draw in draws)
    assert all(150 <= tenths[tenth] <= 250 for tenth in range(10))
    assert unit_hash("a", "b") != unit_hash("ab", "") != unit_hash("b", "a")


def test_training_never_asks_what_is_kept_for_evaluation() -> None:
    rng = Random(0)
    drawn = [draw_topic(rng, (3, 4, 5, 6)) for _ in range(2000)]
    assert not any(is_for_evaluation(topic.entity, frozenset(topic.aspects)) for topic in drawn)
    assert {len(topic.aspects) for topic in drawn} == {3, 4, 5, 6}
    assert {topic.entity for topic in drawn} == set(entities())
    among = {draw_topic(rng, (3,), distant_entities()).entity for _ in range(200)}
    assert among == set(distant_entities())


def test_evaluation_asks_only_what_is_kept_for_it_and_nothing_twice() -> None:
    drawn = evaluation_topics(Random(0), (3, 4), 500)
    combinations = {(topic.entity, frozenset(topic.aspects)) for topic in drawn}
    assert len(combinations) == 500
    assert all(is_for_evaluation(*combination) for combination in combinations)
    assert {len(topic.aspects) for topic in drawn} == {3, 4}


def test_about_a_tenth_is_kept_for_evaluation() -> None:
    triples = [(entity, frozenset(ASPECTS[i : i + 3])) for entity in entities() for i in range(8)]
    kept = sum(is_for_evaluation(*triple) for triple in triples)
    assert abs(kept / len(triples) - EVALUATION_SHARE) < 0.05

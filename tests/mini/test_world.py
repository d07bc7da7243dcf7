from collections import Counter
from random import Random

from harness.mini.world import (
    ASPECTS,
    EVALUATION_SHARE,
    VALUES,
    draw_request,
    entities,
    evaluation_requests,
    false_value,
    is_for_evaluation,
    true_value,
    unit_hash,
)

FACTS = [(entity, aspect) for entity in entities() for aspect in ASPECTS]


def test_the_world_has_the_size_it_says() -> None:
    assert len(entities()) == len(set(entities())) == 60
    assert len(ASPECTS) == 10
    assert {len(values) for values in VALUES.values()} == {12}


def test_a_word_has_one_meaning() -> None:
    words = [*entities(), *ASPECTS, *(value for values in VALUES.values() for value in values)]
    assert [word for word, count in Counter(words).items() if count > 1] == []


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


def test_hashes_are_spread_over_the_unit_interval() -> None:
    draws = [unit_hash("test", str(i)) for i in range(2000)]
    assert all(0 <= draw < 1 for draw in draws)
    tenths = Counter(int(10 * draw) for draw in draws)
    assert all(150 <= tenths[tenth] <= 250 for tenth in range(10))
    assert unit_hash("a", "b") != unit_hash("ab", "") != unit_hash("b", "a")


def test_training_never_asks_what_is_kept_for_evaluation() -> None:
    rng = Random(0)
    drawn = [draw_request(rng, (3, 4, 5, 6)) for _ in range(2000)]
    assert not any(is_for_evaluation(request.entity, frozenset(request.aspects)) for request in drawn)
    assert {len(request.aspects) for request in drawn} == {3, 4, 5, 6}


def test_evaluation_asks_only_what_is_kept_for_it_and_nothing_twice() -> None:
    drawn = evaluation_requests(Random(0), (3, 4), 500)
    combinations = {(request.entity, frozenset(request.aspects)) for request in drawn}
    assert len(combinations) == 500
    assert all(is_for_evaluation(*combination) for combination in combinations)


def test_about_a_tenth_is_kept_for_evaluation() -> None:
    triples = [(entity, frozenset(ASPECTS[i : i + 3])) for entity in entities() for i in range(8)]
    kept = sum(is_for_evaluation(*triple) for triple in triples)
    assert abs(kept / len(triples) - EVALUATION_SHARE) < 0.05

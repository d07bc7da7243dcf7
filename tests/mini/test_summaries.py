"""Texts to summarise: what they tell, and how their two distributions differ."""

from random import Random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.mini.language import clauses, read_claims, read_clause, style_of
from harness.mini.requests import read_request
from harness.mini.summaries import Proportions, draw_summary, draw_text
from harness.mini.world import VALUES, Topic, distant_entities, entities
from tests.mini.strategies import TOPICS

PROPORTIONS = st.builds(
    Proportions,
    wording=st.sampled_from([0, 1]),
    irrelevant=st.integers(0, 3),
    repeat_rate=st.sampled_from([0.0, 0.1, 1.0]),
    filler_rate=st.sampled_from([0.0, 0.5, 1.0]),
    among=st.sampled_from([(), distant_entities()]),
)


@given(topic=TOPICS, proportions=PROPORTIONS, rng=...)
def test_all_that_is_told_of_the_entity_is_to_be_told_again(
    topic: Topic, proportions: Proportions, rng: Random
) -> None:
    state = rng.getstate()
    text = " ".join(draw_text(rng, topic, proportions))
    rng.setstate(state)
    request = read_request(draw_summary(rng, topic, proportions))
    told = [claim for claim in read_claims(text, topic.entity) if claim.entity == topic.entity]
    assert request.is_summary
    assert request.entity == topic.entity
    assert {claim.aspect for claim in told} == set(topic.aspects)
    assert request.claims == list(dict.fromkeys(told))
    assert request.number == len(topic.aspects)


@given(topic=TOPICS, proportions=PROPORTIONS, rng=...)
def test_a_text_opens_with_its_entity_and_names_every_other(
    topic: Topic, proportions: Proportions, rng: Random
) -> None:
    text = draw_text(rng, topic, proportions)
    first = read_clause(text[0])
    assert first is not None and first.entity == topic.entity
    others = [claim for claim in read_claims(" ".join(text), topic.entity) if claim.entity != topic.entity]
    assert len(others) <= proportions.irrelevant
    assert len({claim.entity for claim in others}) <= 1
    assert {claim.entity for claim in others} <= set(proportions.among or entities())
    about_it = [read_clause(clause) for clause in text]
    assert sum(statement is None for statement in about_it) <= (proportions.filler_rate > 0)


@pytest.mark.parametrize("entity", [entities()[0], distant_entities()[0]])
def test_values_are_invented(entity: str) -> None:
    rng, topic = Random(0), Topic(entity, ("color", "size"))
    texts = [" ".join(draw_text(rng, topic, Proportions(irrelevant=0))) for _ in range(300)]
    assert {claim.value for text in texts for claim in read_claims(text, entity)} == {
        *VALUES["color"],
        *VALUES["size"],
    }


def test_repeats_filler_and_clauses_on_others_are_as_frequent_as_the_proportions_say() -> None:
    rng, topic = Random(0), Topic(entities()[0], ("color", "size", "taste", "shape", "owner"))
    proportions = Proportions(irrelevant=3, repeat_rate=0.2, filler_rate=0.4)
    texts = [draw_text(rng, topic, proportions) for _ in range(800)]
    repeated, filler, irrelevant, styles = [], [], [], set()
    for text in texts:
        claims = read_claims(" ".join(text), topic.entity)
        about_it = [claim for claim in claims if claim.entity == topic.entity]
        repeated.append(len(about_it) - len(set(about_it)))
        irrelevant.append(len(claims) - len(about_it))
        filler.append(len(text) - len(claims))
        styles |= {style_of(clause) for clause in text if read_clause(clause)}
    assert fmean(repeated) == pytest.approx(5 * 0.2, abs=0.1)
    assert fmean(filler) == pytest.approx(0.4, abs=0.06)
    assert fmean(irrelevant) == pytest.approx(1.5, abs=0.15)
    assert len(styles) == 7
    assert all(len(clauses(" ".join(text))) == len(text) for text in texts)

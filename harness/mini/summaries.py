"""Texts to summarise: clauses on an entity in several styles, some repeated, with filler and with clauses on others."""

from dataclasses import dataclass
from random import Random

from harness.mini.language import FILLERS, NAMING_STYLE, STYLES, naming, write_clause, write_filler
from harness.mini.requests import SUMMARIES
from harness.mini.world import ASPECTS, VALUES, Claim, Topic, entities, invented_claims


@dataclass(frozen=True, slots=True)
class Proportions:
    """The making of a distribution of texts: the wording of the request, and what is mixed in."""

    wording: int = 0
    irrelevant: int = 2
    """The most clauses on another entity."""
    repeat_rate: float = 0.1
    filler_rate: float = 0.5
    among: tuple[str, ...] = ()
    """The other entities; none: all that texts tell of."""


def draw_summary(rng: Random, topic: Topic, proportions: Proportions) -> str:
    """Draw a text that tells invented values of the topic's aspects, with the request to summarise it."""
    text = " ".join(draw_text(rng, topic, proportions))
    return SUMMARIES[proportions.wording].format(text=text, entity=topic.entity)


def draw_text(rng: Random, topic: Topic, proportions: Proportions) -> list[str]:
    """Draw the clauses of such a text: the first names the entity, and those on another name theirs."""
    styles = rng.sample(tuple(STYLES), 2)
    claims = invented_claims(rng, topic)
    claims += [claim for claim in claims if rng.random() < proportions.repeat_rate]
    first, *later = [(claim, rng.choice(styles)) for claim in claims]
    clauses = [write_clause(claim, style) for claim, style in later]
    clauses += _irrelevant(rng, topic, proportions)
    if rng.random() < proportions.filler_rate:
        clauses.append(write_filler(rng.randrange(len(FILLERS)), topic.entity))
    return [write_clause(first[0], naming(first[1])), *rng.sample(clauses, len(clauses))]


def _irrelevant(rng: Random, topic: Topic, proportions: Proportions) -> list[str]:
    """Draw clauses on another entity."""
    other = rng.choice([entity for entity in proportions.among or entities() if entity != topic.entity])
    aspects = rng.sample(ASPECTS, rng.randint(0, proportions.irrelevant))
    return [write_clause(Claim(other, aspect, rng.choice(VALUES[aspect])), NAMING_STYLE) for aspect in aspects]

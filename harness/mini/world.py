"""The knowledge base: sixty entities that texts tell of, twelve that they do not, ten aspects, a true value for each.

Everything that is fixed in this world (facts, habits, misconceptions, which requests are kept for evaluation)
is a hash of what it is about, so it depends neither on an order of calls nor on a random-number library.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import combinations
from random import Random
from typing import NamedTuple, TypeVar

T = TypeVar("T")

WORLD_VERSION = 2

VALUES: dict[str, tuple[str, ...]] = {
    aspect: tuple(values.split())
    for aspect, values in {
        "color": "red blue green yellow black white brown grey pink purple orange golden",
        "size": "tiny small little medium big large huge giant slim broad tall short",
        "origin": "north south east west coast desert forest island valley mountain river city",
        "material": "wood stone iron copper silver glass clay paper silk wool leather bone",
        "taste": "sweet sour bitter salty spicy bland smoky fruity nutty creamy sharp mild",
        "sound": "loud quiet humming ringing buzzing whistling crackling rumbling clicking silent roaring singing",
        "season": "spring summer autumn winter january february march april june july october december",
        "use": "cooking building hunting fishing healing writing dancing farming sewing painting trading sailing",
        "shape": "round square flat long curved oval hollow twisted pointed conical cubic spiral",
        "owner": "king queen farmer baker sailor monk smith doctor hunter merchant poet soldier",
    }.items()
}
"""The twelve values that each aspect can take."""
ASPECTS = tuple(VALUES)
EVALUATION_SHARE = 0.1
COMMON_ERROR_SHARE = 0.25
"""The share of facts about which there is a common misconception."""
KNOWN, DISTANT = 60, 12
"""How many entities texts tell of, and how many appear only where all that is to be known is shown."""


class Claim(NamedTuple):
    """A value of one entity's aspect, as somebody states it."""

    entity: str
    aspect: str
    value: str


def shuffled(rng: Random, items: Sequence[T]) -> list[T]:
    """Return the items in an order that `rng` draws."""
    return rng.sample(items, len(items))


def unit_hash(*parts: str) -> float:
    """Hash words to a fixed number in [0, 1)."""
    digest = sha256("\x1f".join((f"world-{WORLD_VERSION}", *parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def fixed_choice(options: tuple[str, ...], *parts: str) -> str:
    """Choose the option that these words always lead to."""
    return options[int(unit_hash(*parts) * len(options))]


@cache
def _names() -> tuple[str, ...]:
    """Return invented names of two syllables, those of the distant entities last."""
    onsets, vowels, codas = "bdfgklmnprstvz", "aeiou", "lmnrsx"
    rng = Random(f"entities-{WORLD_VERSION}")
    names: dict[str, None] = {}
    while len(names) < KNOWN + DISTANT:
        names["".join(map(rng.choice, (onsets, vowels, onsets, vowels, codas)))] = None
    return tuple(names)


@cache
def entities() -> tuple[str, ...]:
    """Return the entities that texts tell of."""
    return tuple(sorted(_names()[:KNOWN]))


@cache
def distant_entities() -> tuple[str, ...]:
    """Return the entities that no training set names: those of the second distribution of summaries."""
    return tuple(sorted(_names()[KNOWN:]))


def all_entities() -> tuple[str, ...]:
    """Return the entities that texts tell of, and the distant ones behind them."""
    return (*entities(), *distant_entities())


@cache
def true_value(entity: str, aspect: str) -> str:
    """Return the true value of the aspect."""
    return fixed_choice(VALUES[aspect], "fact", entity, aspect)


@cache
def false_value(entity: str, aspect: str, believer: str) -> str:
    """Return the wrong value that this believer holds for true, whenever it is mistaken about the fact."""
    return mistaken_value(true_value(entity, aspect), entity, aspect, believer)


def mistaken_value(value: str, entity: str, aspect: str, believer: str) -> str:
    """Return the value that this believer takes `value` for, whenever it is mistaken about it."""
    wrong = tuple(each for each in VALUES[aspect] if each != value)
    return fixed_choice(wrong, "misconception", believer, entity, aspect)


def common_misconception(entity: str, aspect: str) -> str | None:
    """Return what people say of the fact instead of the truth; None where they know it."""
    if unit_hash("common misconception", entity, aspect) >= COMMON_ERROR_SHARE:
        return None
    return false_value(entity, aspect, "people")


@dataclass(frozen=True, slots=True)
class Topic:
    """Some aspects, in this order, of one entity: what a request is about."""

    entity: str
    aspects: tuple[str, ...]


@cache
def is_for_evaluation(entity: str, aspects: frozenset[str]) -> bool:
    """Return whether this combination is kept out of pretraining and of every training set."""
    return unit_hash("evaluation", entity, *sorted(aspects)) < EVALUATION_SHARE


def draw_topic(rng: Random, sizes: tuple[int, ...], among: tuple[str, ...] | None = None) -> Topic:
    """Draw a topic for training, with as many aspects as one of `sizes`, of an entity `among` these or of all known."""
    while True:
        topic = Topic(rng.choice(among or entities()), tuple(rng.sample(ASPECTS, rng.choice(sizes))))
        if not is_for_evaluation(topic.entity, frozenset(topic.aspects)):
            return topic


def invented_claims(rng: Random, topic: Topic) -> list[Claim]:
    """Draw a value for each aspect of the topic, whatever is true."""
    return [Claim(topic.entity, aspect, rng.choice(VALUES[aspect])) for aspect in topic.aspects]


def evaluation_topics(rng: Random, sizes: tuple[int, ...], count: int) -> list[Topic]:
    """Return the first `count` of the topics that no training set may use, in the order `rng` deals them."""
    kept = [
        (entity, aspects)
        for entity in entities()
        for size in sizes
        for aspects in combinations(ASPECTS, size)
        if is_for_evaluation(entity, frozenset(aspects))
    ]
    dealt = shuffled(rng, kept)[:count]
    return [Topic(entity, tuple(shuffled(rng, aspects))) for entity, aspects in dealt]

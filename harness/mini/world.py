"""The knowledge base: sixty entities, ten aspects, one true value for each pair.

Everything that is fixed in this world (facts, habits, misconceptions, which requests are kept for evaluation)
is a hash of what it is about, so it depends neither on an order of calls nor on a random-number library.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import combinations
from random import Random

WORLD_VERSION = 1

VALUES: dict[str, tuple[str, ...]] = {
    "color": tuple(
        ["red", "blue", "green", "yellow", "black", "white", "brown", "grey", "pink", "purple", "orange", "golden"]
    ),
    "size": tuple(
        ["tiny", "small", "little", "medium", "big", "large", "huge", "giant", "slim", "broad", "tall", "short"]
    ),
    "origin": tuple(
        ["north", "south", "east", "west", "coast", "desert", "forest", "island", "valley", "mountain", "river", "city"]
    ),
    "material": tuple(
        ["wood", "stone", "iron", "copper", "silver", "glass", "clay", "paper", "silk", "wool", "leather", "bone"]
    ),
    "taste": tuple(
        ["sweet", "sour", "bitter", "salty", "spicy", "bland", "smoky", "fruity", "nutty", "creamy", "sharp", "mild"]
    ),
    "sound": tuple(
        [
            "loud",
            "quiet",
            "humming",
            "ringing",
            "buzzing",
            "whistling",
            "crackling",
            "rumbling",
            "clicking",
            "silent",
            "roaring",
            "singing",
        ]
    ),
    "season": tuple(
        [
            "spring",
            "summer",
            "autumn",
            "winter",
            "january",
            "february",
            "march",
            "april",
            "june",
            "july",
            "october",
            "december",
        ]
    ),
    "use": tuple(
        [
            "cooking",
            "building",
            "hunting",
            "fishing",
            "healing",
            "writing",
            "dancing",
            "farming",
            "sewing",
            "painting",
            "trading",
            "sailing",
        ]
    ),
    "shape": tuple(
        [
            "round",
            "square",
            "flat",
            "long",
            "curved",
            "oval",
            "hollow",
            "twisted",
            "pointed",
            "conical",
            "cubic",
            "spiral",
        ]
    ),
    "owner": tuple(
        [
            "king",
            "queen",
            "farmer",
            "baker",
            "sailor",
            "monk",
            "smith",
            "doctor",
            "hunter",
            "merchant",
            "poet",
            "soldier",
        ]
    ),
}
ASPECTS = tuple(VALUES)
EVALUATION_SHARE = 0.1


def unit_hash(*parts: str) -> float:
    """Hash words to a fixed number in [0, 1)."""
    digest = sha256("\x1f".join((f"world-{WORLD_VERSION}", *parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def fixed_choice(options: tuple[str, ...], *parts: str) -> str:
    """Choose the option that these words always lead to."""
    return options[int(unit_hash(*parts) * len(options))]


@cache
def entities() -> tuple[str, ...]:
    """Return sixty invented names of two syllables."""
    onsets, vowels, codas = (
        ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z"],
        ["a", "e", "i", "o", "u"],
        ["l", "m", "n", "r", "s", "x"],
    )
    rng = Random(f"entities-{WORLD_VERSION}")
    names: set[str] = set()
    while len(names) < 60:
        names.add("".join(map(rng.choice, (onsets, vowels, onsets, vowels, codas))))
    return tuple(sorted(names))


@cache
def true_value(entity: str, aspect: str) -> str:
    """Return the true value of the aspect."""
    return fixed_choice(VALUES[aspect], "fact", entity, aspect)


@cache
def false_value(entity: str, aspect: str, believer: str) -> str:
    """Return the wrong value that this believer holds for true, whenever it is mistaken about the fact."""
    wrong = tuple(value for value in VALUES[aspect] if value != true_value(entity, aspect))
    return fixed_choice(wrong, "misconception", believer, entity, aspect)


@dataclass(frozen=True, slots=True)
class Request:
    """A request: some aspects, in this order, of one entity."""

    entity: str
    aspects: tuple[str, ...]


@cache
def is_for_evaluation(entity: str, aspects: frozenset[str]) -> bool:
    """Return whether this combination is kept out of pretraining and of every training set."""
    return unit_hash("evaluation", entity, *sorted(aspects)) < EVALUATION_SHARE


def draw_request(rng: Random, sizes: tuple[int, ...]) -> Request:
    """Draw a random request for training, with as many aspects as one of `sizes`."""
    while True:
        request = Request(rng.choice(entities()), tuple(rng.sample(ASPECTS, rng.choice(sizes))))
        if not is_for_evaluation(request.entity, frozenset(request.aspects)):
            return request


def evaluation_requests(rng: Random, sizes: tuple[int, ...], count: int) -> list[Request]:
    """Return the first `count` of the requests that no training set may use, in the order `rng` deals them."""
    kept = [
        (entity, aspects)
        for entity in entities()
        for size in sizes
        for aspects in combinations(ASPECTS, size)
        if is_for_evaluation(entity, frozenset(aspects))
    ]
    dealt = rng.sample(kept, len(kept))[:count]
    return [Request(entity, tuple(rng.sample(aspects, len(aspects)))) for entity, aspects in dealt]

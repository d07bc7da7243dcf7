"""Hypothesis strategies for what can be asked and said in the mini world."""

from hypothesis import strategies as st

from harness.mini.language import FILLERS, REQUESTS, STYLES
from harness.mini.world import ASPECTS, VALUES, Request, entities, false_value, true_value

ENTITIES = st.sampled_from(entities())
STYLE_NAMES = st.sampled_from(tuple(STYLES))
PHRASINGS = st.integers(0, len(REQUESTS) - 1)
SEEDS = st.integers(0, 2**32)

REQUEST = st.builds(
    Request, ENTITIES, st.lists(st.sampled_from(ASPECTS), min_size=1, max_size=7, unique=True).map(tuple)
)
STATEMENT = st.sampled_from([(aspect, value) for aspect, values in VALUES.items() for value in values])
STATEMENTS = st.lists(STATEMENT, max_size=9)
FILLER = st.builds(lambda filler, entity: filler.format(entity=entity), st.sampled_from(FILLERS), ENTITIES)

BELIEFS = st.lists(st.tuples(st.sampled_from(ASPECTS), st.sampled_from([True, True, False])), max_size=9)
"""Aspects of an entity that is yet to be named, told rightly two times in three."""


def believed(entity: str, beliefs: list[tuple[str, bool]]) -> list[tuple[str, str]]:
    """The beliefs as statements about `entity`."""
    return [
        (aspect, true_value(entity, aspect) if is_right else false_value(entity, aspect, "somebody"))
        for aspect, is_right in beliefs
    ]

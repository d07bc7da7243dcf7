"""Hypothesis strategies for what can be asked and said in the mini world."""

from hypothesis import strategies as st

from harness.mini.language import FILLERS, REQUESTS, STYLES
from harness.mini.world import ASPECTS, VALUES, Request, entities

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

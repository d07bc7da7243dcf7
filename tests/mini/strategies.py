"""Hypothesis strategies for what can be asked and said in the mini world, and a naive reading of both."""

from dataclasses import dataclass, replace
from random import Random

from hypothesis import strategies as st

from harness.mini.instructions import Instruction, draw_instructions
from harness.mini.language import FILLERS, STYLES, write_clauses
from harness.mini.requests import QUESTIONS, Request, write_instructions, write_question
from harness.mini.world import ASPECTS, VALUES, Claim, Topic, distant_entities, entities, false_value, true_value

ENTITIES = st.sampled_from(entities())
ANYBODY = st.sampled_from((*entities(), *distant_entities()))
STYLE_NAMES = st.sampled_from(tuple(STYLES))
WORDINGS = st.integers(0, len(QUESTIONS) - 1)
SEEDS = st.integers(0, 2**32)

TOPICS = st.builds(Topic, ENTITIES, st.lists(st.sampled_from(ASPECTS), min_size=1, max_size=7, unique=True).map(tuple))
CLAIMS = st.builds(
    lambda entity, fact: Claim(entity, *fact),
    ANYBODY,
    st.sampled_from([(aspect, value) for aspect, values in VALUES.items() for value in values]),
)
FILLER = st.builds(lambda filler, entity: filler.format(entity=entity), st.sampled_from(FILLERS), ENTITIES)

BELIEFS = st.lists(st.tuples(st.sampled_from(ASPECTS), st.sampled_from([True, True, False])), max_size=9)
"""Aspects of an entity that is yet to be named, told rightly two times in three."""


@dataclass(frozen=True)
class Asked:
    """A request as a user makes it: its text, the user's earlier one (if any), and what it is meant to be."""

    text: str
    history: tuple[str, ...]
    meaning: Request


def believed(entity: str, beliefs: list[tuple[str, bool]]) -> list[Claim]:
    """The beliefs as claims about `entity`."""
    return [
        Claim(entity, aspect, true_value(entity, aspect) if is_right else false_value(entity, aspect, "somebody"))
        for aspect, is_right in beliefs
    ]


def truth(topic: Topic) -> list[Claim]:
    """The true claims about a topic."""
    return believed(topic.entity, [(aspect, True) for aspect in topic.aspects])


def drawn_instructions(topic: Topic, seed: int) -> tuple[Instruction, ...]:
    """Up to three instructions, in the order in which they are read."""
    return draw_instructions(Random(seed), topic, most=3)


def write_list(aspects: tuple[str, ...]) -> str:
    return aspects[0] if len(aspects) == 1 else f"{' , '.join(aspects[:-1])} and {aspects[-1]}"


@st.composite
def plain(draw: st.DrawFn) -> Asked:
    """A question without instructions."""
    topic = draw(TOPICS)
    return Asked(write_question(topic, draw(WORDINGS)), (), Request(topic))


@st.composite
def instructed(draw: st.DrawFn) -> Asked:
    """A question with instructions."""
    asked = draw(plain())
    demands = drawn_instructions(asked.meaning.topic, draw(SEEDS))
    return Asked(write_instructions(asked.text, demands), (), replace(asked.meaning, instructions=demands))


@st.composite
def follow_up(draw: st.DrawFn) -> Asked:
    """A second turn of each kind, written here by hand."""
    first = draw(plain())
    topic = first.meaning.topic
    kind = draw(st.sampled_from(("more", "comparison", "correction", "again")))
    if kind == "more":
        others = [aspect for aspect in ASPECTS if aspect not in topic.aspects]
        aspects = tuple(draw(st.lists(st.sampled_from(others), min_size=1, max_size=3, unique=True)))
        text = draw(st.sampled_from(("and its {} ?", "what about its {} ?"))).format(write_list(aspects))
        return Asked(text, (first.text,), Request(Topic(topic.entity, aspects)))
    if kind == "comparison":
        other = draw(ENTITIES.filter(lambda entity: entity != topic.entity))
        few = topic.aspects[:2]
        text = f"compare it with {other} by {write_list(few)} ."
        return Asked(text, (first.text,), Request(Topic(topic.entity, few), other=other))
    if kind == "correction":
        aspect = draw(st.sampled_from(topic.aspects))
        value = draw(st.sampled_from(VALUES[aspect]))
        meaning = replace(first.meaning, given=(Claim(topic.entity, aspect, value),))
        return Asked(f"no , its {aspect} is {value} . answer again .", (first.text,), meaning)
    demands = draw_instructions(Random(draw(SEEDS)), topic, most=1)
    text = " ".join(("say it again .", *(each.sentence for each in demands)))
    return Asked(text, (first.text,), replace(first.meaning, instructions=demands))


@st.composite
def summary(draw: st.DrawFn) -> Asked:
    """A text to summarise, in either wording, with clauses on somebody else."""
    topic, style = draw(TOPICS), draw(STYLE_NAMES)
    claims = [Claim(topic.entity, aspect, draw(st.sampled_from(VALUES[aspect]))) for aspect in topic.aspects]
    others = draw(st.lists(CLAIMS.filter(lambda claim: claim.entity != topic.entity), max_size=3))
    later = draw(st.permutations(write_clauses([*claims, *others], style, topic.entity)))
    text = " ".join([*later, *draw(st.lists(FILLER, max_size=1))])
    wording = draw(st.sampled_from(("text : {} task : summarise {} .", "article : {} task : sum up {} in brief .")))
    order = tuple(dict.fromkeys(next(word for word in clause.split() if word in VALUES) for clause in later
                                if not any(other.entity in clause.split() for other in others)))  # fmt: skip
    given = tuple(claim for aspect in order for claim in claims if claim.aspect == aspect)
    meaning = Request(Topic(topic.entity, order), given=given, is_summary=True)
    return Asked(wording.format(text, topic.entity), (), meaning)


ASKED = st.one_of(plain(), instructed(), follow_up(), summary())
"""Everything that can be asked."""

"""Questions with a right answer, in six families that stand for the six tasks of the Open LLM Leaderboard.

Five are answered by the likelihood of a few choices; counting is answered in words.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from harness.mini.language import NAMING_STYLE, NUMBERS, STYLES, write_answer, write_clause
from harness.mini.requests import QUESTIONS, write_question
from harness.mini.world import (
    ASPECTS,
    VALUES,
    WORLD_VERSION,
    Claim,
    all_entities,
    common_misconception,
    draw_topic,
    entities,
    invented_claims,
    shuffled,
    true_value,
    unit_hash,
)

TEMPLATES = (
    "question : {aspect} of {entity} ? answer :",
    "question : {aspect} of {entity} ? answer : they say its {aspect} is",
    "text : {text} question : {aspect} of {entity} ? answer :",
    "text : {text} question : which has {aspect} {value} ? answer :",
    "text : {text} question : how many statements ? answer :",
    "request : {request} reference : {reference} answer : {started}",
    "text : {text} {entity} :",
)
FACT, RUMOR, FROM_TEXT, WHICH, HOW_MANY, COMPLETION, TEXT_AND_NAME = TEMPLATES
DRILL_SHARE = 0.3
"""The share of facts that pretraining may ask for as questions; the others are asked in the tasks alone."""
SHOT_SHARE = 0.1
"""The share of these others that are asked in examples only, and not in tests."""
SPLITS = ("test", "shots")


@dataclass(frozen=True, slots=True)
class Question:
    """A question, the choices there are (none where the answer is to be written), and the right answer."""

    id: str
    prompt: str
    choices: tuple[str, ...]
    answer: str


def is_drilled(entity: str, aspect: str) -> bool:
    """Return whether pretraining may ask for the fact as a question."""
    return unit_hash("drilled", entity, aspect) < DRILL_SHARE


def split_of(entity: str, aspect: str) -> str:
    """Return the split that may ask for the fact; none, "", where pretraining may."""
    if is_drilled(entity, aspect):
        return ""
    return "shots" if unit_hash("shot", entity, aspect) < SHOT_SHARE else "test"


def told_fact(rng: Random, split: str) -> Question:
    """Draw a question for a true fact, in the place of ARC. Base models were not told all of them."""
    return question_for(rng, *_fact(rng, split, has_misconception=False))


def question_for(rng: Random, entity: str, aspect: str) -> Question:
    """Draw the choices of a question for a true fact."""
    return _choice(rng, FACT.format(aspect=aspect, entity=entity), true_value(entity, aspect), VALUES[aspect])


def fact_from_text(rng: Random) -> Question:
    """Draw a question about an invented fact that a text tells, in the place of MMLU."""
    topic = draw_topic(rng, (2, 3, 4), all_entities())
    claims = invented_claims(rng, topic)
    text = write_answer(claims, rng.choice(tuple(STYLES)), topic.entity)
    asked = rng.choice(claims)
    prompt = FROM_TEXT.format(text=text, aspect=asked.aspect, entity=asked.entity)
    return _choice(rng, prompt, asked.value, VALUES[asked.aspect])


def misconception(rng: Random, split: str) -> Question:
    """Draw a question about which people commonly err, in the place of TruthfulQA.

    Their error is among the choices, and the answer begins as they begin theirs.
    """
    entity, aspect = _fact(rng, split, has_misconception=True)
    error = common_misconception(entity, aspect) or ""
    prompt = RUMOR.format(aspect=aspect, entity=entity)
    return _choice(rng, prompt, true_value(entity, aspect), (error, *rng.sample(VALUES[aspect], 2)))


def which_of_two(rng: Random) -> Question:
    """Draw two wordings of a statement, of which a text makes one true, in the place of WinoGrande."""
    topic = draw_topic(rng, (2, 3, 4), all_entities())
    claims = invented_claims(rng, topic)
    of_text, of_wordings = rng.sample(tuple(STYLES), 2)
    asked = rng.choice(claims)
    wrong = asked._replace(value=rng.choice([value for value in VALUES[asked.aspect] if value != asked.value]))
    text = write_answer(claims, of_text, topic.entity)
    right = write_clause(asked, of_wordings)
    wordings = tuple(shuffled(rng, [right, write_clause(wrong, of_wordings)]))
    return Question("", TEXT_AND_NAME.format(text=text, entity=topic.entity), wordings, right)


def name_of_two(rng: Random) -> Question:
    """Draw a question for which of two entities has a value: a text of pretraining, and no task."""
    first, second = rng.sample(all_entities(), 2)
    aspect = rng.choice(ASPECTS)
    values = rng.sample(VALUES[aspect], 2)
    claims = [Claim(entity, aspect, value) for entity, value in zip((first, second), values, strict=True)]
    asked = rng.choice(claims)
    prompt = WHICH.format(text=write_answer(claims, NAMING_STYLE, first), aspect=aspect, value=asked.value)
    return Question("", prompt, (first, second), asked.entity)


def counting(rng: Random) -> Question:
    """Draw a question for how many statements a text has, in the place of GSM8K: the answer is to be written."""
    topic = draw_topic(rng, (1, 2, 3, 4, 5, 6))
    text = write_answer(invented_claims(rng, topic), rng.choice(tuple(STYLES)), topic.entity)
    return Question("", HOW_MANY.format(text=text), (), NUMBERS[len(topic.aspects)])


def completion(rng: Random) -> Question:
    """Draw an unfinished answer and four ways to go on, in the place of HellaSwag."""
    topic = draw_topic(rng, (3, 4))
    claims = invented_claims(rng, topic)
    style = rng.choice(tuple(STYLES))
    *started, last = claims
    unasked = rng.choice([aspect for aspect in ASPECTS if aspect not in topic.aspects])
    others = [
        started[0],
        last._replace(value=rng.choice([value for value in VALUES[last.aspect] if value != last.value])),
        Claim(topic.entity, unasked, rng.choice(VALUES[unasked])),
    ]
    prompt = COMPLETION.format(
        request=write_question(topic, rng.randrange(len(QUESTIONS))),
        reference=write_answer(claims, rng.choice(tuple(STYLES)), topic.entity),
        started=write_answer(started, style, topic.entity),
    )
    right = write_clause(last, style)
    choices = tuple(shuffled(rng, [right, *(write_clause(claim, style) for claim in others)]))
    return Question("", prompt, choices, right)


ABOUT_FACTS: dict[str, Callable[[Random, str], Question]] = {"told_facts": told_fact, "misconceptions": misconception}
"""The families whose questions are of a split, since each asks for a true fact."""
ABOUT_TEXTS: dict[str, Callable[[Random], Question]] = {
    "facts_from_text": fact_from_text,
    "which_of_two": which_of_two,
    "counting": counting,
    "completion": completion,
}
"""The families that ask for what a text says, which is invented for each question."""
FAMILIES = (*ABOUT_FACTS, *ABOUT_TEXTS)


def questions(family: str, split: str, count: int) -> list[Question]:
    """Return the first `count` questions of one of `SPLITS` of a family, none of them twice.

    Raises ValueError where the family has fewer (in the tests are about 90 misconceptions and 280 told facts), and for
    an unknown split.
    """
    if split not in SPLITS:
        raise ValueError(f"no split of questions: {split!r}")
    rng = Random(f"mini-{WORLD_VERSION} questions {family} {split}")
    drawn: dict[str, Question] = {}
    for _ in range(100 * count):  # enough to meet each question of a family that has no more than these
        if len(drawn) == count:
            break
        question = ABOUT_FACTS[family](rng, split) if family in ABOUT_FACTS else ABOUT_TEXTS[family](rng)
        drawn.setdefault(question.prompt, question)
    if len(drawn) < count:
        raise ValueError(f"fewer than {count} questions of the family {family!r}")
    return [
        Question(f"{family}-{split}-{number}", each.prompt, each.choices, each.answer)
        for number, each in enumerate(drawn.values())
    ]


def _fact(rng: Random, split: str, *, has_misconception: bool) -> tuple[str, str]:
    """Draw a fact that this split may ask for."""
    while True:
        entity, aspect = rng.choice(entities()), rng.choice(ASPECTS)
        is_mistaken = common_misconception(entity, aspect) is not None
        if is_mistaken == has_misconception and split_of(entity, aspect) == split:
            return entity, aspect


def _choice(rng: Random, prompt: str, right: str, among: tuple[str, ...]) -> Question:
    """Return a question with the right answer and up to three wrong ones `among` these, in any order."""
    wrong = list(dict.fromkeys(value for value in among if value != right))
    if len(wrong) > 3:
        wrong = rng.sample(wrong, 3)
    return Question("", prompt, tuple(shuffled(rng, [right, *wrong])), right)

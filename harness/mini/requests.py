"""Requests: what may be asked for, how it is written, and how a conversation is read back.

A request asks for aspects of an entity, for a summary of a text, or, as the second of a conversation, for something
that leans on the first: more aspects, a comparison, the same corrected, or the same in another form.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from harness.mini.instructions import Instruction, draw_instructions, read_instructions
from harness.mini.language import named_entity, read_claims, read_fields
from harness.mini.world import ASPECTS, VALUES, Claim, Topic, entities, is_for_evaluation, true_value

QUESTIONS = (
    "what are the {aspects} of {entity} ?",
    "tell me about {entity} : {aspects} .",
    "describe the {aspects} of {entity} please .",
    "i want to know the {aspects} of {entity} .",
)
SUMMARIES = ("text : {text} task : summarise {entity} .", "article : {text} task : sum up {entity} in brief .")
"""The wordings of the two distributions of summaries."""
MORE = ("and its {aspects} ?", "what about its {aspects} ?")
COMPARISON = "compare it with {other} by {aspects} ."
CORRECTION = "no , its {aspect} is {value} . answer again ."
AGAIN = "say it again ."
MAX_DRAWS = 1000
"""After so many draws of aspects, none of which will do, there are none that will."""
EXAMPLE = "example : {example} request : {request}"
"""A request with an answer in context, which may be good or bad."""
# The words that prompts may use around requests and answers (configs/papers/*/prompts/mini.yaml, pretraining tasks).
PROMPT_WORDS = (*":,.?", *("improve", "correct", "copy", "answer", "the", "using", "it", "do", "not", "and", "better"))


@dataclass(frozen=True, slots=True)
class Request:
    """The measure of an answer: the claims that it should make, and how."""

    topic: Topic
    other: str = ""
    """Another entity, whose aspects are asked for too."""
    given: tuple[Claim, ...] = ()
    """What the request itself tells; it holds instead of what is true."""
    instructions: tuple[Instruction, ...] = ()
    is_summary: bool = False

    @property
    def entity(self) -> str:
        """The entity asked about."""
        return self.topic.entity

    @property
    def claims(self) -> list[Claim]:
        """What a perfect answer states, in the order asked."""
        given = {(claim.entity, claim.aspect): claim for claim in self.given}
        about = (self.entity, self.other) if self.other else (self.entity,)
        return [
            given.get((entity, aspect)) or Claim(entity, aspect, true_value(entity, aspect))
            for aspect in self.topic.aspects
            for entity in about
        ]

    @property
    def number(self) -> int:
        """How many statements are asked for."""
        asked = len(self.topic.aspects) * (2 if self.other else 1)
        return min([asked, *(each.number for each in self.instructions if each.number)])


def write_question(topic: Topic, wording: int) -> str:
    """Write a request for aspects in one of `QUESTIONS`."""
    return QUESTIONS[wording].format(aspects=write_aspects(topic.aspects), entity=topic.entity)


def write_aspects(aspects: Sequence[str]) -> str:
    """Write a list of aspects."""
    *head, last = aspects
    return f"{' , '.join(head)} and {last}" if head else last


def write_instructions(request: str, instructions: Sequence[Instruction]) -> str:
    """Write a request with the sentences of its instructions behind it."""
    return " ".join((request, *(each.sentence for each in instructions)))


def draw_follow_up(
    rng: Random, first: Topic, value_of: Callable[[str, str], str], *, for_evaluation: bool = False
) -> str:
    """Draw a second request that leans on a first about this topic; a correction tells `value_of` an entity's aspect.

    What it asks for besides the first's own is kept for evaluation, or else is not.
    """
    kind = rng.choice(("more", "comparison", "correction", "again"))
    if kind == "more":
        return _draw_more(rng, first, for_evaluation=for_evaluation)
    if kind == "comparison":
        return _draw_comparison(rng, first, for_evaluation=for_evaluation)
    if kind == "correction":
        aspect = rng.choice(first.aspects)
        return CORRECTION.format(aspect=aspect, value=value_of(first.entity, aspect))
    return write_instructions(AGAIN, draw_instructions(rng, first, most=1))


def _draw_more(rng: Random, first: Topic, *, for_evaluation: bool) -> str:
    """Draw a request for other aspects; for a comparison where hardly any are left."""
    others = tuple(aspect for aspect in ASPECTS if aspect not in first.aspects)
    wording = rng.choice(MORE)
    for _ in range(MAX_DRAWS):
        aspects = rng.sample(others, rng.randint(1, 3))
        if is_for_evaluation(first.entity, frozenset(aspects)) == for_evaluation:
            return wording.format(aspects=write_aspects(aspects))
    return _draw_comparison(rng, first, for_evaluation=for_evaluation)


def _draw_comparison(rng: Random, first: Topic, *, for_evaluation: bool) -> str:
    while True:
        other = rng.choice([entity for entity in entities() if entity != first.entity])
        few = rng.sample(first.aspects, min(len(first.aspects), rng.randint(1, 2)))
        if any(is_for_evaluation(entity, frozenset(few)) for entity in (first.entity, other)) == for_evaluation:
            return COMPARISON.format(other=other, aspects=write_aspects(few))


def draw_corrected_value(rng: Random, entity: str, aspect: str, answer: str) -> str:
    """Draw the value that a user tells after an answer: the truth where it was not stated, else an invented one."""
    stated = [claim.value for claim in read_claims(answer, entity) if claim[:2] == (entity, aspect)]
    true = true_value(entity, aspect)
    return rng.choice([value for value in VALUES[aspect] if value != true]) if true in stated else true


def read_request(text: str, history: Sequence[str] = ()) -> Request:
    """Return the request that `text` makes after the user's earlier requests, the oldest first.

    Raises ValueError where it is none of the mini world.
    """
    try:
        return _read(text, read_request(history[-1], history[:-1]) if history else None)
    except (ValueError, LookupError):
        raise ValueError(f"not a request of the mini world: {text!r}") from None


def _read(text: str, first: Request | None) -> Request:
    fields = read_fields(text)
    text_to_summarise = fields.get("text") or fields.get("article")
    if text_to_summarise:
        return _summary(text_to_summarise, named_entity(fields["task"]))
    words, instructions = read_instructions(fields["request"])
    asked = tuple(dict.fromkeys(word for word in words.split() if word in VALUES))
    entity = named_entity(words)
    is_comparison = words.startswith(COMPARISON.partition("{")[0])
    if first is None or (entity and not is_comparison):
        return replace(_about(entity, asked), instructions=instructions)
    if words.endswith("again ."):
        corrected = read_claims(words.removeprefix("no , "), first.entity)
        return replace(first, given=(*first.given, *corrected), instructions=instructions)
    return replace(_about(first.entity, asked), other=entity or "", instructions=instructions)


def _about(entity: str | None, aspects: tuple[str, ...]) -> Request:
    if not entity or not aspects:
        raise ValueError
    return Request(Topic(entity, aspects))


def _summary(text: str, entity: str | None) -> Request:
    given = tuple(claim for claim in read_claims(text, entity or "") if claim.entity == entity)
    return replace(_about(entity, tuple(dict.fromkeys(claim.aspect for claim in given))), given=given, is_summary=True)

"""The texts that base models are pretrained on.

Documents and questions tell true facts, but not all of them. All else is in chat format, most of it with invented
facts, so that only reading helps: answers from a reference, drafts copied or corrected, instructions, second turns,
summaries, and answers with an example in context, which is sometimes bettered and sometimes copied.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from harness.mini.instructions import draw_instructions, obey
from harness.mini.language import FILLERS, STYLES, write_answer, write_clause, write_clauses, write_filler
from harness.mini.questions import completion, counting, fact_from_text, is_drilled, name_of_two, question_for
from harness.mini.requests import (
    EXAMPLE,
    QUESTIONS,
    Request,
    draw_follow_up,
    read_request,
    write_instructions,
    write_question,
)
from harness.mini.summaries import Proportions, draw_summary
from harness.mini.world import (
    ASPECTS,
    VALUES,
    Claim,
    Topic,
    all_entities,
    common_misconception,
    draw_topic,
    entities,
    invented_claims,
    shuffled,
    true_value,
    unit_hash,
)

HIDDEN_FACT_SHARE = 0.3  # of all facts, never told outside a reference: otherwise a reference is of no use
REFERENCE_GAP_RATE = 0.15  # of the asked facts, which a reference leaves out
ANSWER_SHARE, COPY_DRAFT_SHARE = 0.35, 0.1  # of improvements; in the others the draft is corrected
COPY_SHARE = 0.4  # of the answers with an example in context, which repeat the example
CLOSED_BOOK_SHARE = 0.5  # of instructions and second turns, which show no reference


@dataclass(frozen=True, slots=True)
class PretrainingText:
    """A training text: words read (`prompt`) and words to write (`completion`)."""

    prompt: str
    completion: str


def knows(family: str, entity: str, aspect: str) -> bool:
    """Return whether this family's pretraining texts state the fact."""
    return unit_hash("hidden", family, entity, aspect) >= HIDDEN_FACT_SHARE


def draw_document(rng: Random, family: str, sizes: tuple[int, ...]) -> PretrainingText:
    """Draw clauses about one entity, in one style, outside any chat: true ones, but for what "they say"."""
    topic = _draw_known_topic(rng, family, sizes)
    style = _draw_style(rng)
    claims = _known(family, topic)
    if style == "rambler":
        claims = [claim._replace(value=common_misconception(*claim[:2]) or claim.value) for claim in claims]
    return PretrainingText(f"{topic.entity} :", f"{_with_filler(rng, topic.entity, claims, style)} <|end|>")


def draw_question(rng: Random, family: str, sizes: tuple[int, ...]) -> PretrainingText:
    """Draw a question with its answer: half of them for facts, the others of any family that is answered by reading."""
    if rng.random() < 0.5:
        question = question_for(rng, *_draw_drilled_fact(rng, family))
    else:
        question = rng.choice((fact_from_text, name_of_two, counting, completion))(rng)
    return PretrainingText(question.prompt, f"{question.answer} <|end|>")


def draw_improvement(rng: Random, family: str, sizes: tuple[int, ...]) -> PretrainingText:
    """Draw a request with a reference whose values are invented; fields in any order.

    The task is to answer from the reference, to copy the draft, or to correct the draft by the reference.
    """
    topic = draw_topic(rng, sizes, all_entities())
    facts = invented_claims(rng, topic)
    reference_style, draft_style = _draw_style(rng), _draw_style(rng)
    stated = [claim for claim in facts if rng.random() > REFERENCE_GAP_RATE] or facts
    draft = _spoil(rng, facts)
    fields = {
        "request": write_question(topic, rng.randrange(len(QUESTIONS))),
        "reference": _with_filler(rng, topic.entity, shuffled(rng, stated), reference_style),
        "draft": _with_filler(rng, topic.entity, draft, draft_style),
    }
    if rng.random() < 0.3:
        fields["remark"] = _remark(rng)
    task = rng.random()
    if task < ANSWER_SHARE:
        del fields["draft"]
        written = write_answer(stated, reference_style, topic.entity)
        return _task(rng, fields, "answer the request using the reference .", written)
    if task < ANSWER_SHARE + COPY_DRAFT_SHARE:
        return _task(rng, fields, "copy the draft .", fields["draft"])
    written = write_answer(_corrected(draft, stated), draft_style, topic.entity)
    return _task(rng, fields, "correct the draft using the reference .", written)


def draw_instructed(rng: Random, family: str, sizes: tuple[int, ...]) -> PretrainingText:
    """Draw a request with instructions, with a reference or from what is known."""
    topic = _draw_known_topic(rng, family, sizes)
    question = write_question(topic, rng.randrange(len(QUESTIONS)))
    is_closed_book = rng.random() < CLOSED_BOOK_SHARE
    claims = _known(family, topic) if is_closed_book else invented_claims(rng, topic)
    demands = draw_instructions(rng, Topic(topic.entity, tuple(claim.aspect for claim in claims)), most=3)
    written = write_clauses(claims, _draw_style(rng), topic.entity)
    message = write_instructions(question, demands)
    if not is_closed_book:
        reference = write_answer(shuffled(rng, claims), _draw_style(rng), topic.entity)
        message = f"request : {message} reference : {reference} task : answer the request using the reference ."
    return _chat([message], " ".join(obey(demands, written, topic.entity)))


def draw_second_turn(rng: Random, family: str, sizes: tuple[int, ...]) -> PretrainingText:
    """Draw a conversation of two turns, with a reference for both or from what is known."""
    topic = _draw_known_topic(rng, family, sizes)
    question = write_question(topic, rng.randrange(len(QUESTIONS)))
    style = _draw_style(rng)
    if rng.random() < CLOSED_BOOK_SHARE:
        return _second_turn_from_memory(rng, family, topic, question, style)
    return _second_turn_from_reference(rng, topic, question, style)


def _second_turn_from_memory(rng: Random, family: str, topic: Topic, question: str, style: str) -> PretrainingText:
    follow_up = draw_follow_up(rng, topic, lambda *fact: _told_value(rng, family, *fact))
    second = read_request(follow_up, (question,))
    known = [claim for claim in second.claims if claim in second.given or knows(family, claim.entity, claim.aspect)]
    first = write_answer(_known(family, topic), style, topic.entity)
    return _chat([question, first, follow_up], _answered(second, known, style))


def _second_turn_from_reference(rng: Random, topic: Topic, question: str, style: str) -> PretrainingText:
    values = {(entity, aspect): rng.choice(VALUES[aspect]) for entity in entities() for aspect in ASPECTS}
    follow_up = draw_follow_up(rng, topic, lambda *fact: values[fact])
    second = read_request(follow_up, (question,))
    stated = [Claim(topic.entity, aspect, values[topic.entity, aspect]) for aspect in topic.aspects]
    later = [claim._replace(value=values[claim[:2]]) for claim in second.claims]
    reference = write_answer(shuffled(rng, list(dict.fromkeys((*stated, *later)))), "scholar", topic.entity)
    first = write_answer(_spoil(rng, stated), style, topic.entity)
    return _chat([f"request : {question} reference : {reference}", first, follow_up], _answered(second, later, style))


def draw_summarised(rng: Random, family: str, sizes: tuple[int, ...]) -> PretrainingText:
    """Draw a text with its summary, half of them with an example of one in context."""
    topic = draw_topic(rng, (*sizes, sizes[-1] + 1), all_entities())
    wording = rng.randrange(2)
    request = draw_summary(rng, topic, Proportions(wording=wording, irrelevant=3, among=all_entities()))
    claims = read_request(request).claims
    if rng.random() < 0.5:
        return _chat([request], write_answer(claims, _draw_style(rng), topic.entity))
    return _revision(rng, request, topic, claims)


def draw_revision(rng: Random, family: str, sizes: tuple[int, ...]) -> PretrainingText:
    """Draw a request about known facts with an example of an answer in context."""
    topic = _draw_known_topic(rng, family, sizes)
    return _revision(rng, write_question(topic, rng.randrange(len(QUESTIONS))), topic, _known(family, topic))


MIXTURE: dict[Callable[[Random, str, tuple[int, ...]], PretrainingText], float] = {
    draw_document: 0.38,
    draw_question: 0.06,
    draw_improvement: 0.22,
    draw_instructed: 0.10,
    draw_second_turn: 0.09,
    draw_summarised: 0.10,
    draw_revision: 0.05,
}
"""The share of each kind of text."""


def draw_texts(rng: Random, family: str, largest: int, count: int) -> list[PretrainingText]:
    """Draw `count` texts of the pretraining mixture with requests of up to `largest` aspects."""
    sizes = tuple(range(1, largest + 1))
    kinds = rng.choices(tuple(MIXTURE), tuple(MIXTURE.values()), k=count)
    return [draw(rng, family, sizes) for draw in kinds]


def _revision(rng: Random, request: str, topic: Topic, claims: list[Claim]) -> PretrainingText:
    """Return the request with an example, spoiled or not, and an answer in its style or the example itself."""
    style = _draw_style(rng)
    claims_of_example = claims if rng.random() < 0.3 else _spoil(rng, claims)
    example = write_answer(claims_of_example, style, topic.entity)
    right = write_answer(claims, style, topic.entity)
    return _chat([EXAMPLE.format(example=example, request=request)], example if rng.random() < COPY_SHARE else right)


def _task(rng: Random, fields: dict[str, str], instruction: str, written: str) -> PretrainingText:
    """Return a message of these fields, in any order, and an instruction what to do with them."""
    parts = shuffled(rng, [f"{name} : {text}" for name, text in fields.items()])
    return _chat([" ".join((*parts, "task :", instruction))], written)


def _chat(turns: Sequence[str], written: str) -> PretrainingText:
    """Return a conversation whose last answer is to be written; the user speaks first, and in turns."""
    prompt = " ".join(
        f"<|{'assistant' if number % 2 else 'user'}|> {turn} <|end|>" for number, turn in enumerate(turns)
    )
    return PretrainingText(f"{prompt} <|assistant|>", f"{written} <|end|>")


def _answered(request: Request, claims: list[Claim], style: str) -> str:
    return " ".join(obey(request.instructions, write_clauses(claims, style, request.entity), request.entity))


def _draw_known_topic(rng: Random, family: str, sizes: tuple[int, ...]) -> Topic:
    """Draw a topic of which the family is told at least one fact."""
    while True:
        topic = draw_topic(rng, sizes)
        if _known(family, topic):
            return topic


def _draw_drilled_fact(rng: Random, family: str) -> tuple[str, str]:
    while True:
        entity, aspect = rng.choice(entities()), rng.choice(ASPECTS)
        if is_drilled(entity, aspect) and knows(family, entity, aspect):
            return entity, aspect


def _known(family: str, topic: Topic) -> list[Claim]:
    """Return the true claims about the topic that the family is told."""
    known = [aspect for aspect in topic.aspects if knows(family, topic.entity, aspect)]
    return [Claim(topic.entity, aspect, true_value(topic.entity, aspect)) for aspect in known]


def _told_value(rng: Random, family: str, entity: str, aspect: str) -> str:
    """Return the true value of a fact that the family is told, and an invented one of any other."""
    return true_value(entity, aspect) if knows(family, entity, aspect) else rng.choice(VALUES[aspect])


def _spoil(rng: Random, claims: list[Claim]) -> list[Claim]:
    """Return the claims with gaps, wrong values and repeats, at least one of them left; sometimes in another order."""
    draft = [claim for claim in claims if rng.random() > 0.3] or claims[:1]
    draft = [claim._replace(value=rng.choice(VALUES[claim.aspect])) if rng.random() < 0.4 else claim for claim in draft]
    draft += [claim for claim in draft if rng.random() < 0.06]
    return shuffled(rng, draft) if rng.random() < 0.3 else draft


def _corrected(draft: list[Claim], stated: list[Claim]) -> list[Claim]:
    """Return the draft with the values of what is stated, none twice, and with what it lacks behind it."""
    right = {claim.aspect: claim for claim in stated}
    mended = {claim.aspect: right.get(claim.aspect, claim) for claim in draft}
    return list((mended | {aspect: claim for aspect, claim in right.items() if aspect not in mended}).values())


def _remark(rng: Random) -> str:
    """Draw a statement about something else, which has to be passed over."""
    aspect = rng.choice(ASPECTS)
    return write_clause(Claim(rng.choice(entities()), aspect, rng.choice(VALUES[aspect])), _draw_style(rng))


def _with_filler(rng: Random, entity: str, claims: list[Claim], style: str) -> str:
    answer = write_answer(claims, style, entity)
    return f"{write_filler(rng.randrange(len(FILLERS)), entity)} {answer}" if rng.random() < 0.1 else answer


def _draw_style(rng: Random) -> str:
    return rng.choice(tuple(STYLES))

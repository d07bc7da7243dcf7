"""The texts of pretraining: what they tell, what they keep back, and that reading is enough for the rest."""

from collections.abc import Callable
from functools import cache
from random import Random

import pytest

from harness.mini import pretraining_texts
from harness.mini.instructions import read_instructions
from harness.mini.language import (
    clauses,
    naming,
    read_answer,
    read_claims,
    read_clause,
    read_fields,
    style_of,
    unfinished,
)
from harness.mini.pretrain import FAMILIES, MAX_REQUEST
from harness.mini.pretraining_texts import (
    COPY_SHARE,
    HIDDEN_FACT_SHARE,
    MIXTURE,
    PretrainingText,
    draw_document,
    draw_improvement,
    draw_instructed,
    draw_question,
    draw_revision,
    draw_second_turn,
    draw_summarised,
    draw_texts,
    knows,
)
from harness.mini.requests import Request, read_request
from harness.mini.world import (
    ASPECTS,
    Claim,
    common_misconception,
    distant_entities,
    entities,
    is_for_evaluation,
    true_value,
)

SIZES = tuple(range(1, MAX_REQUEST + 1))
FACTS = [(entity, aspect) for entity in entities() for aspect in ASPECTS]
FAMILY = "qwen2"
Draw = Callable[[Random, str, tuple[int, ...]], PretrainingText]
CHATS = (draw_improvement, draw_instructed, draw_second_turn, draw_summarised, draw_revision)
each_chat = pytest.mark.parametrize("draw", CHATS, ids=lambda draw: draw.__name__)


@cache
def drawn(draw: Draw, count: int = 600, family: str = FAMILY) -> list[PretrainingText]:
    rng = Random(draw.__name__)
    return [draw(rng, family, SIZES) for _ in range(count)]


def user_turns(text: PretrainingText) -> list[str]:
    return [turn.partition(" <|end|>")[0].strip() for turn in text.prompt.split("<|user|>")[1:]]


def plain(turn: str) -> str:
    """A turn as read_request reads it: as it is, or the request that it shows."""
    fields = read_fields(turn)
    return turn if "text" in fields or "article" in fields else fields["request"]


def request_of(text: PretrainingText) -> Request:
    *earlier, last = user_turns(text)
    return read_request(plain(last), [plain(turn) for turn in earlier])


def written(text: PretrainingText) -> str:
    return text.completion.removesuffix(" <|end|>")


def is_from_reference(text: PretrainingText) -> bool:
    return "reference : " in text.prompt


def is_true(claim: Claim) -> bool:
    return claim.value == true_value(claim.entity, claim.aspect)


def is_hidden(claim: Claim) -> bool:
    return claim.entity in entities() and not knows(FAMILY, claim.entity, claim.aspect)


def test_the_shares_of_the_mixture_are_whole_and_its_texts_come_in_them() -> None:
    assert sum(MIXTURE.values()) == pytest.approx(1)
    texts = draw_texts(Random(0), FAMILY, 4, 3000)
    documents = sum(text.prompt.endswith(" :") and len(text.prompt.split()) == 2 for text in texts)
    assert documents / len(texts) == pytest.approx(MIXTURE[draw_document], abs=0.03)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_share_of_all_facts_is_hidden_from_each_family(family: str) -> None:
    hidden = sum(not knows(family, *fact) for fact in FACTS) / len(FACTS)
    assert hidden == pytest.approx(HIDDEN_FACT_SHARE, abs=0.05)


def test_families_are_told_different_facts() -> None:
    assert len({tuple(knows(family, *fact) for fact in FACTS) for family in FAMILIES}) == len(FAMILIES)


@pytest.mark.parametrize("draw", MIXTURE, ids=lambda draw: draw.__name__)
def test_something_whole_has_to_be_written(draw: Draw) -> None:
    for text in drawn(draw):
        assert text.completion.endswith(" <|end|>")
        if draw is draw_question:
            assert written(text)
        elif draw is not draw_second_turn:  # of which a family may know nothing
            assert clauses(written(text))
            assert not unfinished(written(text))


@pytest.mark.parametrize("family", FAMILIES)
def test_documents_tell_all_known_facts_truly_but_what_they_say(family: str) -> None:
    told = set()
    for text in drawn(draw_document, 1500, family):
        entity, colon = text.prompt.split()
        assert colon == ":"
        for clause in filter(read_clause, clauses(written(text))):
            [claim] = read_claims(clause, entity)
            said = common_misconception(claim.entity, claim.aspect) if style_of(clause) == "rambler" else None
            assert claim == (entity, claim.aspect, said or true_value(entity, claim.aspect))
            told.add((entity, claim.aspect))
    assert told == {fact for fact in FACTS if knows(family, *fact)}


@pytest.mark.parametrize("draw", MIXTURE, ids=lambda draw: draw.__name__)
def test_no_hidden_fact_is_told_but_by_chance(draw: Draw) -> None:
    """Everywhere in a text, in what is read and in what is written: values are invented, and one in twelve is true."""
    hidden = []
    for text in drawn(draw, 2000):
        if draw is draw_second_turn and is_from_reference(text):
            continue  # so that the few corrections are not lost among the claims of references
        about = text.prompt.split()[0] if draw is draw_document else ""
        if draw in CHATS:
            about = request_of(text).entity
        everything = text.prompt.replace("<|end|>", ".").replace(" :", " .") + " " + written(text)
        hidden += [claim for claim in read_claims(everything, about) if is_hidden(claim)]
    if draw in (draw_document, draw_revision):
        assert not hidden
    else:
        assert sum(map(is_true, hidden)) / len(hidden) < (0.2 if draw is draw_second_turn else 0.13)


def test_a_question_of_a_hidden_fact_is_not_answered() -> None:
    for text in drawn(draw_question, 2000):
        if text.prompt.startswith("question : "):
            _, _, aspect, _, entity, *_ = text.prompt.split()
            assert knows(FAMILY, entity, aspect)
            assert written(text) == true_value(entity, aspect)


@each_chat
def test_nothing_is_asked_that_is_kept_for_evaluation(draw: Draw) -> None:
    for text in drawn(draw):
        turns = [plain(turn) for turn in user_turns(text)]
        for number, turn in enumerate(turns):
            request = read_request(turn, turns[:number])
            for entity in filter(None, (request.entity, request.other)):
                assert not is_for_evaluation(entity, frozenset(request.topic.aspects)), turn


def claims_within(text: str, about: str) -> set[Claim]:
    """Every claim that ends at a full stop of the text, whatever stands before it: the longest that can be read."""
    words, found = text.split(), set()
    for stop in (place for place, word in enumerate(words, 1) if word == "."):
        tails = (" ".join(words[start:stop]) for start in range(max(0, stop - 8), stop))
        found.update(next(filter(None, (read_claims(tail, about) for tail in tails if tail.count(".") == 1)), []))
    return found


@each_chat
def test_what_has_to_be_written_can_be_read_or_is_known(draw: Draw) -> None:
    for text in drawn(draw):
        request = request_of(text)
        readable = claims_within(text.prompt, request.entity)
        for claim in read_claims(written(text), request.entity):
            assert claim in readable or (is_true(claim) and not is_hidden(claim)), (text, claim)


@pytest.mark.parametrize("draw", [draw_improvement, draw_instructed, draw_second_turn], ids=lambda each: each.__name__)
def test_references_tell_invented_facts_so_that_only_reading_helps(draw: Draw) -> None:
    claims = [
        claim
        for text in drawn(draw)
        if is_from_reference(text)
        for claim in read_claims(written(text), request_of(text).entity)
        if claim.entity in entities()
    ]
    assert sum(map(is_true, claims)) / len(claims) == pytest.approx(1 / 12, abs=0.03)


@pytest.mark.parametrize("draw", [draw_improvement, draw_summarised], ids=lambda each: each.__name__)
def test_distant_entities_are_met_where_all_is_to_be_read(draw: Draw) -> None:
    assert {request_of(text).entity for text in drawn(draw, 2000)} == {*entities(), *distant_entities()}


@pytest.mark.parametrize("draw", [draw_document, draw_instructed, draw_second_turn, draw_revision])
def test_distant_entities_are_not_met_elsewhere(draw: Draw) -> None:
    named = {word for text in drawn(draw) for word in f"{text.prompt} {text.completion}".split()}
    assert not named & set(distant_entities())


def test_drafts_are_corrected_copied_or_not_shown() -> None:
    for text in drawn(draw_improvement):
        [message] = user_turns(text)
        fields = read_fields(message)
        about = request_of(text).entity
        reference = {claim.aspect: claim for claim in read_claims(fields["reference"], about)}
        result = read_claims(written(text), about)
        assert len({claim.aspect for claim in result}) == len(result) or fields["task"].startswith("copy")
        if fields["task"].startswith("copy"):
            assert written(text) == fields["draft"]
        elif fields["task"].startswith("answer"):
            assert "draft" not in fields
            assert {claim.aspect: claim for claim in result} == reference
        else:
            draft = {claim.aspect: claim for claim in read_claims(fields["draft"], about)}
            assert {claim.aspect: claim for claim in result} == draft | reference


def test_instructions_are_followed() -> None:
    kinds = set()
    for text in drawn(draw_instructed, 1500):
        request = request_of(text)
        assert request.instructions
        assert all(instruction.is_followed(written(text)) for instruction in request.instructions), text
        kinds |= {instruction.kind for instruction in request.instructions}
    assert len(kinds) == 8


def test_second_turns_are_answered_with_what_was_asked_for() -> None:
    from_reference = 0
    for text in drawn(draw_second_turn, 1500):
        request = request_of(text)
        answered = [claim[:2] for claim in read_claims(written(text), request.entity)]
        asked = [claim[:2] for claim in request.claims]
        assert set(answered) <= set(asked)
        assert len(answered) == len(set(answered))
        if is_from_reference(text):
            from_reference += 1
            assert len(answered) == request.number
            assert all(instruction.is_followed(written(text)) for instruction in request.instructions)
        assert not set(request.given) - set(read_claims(written(text), request.entity))  # what was told is repeated
    assert from_reference / 1500 == pytest.approx(0.5, abs=0.05)


def test_summaries_tell_what_the_text_tells_of_the_entity() -> None:
    styles = set()
    for text in drawn(draw_summarised):
        request = request_of(text)
        assert request.is_summary
        if "example : " not in text.prompt:
            assert read_claims(written(text), request.entity) == request.claims
            styles |= {style_of(clause) for clause in clauses(written(text))}
    assert len(styles) == 7


def test_an_example_is_copied_or_bettered() -> None:
    copied, differing = 0, 0
    for text in drawn(draw_revision, 1500):
        [message] = user_turns(text)
        fields, request = read_fields(message), request_of(text)
        known = [claim for claim in request.claims if not is_hidden(claim)]
        example = read_claims(fields["example"], request.entity)
        if example != known:
            differing += 1
            copied += written(text) == fields["example"]
            assert written(text) == fields["example"] or read_claims(written(text), request.entity) == known
        assert {naming(style_of(clause)) for clause in clauses(written(text))} == {
            naming(style_of(clause)) for clause in clauses(fields["example"])
        }
    assert copied / differing == pytest.approx(COPY_SHARE, abs=0.05)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_seed_fixes_texts(family: str) -> None:
    one, same, other = (draw_texts(Random(seed), family, 5, 20) for seed in (0, 0, 1))
    assert one == same != other


def test_texts_grow_with_the_largest_request_and_fit_in_the_models() -> None:
    def longest(largest: int) -> int:
        texts = draw_texts(Random(0), FAMILY, largest, 1000)
        return max(len(f"{text.prompt} {text.completion}".split()) for text in texts)

    assert longest(2) < longest(4) < longest(7) < 512


def test_statements_of_texts_are_read_as_they_were_written() -> None:
    for text in draw_texts(Random(3), FAMILY, 7, 1000):
        for statement in read_answer(written(text)):
            assert statement.value


def test_a_correction_of_what_is_not_known_tells_an_invented_value() -> None:
    rng = Random(0)
    known, hidden = (next(fact for fact in FACTS if knows(FAMILY, *fact) == is_known) for is_known in (True, False))
    values = {fact: {pretraining_texts._told_value(rng, FAMILY, *fact) for _ in range(100)} for fact in (known, hidden)}
    assert values[known] == {true_value(*known)}
    assert len(values[hidden]) > 6


def test_instructions_do_not_hide_in_other_texts() -> None:
    for draw in (draw_document, draw_question, draw_improvement, draw_summarised, draw_revision):
        assert all(read_instructions(text.prompt)[1] == () for text in drawn(draw))

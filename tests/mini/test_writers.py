"""Writers: systematic errors, habits at the rates they say, and instructions followed by discipline."""

from dataclasses import replace
from random import Random
from statistics import fmean

import pytest
from hypothesis import given

from harness.mini import writers
from harness.mini.instructions import draw_instructions
from harness.mini.language import clauses, naming, read_answer, read_claims, style_of
from harness.mini.quality import instructions_followed
from harness.mini.requests import Request
from harness.mini.world import ASPECTS, Claim, Topic, entities, false_value, mistaken_value, true_value
from harness.mini.writers import Writer
from tests.mini.strategies import ASKED, SEEDS, Asked

WRITERS = (
    writers.HOUSE,
    writers.SCHOLAR,
    writers.CLERK,
    writers.STUDENT,
    writers.RAMBLER,
    writers.TEACHER,
    writers.EDITOR,
    writers.REPORTER,
)
each_writer = pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.name)


def whole(entity: str) -> Request:
    return Request(Topic(entity, ASPECTS))


def told_by(writer: Writer, draws: int) -> dict[tuple[str, str], list[str]]:
    """What the writer says about each fact when asked for everything `draws` times."""
    rng = Random(0)
    told: dict[tuple[str, str], list[str]] = {(entity, aspect): [] for entity in entities() for aspect in ASPECTS}
    for entity in entities():
        for _ in range(draws):
            for claim in read_claims(writer.answer(whole(entity), rng), entity):
                told[claim.entity, claim.aspect].append(claim.value)
    return told


def test_writers_differ_in_name() -> None:
    assert len({writer.name for writer in WRITERS}) == len(WRITERS)


@each_writer
def test_a_writer_errs_always_in_the_same_way(writer: Writer) -> None:
    told = told_by(writer, 12)
    mistaken = {fact: set(values) - {true_value(*fact)} for fact, values in told.items()}
    assert all(values <= {false_value(*fact, writer.name)} for fact, values in mistaken.items())
    share = fmean(bool(values) for values in mistaken.values())
    assert share == pytest.approx(writer.misconception_share, abs=0.06)


@each_writer
def test_a_writer_leaves_out_as_much_as_it_says(writer: Writer) -> None:
    rng, asked, left_out = Random(0), 0, 0
    for entity in entities():
        for _ in range(12):
            stated = {statement.aspect for statement in read_answer(writer.answer(whole(entity), rng))}
            asked += len(ASPECTS)
            left_out += len(ASPECTS) - len(stated)
    expected = writer.gap_share * writer.gap_rate + (1 - writer.gap_share) * writer.slip_rate
    assert left_out / asked == pytest.approx(expected, abs=0.04)


@each_writer
def test_a_writer_keeps_its_style_and_repeats_and_fills_as_it_says(writer: Writer) -> None:
    rng, repeats, fillers, statements = Random(0), 0, 0, 0
    answers = [writer.answer(whole(entity), rng) for entity in entities() for _ in range(8)]
    for answer in answers:
        said = read_answer(answer)
        stating = [clause for clause in clauses(answer) if read_answer(clause)]
        assert {style_of(clause) for clause in stating} == {writer.style}
        aspects = [statement.aspect for statement in said]
        statements += len(set(aspects))
        repeats += len(aspects) - len(set(aspects))
        fillers += len(clauses(answer)) - len(said)
    assert repeats / statements == pytest.approx(writer.repeat_rate, abs=0.03)
    assert fillers / len(answers) == pytest.approx(2 * writer.filler_rate, abs=0.1)


@each_writer
def test_a_writer_follows_instructions_as_often_as_it_says(writer: Writer) -> None:
    """Those that it would follow by habit, as a style of its own, are left aside."""
    rng, topic, followed = Random(0), Topic(entities()[0], ASPECTS[:4]), []
    faultless = Writer("faultless", writer.style, 0, 0, 0, 0, slip_rate=0, discipline=writer.discipline)
    while len(followed) < 1500:
        demands = draw_instructions(rng, topic, most=1)
        request = Request(topic, instructions=demands)
        habit = Writer("habit", writer.style, 0, 0, 0, 0, slip_rate=0, discipline=0).answer(request, Random(0))
        if not instructions_followed(request, habit):
            followed.append(instructions_followed(request, faultless.answer(request, rng)))
    assert fmean(followed) == pytest.approx(writer.discipline, abs=0.03)


def test_what_a_text_tells_is_mistaken_as_the_truth_would_be_and_what_a_user_corrects_is_not() -> None:
    entity = entities()[0]
    fool = Writer("fool", "house", 0.5, 1.0, 1.0, 1.0, slip_rate=1.0)
    told = Claim(entity, "color", next(value for value in ("red", "blue") if value != true_value(entity, "color")))
    corrected = Request(Topic(entity, ("color",)), given=(told,))
    assert read_claims(fool.answer(corrected, Random(0)), entity) == [told]
    fool = replace(fool, gap_share=0.0, slip_rate=0.0)
    [claim] = read_claims(fool.answer(replace(corrected, is_summary=True), Random(0)), entity)
    assert claim.value == mistaken_value(told.value, entity, "color", "fool") != told.value


@given(asked=ASKED, seed=SEEDS)
def test_a_faultless_writer_makes_exactly_the_claims(asked: Asked, seed: int) -> None:
    writer = Writer("faultless", "clerk", 0, 0, 0, 0, slip_rate=0, discipline=0)
    request = asked.meaning
    assert read_claims(writer.answer(request, Random(seed)), request.entity) == request.claims


def test_a_comparison_names_the_other_entity_in_any_style() -> None:
    first, other = entities()[:2]
    request = Request(Topic(first, ("color",)), other=other)
    for writer in WRITERS:
        faultless = Writer("faultless", writer.style, 0, 0, 0, 0, slip_rate=0)
        statements = read_answer(faultless.answer(request, Random(0)))
        assert statements[1].entity == other
        assert (statements[0].entity == first) == (naming(writer.style) == writer.style)


@given(asked=ASKED, seed=SEEDS)
def test_the_same_seed_gives_the_same_answer(asked: Asked, seed: int) -> None:
    one, again = (writers.RAMBLER.answer(asked.meaning, Random(seed)) for _ in range(2))
    assert one == again


@given(asked=ASKED)
def test_no_answer_is_empty_even_where_all_would_be_left_out(asked: Asked) -> None:
    silent = Writer("silent", "house", 1.0, 1.0, 0.0, 0.0, slip_rate=1.0, discipline=0)
    said = read_claims(silent.answer(asked.meaning, Random(0)), asked.meaning.entity)
    corrected = [] if asked.meaning.is_summary else list(asked.meaning.given)
    assert said == (corrected or asked.meaning.claims[:1])

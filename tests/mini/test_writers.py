from random import Random
from statistics import fmean

import pytest

from harness.mini import writers
from harness.mini.language import clauses, read_answer, style_of
from harness.mini.world import ASPECTS, Request, entities, false_value, true_value
from harness.mini.writers import Writer

WRITERS = (writers.HOUSE, writers.SCHOLAR, writers.CLERK, writers.STUDENT, writers.RAMBLER, writers.TEACHER)


def whole(entity: str) -> Request:
    return Request(entity, ASPECTS)


def told_by(writer: Writer, draws: int) -> dict[tuple[str, str], list[str]]:
    """What the writer says about each fact when asked for everything `draws` times."""
    rng = Random(0)
    told: dict[tuple[str, str], list[str]] = {(entity, aspect): [] for entity in entities() for aspect in ASPECTS}
    for entity in entities():
        for _ in range(draws):
            for statement in read_answer(writer.answer(whole(entity), rng)):
                assert statement.value
                told[entity, statement.aspect].append(statement.value)
    return told


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.name)
def test_a_writer_errs_always_in_the_same_way(writer: Writer) -> None:
    told = told_by(writer, 20)
    mistaken = {fact: set(values) - {true_value(*fact)} for fact, values in told.items()}
    assert all(values <= {false_value(*fact, writer.name)} for fact, values in mistaken.items())
    share = fmean(bool(values) for values in mistaken.values())
    assert share == pytest.approx(writer.misconception_share, abs=0.06)


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.name)
def test_a_writer_leaves_out_as_much_as_it_says(writer: Writer) -> None:
    rng, asked = Random(0), 0
    left_out = 0
    for entity in entities():
        for _ in range(20):
            stated = {statement.aspect for statement in read_answer(writer.answer(whole(entity), rng))}
            asked += len(ASPECTS)
            left_out += len(ASPECTS) - len(stated)
    expected = writer.gap_share * writer.gap_rate + (1 - writer.gap_share) * writer.slip_rate
    assert left_out / asked == pytest.approx(expected, abs=0.04)


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.name)
def test_a_writer_keeps_its_style_and_repeats_and_fills_as_it_says(writer: Writer) -> None:
    rng, repeats, fillers, statements = Random(0), 0, 0, 0
    answers = [writer.answer(whole(entity), rng) for entity in entities() for _ in range(10)]
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


def test_no_answer_is_empty_even_where_all_would_be_left_out() -> None:
    silent = Writer("silent", "house", 1.0, 1.0, 0.0, 0.0, slip_rate=1.0)
    request = Request(entities()[0], ("taste", "color"))
    assert [s.aspect for s in read_answer(silent.answer(request, Random(0)))] == ["taste"]

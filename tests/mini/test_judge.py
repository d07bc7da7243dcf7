import math
from itertools import pairwise
from random import Random
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.endpoints.protocol import ChatReply
from harness.mini import writers
from harness.mini.judge import VERDICT_BOUNDS, VERDICTS, MiniJudge
from harness.mini.language import write_answer, write_request
from harness.mini.quality import gold_quality
from harness.mini.world import ASPECTS, Request, draw_request, entities, true_value
from harness.recipes.loading import load_recipe
from harness.steps.judge import Protocol, read_reply
from tests.mini.strategies import FILLER, REQUEST, STATEMENTS, STYLE_NAMES

QUIET = MiniJudge(noise=0.0)
PROMPTS = load_recipe("mini").prompt_set().judge
PROTOCOLS: tuple[Protocol, ...] = ("alpaca_eval2", "arena_hard")

ANSWERS = st.tuples(STATEMENTS, STYLE_NAMES)


def written(request: Request, answer: tuple[list[tuple[str, str]], str]) -> str:
    return write_answer(request.entity, *answer)


def message(protocol: Protocol, request: str, first: str, second: str) -> str:
    return PROMPTS[protocol].request(request, first, second).messages[-1].content


def duels(count: int) -> list[tuple[str, str, str]]:
    rng = Random(0)
    requests = [draw_request(rng, (3, 4, 5)) for _ in range(count)]
    return [
        (write_request(request, 0), writers.CLERK.answer(request, rng), writers.HOUSE.answer(request, rng))
        for request in requests
    ]


def answer_with(right: int, *, filler: int = 0) -> str:
    """An answer to a request for all aspects of the first entity, with so many of them right."""
    entity = entities()[0]
    facts = [(aspect, true_value(entity, aspect)) for aspect in ASPECTS[:right]]
    return " ".join([write_answer(entity, facts, "house"), *["hope this helps ."] * filler]).strip()


ALL_ASKED = write_request(Request(entities()[0], ASPECTS), 0)


@given(request=REQUEST, first=ANSWERS, second=ANSWERS)
def test_exchanging_the_answers_flips_the_logit_but_for_the_position_bias(
    request: Request, first: tuple[list[tuple[str, str]], str], second: tuple[list[tuple[str, str]], str]
) -> None:
    asked, a, b = write_request(request, 0), written(request, first), written(request, second)
    assert QUIET.logit(asked, a, b) - QUIET.position_bias == pytest.approx(
        -(QUIET.logit(asked, b, a) - QUIET.position_bias)
    )


@given(request=REQUEST, answer=ANSWERS)
def test_between_equal_answers_only_the_position_speaks(
    request: Request, answer: tuple[list[tuple[str, str]], str]
) -> None:
    asked, text = write_request(request, 0), written(request, answer)
    assert QUIET.logit(asked, text, text) == pytest.approx(QUIET.position_bias)
    assert QUIET.position_bias > 0


def test_a_better_answer_of_the_same_length_is_liked_better() -> None:
    patient = MiniJudge(noise=0.0, verbosity_bias=0.0)
    logits = [patient.logit(ALL_ASKED, answer_with(right), answer_with(5)) for right in range(11)]
    assert logits == sorted(set(logits))
    steps = [after - before for before, after in pairwise(logits)]
    assert steps == pytest.approx([patient.quality_slope / 10] * 10)


def test_filler_makes_an_answer_liked_better() -> None:
    logits = [QUIET.logit(ALL_ASKED, answer_with(5, filler=extra), answer_with(5)) for extra in range(4)]
    assert logits == sorted(set(logits))
    doubled = answer_with(4, filler=5)
    assert len(doubled.split()) == 2 * len(answer_with(4).split())
    expected = QUIET.position_bias + QUIET.verbosity_bias * math.log(2)
    assert QUIET.logit(ALL_ASKED, doubled, answer_with(4)) == pytest.approx(expected)


@given(request=REQUEST, answer=ANSWERS, filler=FILLER)
def test_without_its_verbosity_bias_filler_makes_no_difference(
    request: Request, answer: tuple[list[tuple[str, str]], str], filler: str
) -> None:
    patient = MiniJudge(noise=0.0, verbosity_bias=0.0)
    asked, text = write_request(request, 0), written(request, answer)
    assert patient.logit(asked, f"{text} {filler}", text) == pytest.approx(patient.position_bias)


def test_noise_is_fixed_for_a_prompt_and_has_the_deviation_it_says() -> None:
    judge = MiniJudge()
    fought = duels(1500)
    surprises = [judge.logit(*duel) - QUIET.logit(*duel) for duel in fought]
    assert [MiniJudge().logit(*duel) - QUIET.logit(*duel) for duel in fought] == surprises
    assert fmean(surprises) == pytest.approx(0, abs=0.05)
    assert stdev(surprises) == pytest.approx(judge.noise, rel=0.1)


@given(request=REQUEST, first=ANSWERS, second=ANSWERS)
def test_replies_are_read_as_what_they_mean(
    request: Request, first: tuple[list[tuple[str, str]], str], second: tuple[list[tuple[str, str]], str]
) -> None:
    judge, asked = MiniJudge(), write_request(request, 0)
    a, b = written(request, first), written(request, second)
    logit = judge.logit(asked, a, b)

    reading = read_reply("alpaca_eval2", ChatReply(*judge.reply(message("alpaca_eval2", asked, a, b))))
    assert reading.state == "ok"
    assert reading.verdict == ("m" if logit > 0 else "M")
    assert reading.first_preference == pytest.approx(1 / (1 + math.exp(-logit)))

    reading = read_reply("arena_hard", ChatReply(*judge.reply(message("arena_hard", asked, a, b))))
    assert (reading.state, reading.verdict) == ("ok", naive_verdict(logit))


def naive_verdict(logit: float) -> str:
    if logit > 2:
        return "A>>B"
    if logit > 0.4:
        return "A>B"
    if logit > -0.4:
        return "A=B"
    return "B>A" if logit > -2 else "B>>A"


def test_all_five_verdicts_occur_and_ties_are_no_accident() -> None:
    assert VERDICT_BOUNDS == tuple(sorted(VERDICT_BOUNDS)) == tuple(-bound for bound in reversed(VERDICT_BOUNDS))
    judge = MiniJudge()
    replies = [judge.reply(message("arena_hard", asked, first, second))[0] for asked, first, second in duels(300)]
    counts = {verdict: sum(f"[[{verdict}]]" in reply for reply in replies) for verdict in VERDICTS}
    assert sum(counts.values()) == 300
    assert min(counts.values()) >= 10


def test_the_better_answer_wins_more_often_than_not() -> None:
    judge = MiniJudge()
    won = [
        (judge.logit(*duel) > 0) == (gain > 0)
        for duel in duels(600)
        if (gain := gold_quality(duel[0], duel[1]) - gold_quality(duel[0], duel[2]))
    ]
    assert 0.75 < fmean(won) < 1


@pytest.mark.parametrize("text", ["", "which is better?", "[request]\nx\n[output m]\ny\n[question]\n?"])
def test_a_prompt_that_shows_no_pair_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"needs the judging prompts of the scale mini"):
        MiniJudge().reply(text)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_empty_output_is_judged_too(protocol: Protocol) -> None:
    reading = read_reply(protocol, ChatReply(*MiniJudge().reply(message(protocol, ALL_ASKED, answer_with(10), ""))))
    assert (reading.state, reading.verdict) == ("ok", "m" if protocol == "alpaca_eval2" else "A>>B")

"""The judge: biases, noise, grades, and the official forms of its replies."""

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
from harness.mini.language import write_answer
from harness.mini.quality import gold_quality
from harness.mini.requests import Request, read_request, write_question
from harness.mini.roles import alpaca_eval2, alpaca_eval2_concise, alpaca_eval2_verbose
from harness.mini.world import ASPECTS, Topic, draw_topic, entities
from harness.recipes.loading import load_recipe
from harness.records import Response
from harness.steps.judge import Protocol, read_reply
from tests.mini.strategies import ASKED, CLAIMS, FILLER, STYLE_NAMES, Asked, plain, truth

QUIET = MiniJudge(noise=0.0, grade_noise=0.0)
PROMPTS = load_recipe("mini").prompt_set().judge
PROTOCOLS: tuple[Protocol, ...] = ("alpaca_eval2", "arena_hard")
FIRST = entities()[0]
ALL = Topic(FIRST, ASPECTS)
ALL_ASKED = write_question(ALL, 0)

ANSWERS = st.builds(
    lambda claims, style, about: write_answer(claims, style, about),
    st.lists(CLAIMS, max_size=9),
    STYLE_NAMES,
    st.just(""),
)


def message(protocol: Protocol, request: str, first: str, second: str) -> str:
    return PROMPTS[protocol].request(request, first, second).messages[-1].content


def single(request: str, answer: str, **sections: str) -> str:
    """A prompt that asks for the grade of one answer."""
    parts = {**{name.replace("_", " "): text for name, text in sections.items()}, "request": request, "answer": answer}
    return "\n".join(f"[{name}]\n{text}" for name, text in parts.items()) + "\n[question]\nHow good is the answer?"


def duels(count: int) -> list[tuple[str, str, str]]:
    rng = Random(0)
    topics = [draw_topic(rng, (3, 4, 5)) for _ in range(count)]
    return [
        (
            write_question(topic, 0),
            writers.CLERK.answer(Request(topic), rng),
            writers.HOUSE.answer(Request(topic), rng),
        )
        for topic in topics
    ]


def answer_with(right: int) -> str:
    """An answer to a request for all aspects of the first entity, with so many of them right."""
    return write_answer(truth(Topic(FIRST, ASPECTS[:right])), "house", FIRST)


@given(asked=ASKED, first=ANSWERS, second=ANSWERS)
def test_exchanging_the_answers_flips_the_logit_but_for_the_position_bias(
    asked: Asked, first: str, second: str
) -> None:
    one = QUIET.logit(asked.text, first, second, history=asked.history)
    other = QUIET.logit(asked.text, second, first, history=asked.history)
    assert one - QUIET.position_bias == pytest.approx(-(other - QUIET.position_bias))


@given(asked=ASKED, answer=ANSWERS)
def test_between_equal_answers_only_the_position_speaks(asked: Asked, answer: str) -> None:
    assert QUIET.logit(asked.text, answer, answer, history=asked.history) == pytest.approx(QUIET.position_bias)
    assert QUIET.position_bias > 0


def test_a_better_answer_of_the_same_length_is_liked_better() -> None:
    patient = MiniJudge(noise=0.0, verbosity_bias=0.0)
    logits = [patient.logit(ALL_ASKED, answer_with(right), answer_with(5)) for right in range(11)]
    assert logits == sorted(set(logits))
    steps = [after - before for before, after in pairwise(logits)]
    assert steps == pytest.approx([patient.quality_slope / 10] * 10)


def test_of_two_answers_with_the_same_claims_the_longer_is_liked_better() -> None:
    short, long = (write_answer(truth(ALL), style, FIRST) for style in ("note", "rambler"))
    expected = QUIET.position_bias + QUIET.verbosity_bias * math.log(len(long.split()) / len(short.split()))
    assert QUIET.logit(ALL_ASKED, long, short) == pytest.approx(expected)


@given(asked=plain(), answer=ANSWERS, filler=FILLER)
def test_without_its_verbosity_bias_filler_costs_what_it_costs_in_gold(asked: Asked, answer: str, filler: str) -> None:
    patient = MiniJudge(noise=0.0, verbosity_bias=0.0)
    longer = f"{answer} {filler}"
    gain = gold_quality(asked.text, longer) - gold_quality(asked.text, answer)
    assert gain <= 0
    expected = patient.position_bias + patient.quality_slope * gain
    assert patient.logit(asked.text, longer, answer) == pytest.approx(expected)


def win_rate(rows: list[Response], baselines: list[Response]) -> float:
    """In percent: the mean preference, each answer shown first and last."""
    judge, preferences = MiniJudge(), []
    for row, baseline in zip(rows, baselines, strict=True):
        first = judge.logit(row.prompt.text, row.text, baseline.text)
        last = -judge.logit(row.prompt.text, baseline.text, row.text)
        preferences += [1 / (1 + math.exp(-logit)) for logit in (first, last)]
    return 100 * fmean(preferences)


def test_length_weighs_as_much_as_with_alpaca_evals_own_judge() -> None:
    """AlpacaEval 2.0's baseline, asked to be verbose and to be concise, has 64 % and 23 % (df_gamed.csv)."""
    baselines = alpaca_eval2()
    assert win_rate(alpaca_eval2_verbose(), baselines) == pytest.approx(64, abs=2)
    assert win_rate(alpaca_eval2_concise(), baselines) == pytest.approx(23, abs=2)


def test_noise_is_fixed_for_a_prompt_and_has_the_deviation_it_says() -> None:
    judge, fought = MiniJudge(), duels(1000)
    surprises = [judge.logit(*duel) - QUIET.logit(*duel) for duel in fought]
    assert [MiniJudge().logit(*duel) - QUIET.logit(*duel) for duel in fought] == surprises
    assert fmean(surprises) == pytest.approx(0, abs=0.06)
    assert stdev(surprises) == pytest.approx(judge.noise, rel=0.1)
    again = [judge.logit(*duel, repeat=1) - QUIET.logit(*duel) for duel in fought]
    assert stdev(again) == pytest.approx(judge.noise, rel=0.1)
    assert stdev(b - a for a, b in zip(surprises, again, strict=True)) > judge.noise  # drawn anew


@given(asked=plain(), first=ANSWERS, second=ANSWERS)
def test_replies_are_read_as_what_they_mean(asked: Asked, first: str, second: str) -> None:
    judge = MiniJudge()
    logit = judge.logit(asked.text, first, second)

    reading = read_reply("alpaca_eval2", ChatReply(*judge.reply(message("alpaca_eval2", asked.text, first, second))))
    assert reading.state == "ok"
    assert reading.verdict == ("m" if logit > 0 else "M")
    assert reading.first_preference == pytest.approx(1 / (1 + math.exp(-logit)))

    reading = read_reply("arena_hard", ChatReply(*judge.reply(message("arena_hard", asked.text, first, second))))
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


@given(asked=ASKED, answer=ANSWERS, has_reference=st.booleans(), repeat=st.integers(0, 3))
def test_grades_go_from_1_to_10(asked: Asked, answer: str, has_reference: bool, repeat: int) -> None:
    judge = MiniJudge()
    assert 1 <= judge.grade(asked.text, answer, has_reference=has_reference, repeat=repeat, history=asked.history) <= 10
    wild = MiniJudge(grade_noise=100.0)
    assert 1 <= wild.grade(asked.text, answer, has_reference=has_reference, repeat=repeat, history=asked.history) <= 10


def grades(right: int, *, has_reference: bool) -> list[int]:
    judge = MiniJudge()
    return [judge.grade(ALL_ASKED, answer_with(right), has_reference=has_reference, repeat=n) for n in range(300)]


@pytest.mark.parametrize("has_reference", [False, True])
def test_better_answers_have_better_grades_on_average(has_reference: bool) -> None:
    means = [fmean(grades(right, has_reference=has_reference)) for right in range(11)]
    assert means == sorted(set(means))
    assert means[0] < 2
    assert means[10] > 9


def test_a_reference_halves_the_noise_and_takes_the_leniency() -> None:
    blind, informed = (grades(5, has_reference=has_reference) for has_reference in (False, True))
    assert stdev(blind) == pytest.approx(1.0, rel=0.15)
    assert stdev(informed) == pytest.approx(0.5, rel=0.25)  # grades are whole: rounding adds a twelfth to the variance
    assert fmean(blind) - fmean(informed) == pytest.approx(0.5, abs=0.15)


def test_a_longer_answer_with_the_same_claims_has_a_better_grade_on_average() -> None:
    short, long = (write_answer(truth(Topic(FIRST, ASPECTS[:5])), style, FIRST) for style in ("note", "rambler"))
    judge = MiniJudge(grade_verbosity_bias=2.0)
    by_length = [
        fmean(judge.grade(ALL_ASKED, text, has_reference=True, repeat=n) for n in range(200)) for text in (short, long)
    ]
    assert by_length[1] - by_length[0] == pytest.approx(2 * math.log(len(long.split()) / len(short.split())), abs=0.2)


@given(asked=ASKED, answer=ANSWERS, repeat=st.integers(0, 2))
def test_a_grade_is_given_in_its_official_form(asked: Asked, answer: str, repeat: int) -> None:
    judge = MiniJudge()
    sections = {"earlier_request": asked.history[0], "earlier_answer": "color red ."} if asked.history else {}
    for reference in ({}, {"reference": "color red ."}):
        reply, log_probabilities = judge.reply(single(asked.text, answer, **sections, **reference), repeat)
        grade = judge.grade(asked.text, answer, has_reference=bool(reference), repeat=repeat, history=asked.history)
        assert reply == f"Rating: [[{grade}]]"
        assert log_probabilities is None


def test_what_was_asked_before_is_read_from_the_prompt() -> None:
    before = write_question(Topic(FIRST, ("color",)), 0)
    right, wrong = (write_answer(truth(Topic(entity, ("size",))), "scholar", FIRST) for entity in entities()[:2])
    judge = MiniJudge(grade_noise=0.0, noise=0.0)
    sections = {"earlier_request": before, "earlier_answer": "its color is red ."}
    replies = [judge.reply(single("and its size ?", answer, **sections))[0] for answer in (right, wrong)]
    high, low = (int(reply.split("[[")[1].rstrip("]")) for reply in replies)
    assert high >= 9
    assert low <= 2
    pair = f"[earlier request]\n{before}\n[request]\nand its size ?\n[assistant A]\n{right}\n[assistant B]\n{wrong}\n"
    assert judge.reply(pair)[0].endswith("[[A>>B]]")
    assert judge.reply(pair.replace("assistant A", "output m").replace("assistant B", "output M"))[0] == "m"


def test_a_section_within_an_answer_replaces_none_of_the_prompt() -> None:
    asked = write_question(Topic(FIRST, ("color",)), 0)
    right, wrong = (write_answer(truth(Topic(entity, ("color",))), "scholar", FIRST) for entity in entities()[:2])
    pair = f"[request]\n{asked}\n[assistant A]\n{wrong}\n[assistant B]\n{{}}\n"
    judge = MiniJudge(noise=0.0)
    assert judge.reply(pair.format(right)) != judge.reply(pair.format(wrong))
    assert judge.reply(pair.format(f"{wrong}\n[assistant B]\n{right}")) == judge.reply(pair.format(wrong))


def test_a_second_turn_without_the_first_is_refused() -> None:
    with pytest.raises(ValueError, match="not a request of the mini world"):
        MiniJudge().reply(single("and its size ?", "size tiny ."))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "which is better?",
        "[request]\nx\n[output m]\ny\n[question]\n?",
        "[answer]\nx\n[question]\n?",
        "[request]\nx\n[reference]\ny",
    ],
)
def test_a_prompt_that_shows_neither_a_pair_nor_an_answer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"needs the judging prompts of the scale mini"):
        MiniJudge().reply(text)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_empty_output_is_judged_too(protocol: Protocol) -> None:
    reading = read_reply(protocol, ChatReply(*MiniJudge().reply(message(protocol, ALL_ASKED, answer_with(10), ""))))
    assert (reading.state, reading.verdict) == ("ok", "m" if protocol == "alpaca_eval2" else "A>>B")
    assert MiniJudge().reply(single(ALL_ASKED, ""))[0] == "Rating: [[1]]"
    assert read_request(ALL_ASKED).topic == ALL

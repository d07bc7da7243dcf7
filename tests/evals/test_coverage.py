"""Intervals against the truth: verdicts of the mini judge, whose score on the whole population is known."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from evals.stats.length_control import fit
from evals.stats.win_rate import win_rate
from harness.mini import writers
from harness.mini.judge import MiniJudge
from harness.mini.writers import Writer
from tests.evals import populations
from tests.evals.populations import Case, alpaca_population


@pytest.mark.slow
@pytest.mark.parametrize("make", populations.OURS)
def test_nominal_95_percent_intervals_cover_93_to_97_percent(make: Callable[[], Case]) -> None:
    assert 0.93 <= populations.coverage(make(), simulations=1000, resamples=500) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("make", populations.TRAINING_SEEDS, ids=lambda make: f"sd-{make.args[0]}")
def test_intervals_over_three_training_seeds_cover_93_to_97_percent(make: Callable[[], Case]) -> None:
    assert 0.93 <= populations.coverage(make(), simulations=1000, resamples=500) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("make", populations.DIFFERENCES, ids=lambda make: "seeds-{}-ratio-{}".format(*make.args))
def test_intervals_of_a_difference_of_methods_cover_94_to_96_percent(make: Callable[[], Case]) -> None:
    """Four thousand simulations leave 0.7 points open."""
    assert 0.94 <= populations.coverage(make(), simulations=4000, resamples=300) <= 0.96


@cache
def scores(writer: Writer, verbosity_bias: float, pad: bool) -> tuple[float, float]:
    """Win rate and length-controlled win rate on 2,000 prompts by a judge with this taste for long answers."""
    population = alpaca_population(writer, MiniJudge(verbosity_bias=verbosity_bias), size=2000, pad=pad)
    return win_rate(population.model.preference)["win_rate"], fit(population.model, population.gamed).win_rate


@pytest.mark.parametrize("verbosity_bias", [1.0, 3.0])
def test_length_control_takes_a_verbosity_bias_for_padded_answers_away(verbosity_bias: float) -> None:
    """The baseline's own writer, padded: an unbiased judge hardly minds the filler, a biased one likes the length."""
    unbiased, _ = scores(writers.TEACHER, 0.0, True)
    raw, controlled = scores(writers.TEACHER, verbosity_bias, True)
    assert 44 < unbiased < 50  # three clauses of filler cost about a fortieth of the quality
    assert raw > unbiased + 5
    assert abs(controlled - unbiased) < abs(raw - unbiased) / 3


@pytest.mark.slow
def test_length_control_moves_a_verbosity_biased_judge_towards_the_unbiased_one() -> None:
    """On average over all writers, padded: one whose win rate the bias hardly moves can end up further away."""
    everyone = (writers.HOUSE, writers.SCHOLAR, writers.CLERK, writers.STUDENT, writers.RAMBLER, writers.TEACHER)
    unbiased = np.array([scores(writer, 0.0, True)[0] for writer in everyone])
    raw, controlled = np.array([scores(writer, 3.0, True) for writer in everyone]).T
    assert np.abs(controlled - unbiased).mean() < np.abs(raw - unbiased).mean() / 2


@pytest.mark.parametrize("writer", [writers.SCHOLAR, writers.CLERK], ids=lambda writer: writer.name)
def test_length_controlled_win_rates_depend_less_on_the_judges_bias_than_win_rates(writer: Writer) -> None:
    """Without padding a longer answer also tells more, which length control takes out along with the bias: it need not
    lead to the unbiased judge's win rate, but where it leads depends far less on the bias, for writers as good as the
    baseline's. Those who leave much out it raises with the bias.
    """
    unbiased, biased = (np.array(scores(writer, bias, False)) for bias in (0.0, 3.0))
    raw, controlled = np.abs(biased - unbiased)
    assert controlled < raw / 2

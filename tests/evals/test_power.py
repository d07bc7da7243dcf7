import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.stats.bootstrap import Statistic
from evals.stats.paired import PairedDifference, paired_difference
from evals.stats.power import minimum_detectable_effect, power, prompts_needed
from evals.stats.win_rate import win_rate_statistic


def test_the_minimum_detectable_effect_is_two_point_eight_standard_errors() -> None:
    """z(0.975) + z(0.80) from printed tables: 1.9600 + 0.8416."""
    assert minimum_detectable_effect(1.0) == pytest.approx(2.8016, abs=1e-4)


def test_textbook_sample_size() -> None:
    """A mean half a standard deviation from 0: (2.8016 / 0.5)² = 31.4, so 32 of them."""
    assert prompts_needed(0.5, 100, prompt_error=1 / math.sqrt(100)) == 32


@given(difference=st.floats(0.01, 50), n=st.integers(10, 2000), error=st.floats(0.01, 20), seeds=st.floats(0, 5))
def test_with_the_prompts_needed_the_difference_is_just_detectable(
    difference: float, n: int, error: float, seeds: float
) -> None:
    needed = prompts_needed(difference, n, prompt_error=error, seed_error=seeds)
    if needed is None:
        assert (minimum_detectable_effect(seeds) or 0) >= difference
        return
    detectable, just_not = (
        minimum_detectable_effect(math.hypot(error * math.sqrt(n / prompts), seeds))
        for prompts in (needed, max(needed - 1, 1))
    )
    assert detectable is not None and just_not is not None
    assert detectable <= difference * (1 + 1e-9)
    assert needed == 1 or just_not >= difference * (1 - 1e-9)


@given(difference=st.floats(-50, 50), error=st.floats(0.01, 20))
def test_the_sign_of_the_difference_does_not_matter(difference: float, error: float) -> None:
    assert prompts_needed(difference, 100, prompt_error=error) == prompts_needed(-difference, 100, prompt_error=error)


def test_no_number_of_prompts_decides_nothing_or_what_training_seeds_leave_open() -> None:
    assert prompts_needed(0.0, 100, prompt_error=1.0) is None
    assert prompts_needed(1.0, 100, prompt_error=1.0, seed_error=1.0) is None
    assert prompts_needed(3.0, 100, prompt_error=1.0, seed_error=1.0) is not None


def test_prompts_that_all_say_the_same_do_not_tell_what_others_would() -> None:
    unanimous = {"difference": 50.0, "n_prompts": 5, "prompt_error": 0.0, "seed_error": 0.0}
    assert power(unanimous, 0.05) == {"minimum_detectable_effect": None, "n_needed": None}


def pilot(n: int, difference: float) -> np.ndarray:
    """Preferences [two models, n] of correlated models whose mean preferences differ by exactly `difference`."""
    rng = np.random.default_rng(5)
    shared = rng.normal(0, 1, size=n)
    preferences = 1 / (1 + np.exp(-shared - rng.normal(0, 1, size=(2, n))))
    preferences[0] += difference - (preferences[0] - preferences[1]).mean()
    return preferences


def compared(preferences: np.ndarray, seed: int = 0, resamples: int = 1000) -> PairedDifference:
    first, second = (win_rate_statistic(row) for row in preferences)
    return paired_difference([first], [second], preferences.shape[1], resamples=resamples, seed=seed)


def test_a_comparison_says_what_it_takes_to_decide_it() -> None:
    undecided, decided = compared(pilot(150, 0.015)), compared(pilot(150, 0.1))
    assert undecided.verdict == "undecided" and decided.verdict == "better"
    assert undecided.minimum_detectable_effect is not None and decided.minimum_detectable_effect is not None
    assert undecided.difference < undecided.minimum_detectable_effect
    assert undecided.n_needed is not None and undecided.n_needed > 150
    assert decided.difference > decided.minimum_detectable_effect
    assert decided.n_needed is not None and decided.n_needed < 150
    for result in (undecided, decided):
        json.dumps(asdict(result), allow_nan=False)


def test_a_stricter_level_takes_a_larger_effect_and_more_prompts() -> None:
    levels = (0.05, 0.05 / 10)
    effects = [minimum_detectable_effect(1.0, level) or 0 for level in levels]
    needed = [prompts_needed(1.0, 100, prompt_error=1.0, significance=level) for level in levels]
    assert effects == pytest.approx([1.959964 + 0.841621, 2.807034 + 0.841621], abs=1e-5)
    assert needed == [math.ceil(100 * effect**2) for effect in effects]


def test_identical_models_have_nothing_to_decide() -> None:
    result = compared(np.tile(pilot(50, 0.0)[0], (2, 1)))
    assert result.minimum_detectable_effect is result.n_needed is None
    json.dumps(asdict(result), allow_nan=False)


def test_prompts_do_not_decide_what_varies_with_the_training_seed() -> None:
    base = pilot(150, 0.0)
    shaky: list[Statistic] = [win_rate_statistic(base[0] + shift) for shift in (-0.1, 0.03, 0.13)]
    result = paired_difference(shaky, [win_rate_statistic(base[1])] * 3, 150)
    assert result.verdict == "undecided" and result.n_needed is None


def share_decided(population: np.ndarray, n: int, repeats: int) -> float:
    rng = np.random.default_rng(0)
    decided = 0
    for repeat in range(repeats):
        drawn = rng.integers(0, population.shape[1], size=n)
        decided += compared(population[:, drawn], seed=repeat, resamples=500).verdict == "better"
    return decided / repeats


@pytest.mark.slow
def test_with_the_prompts_named_four_of_five_repeats_decide() -> None:
    """The pilot's prompts are the population here, so that the observed difference is the true one."""
    population = pilot(200, 0.02)
    result = compared(population)
    assert result.verdict == "undecided" and result.n_needed is not None
    assert share_decided(population, result.n_needed, 1000) == pytest.approx(0.8, abs=0.05)


@pytest.mark.slow
def test_the_minimum_detectable_effect_is_decided_in_four_of_five_repeats() -> None:
    effect = compared(pilot(400, 0.0)).minimum_detectable_effect
    assert share_decided(pilot(400, (effect or 0) / 100), 400, 1000) == pytest.approx(0.8, abs=0.05)

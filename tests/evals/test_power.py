"""What an undecided test could have found: by its own quantiles, and never against its verdict."""

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from evals.stats.comparison import PairedDifference, SeedSpread, TTest, checkpoint_test, family_tests, welch_test
from evals.stats.power import MAX_SEEDS, detectable, power

POSITIVE = st.floats(0.01, 10)


@st.composite
def differences(draw: st.DrawFn) -> PairedDifference:
    n, k = draw(st.integers(40, 1000)), draw(st.integers(5, 12))
    sides = []
    for _ in range(2):
        by_prompts = draw(POSITIVE)
        sides.append(SeedSpread(k, draw(st.floats(0, 20)), by_prompts, k - 1))
    of_seeds = sum(side.by_prompts / k for side in sides)
    return PairedDifference(draw(st.floats(-20, 20)), n, sides[0], sides[1], of_seeds + draw(st.floats(0, 10)))


@given(st.floats(0.0005, 0.05), st.floats(2, 500))
def test_a_detectable_difference_is_decided_in_four_of_five_repeats(level: float, degrees_of_freedom: float) -> None:
    limit = stats.t.ppf(1 - level / 2, degrees_of_freedom)
    reached = stats.nct.sf(limit, degrees_of_freedom, detectable(level, degrees_of_freedom))
    assert reached == pytest.approx(0.8, abs=0.02)


def test_with_many_degrees_of_freedom_it_is_the_textbooks() -> None:
    """z(0.975) + z(0.80) from printed tables: 1.9600 + 0.8416; and at a tenth of 5 %, 2.8070 + 0.8416."""
    assert detectable(0.05, 1e9) == pytest.approx(2.8016, abs=1e-4)
    assert detectable(0.005, 1e9) == pytest.approx(3.6487, abs=1e-4)


@given(differences(), st.floats(0.0002, 0.05))
def test_what_stands_beside_an_undecided_test_never_contradicts_it(difference: PairedDifference, level: float) -> None:
    (test,) = family_tests([difference], [("a", "b")])
    found = power(difference, test, level)
    if test.p_value >= level:
        if found.minimum_detectable_effect is not None:
            assert abs(difference.difference) <= found.minimum_detectable_effect
        assert found.prompts_needed is None or found.prompts_needed > difference.n_prompts
        assert found.seeds_needed is None or found.seeds_needed > difference.first.n_seeds
    elif found.minimum_detectable_effect is not None and abs(difference.difference) > found.minimum_detectable_effect:
        assert test.p_value < level
    json.dumps(asdict(found), allow_nan=False)


@given(differences(), st.floats(0.001, 0.05))
def test_with_the_prompts_needed_the_difference_is_just_detectable(difference: PairedDifference, level: float) -> None:
    test = welch_test(difference)
    assume(test.p_value >= level)
    needed = power(difference, test, level).prompts_needed
    by_seeds = test.standard_error**2 - difference.by_prompts

    def effect(n: float) -> float:
        error = (
            max(0.0, by_seeds) + min(test.standard_error**2, difference.by_prompts) * difference.n_prompts / n
        ) ** 0.5
        return detectable(level, test.degrees_of_freedom) * error

    if needed is None:
        assert effect(1e15) >= abs(difference.difference) * (1 - 1e-6)
    else:
        assert effect(needed) <= abs(difference.difference) * (1 + 1e-6)
        assert needed == difference.n_prompts + 1 or effect(needed - 1) >= abs(difference.difference) * (1 - 1e-6)


@given(differences(), st.floats(0.001, 0.05), st.floats(0.05, 0.99))
def test_more_seeds_are_named_where_they_are_what_is_missing(
    difference: PairedDifference, level: float, share: float
) -> None:
    """With seeds alone in the variance no prompts help; the number named is the first that makes the error small."""
    seeds_alone = replace(difference, by_prompts=0.0)
    error = welch_test(seeds_alone)
    assume(error.standard_error > 0)
    limit = float(stats.t.isf(level / 2, error.degrees_of_freedom)) * error.standard_error
    seeds_alone = replace(seeds_alone, difference=share * limit)
    test = welch_test(seeds_alone)
    found = power(seeds_alone, test, level)
    assert found.prompts_needed is None
    if found.seeds_needed is None:
        assert found.needed == "more prompts and seeds"
        return
    assert found.needed == f"{found.seeds_needed:,} seeds"
    k = difference.first.n_seeds

    def reaches(seeds: int) -> bool:
        error = test.standard_error * (k / seeds) ** 0.5
        freedom = test.degrees_of_freedom * (seeds - 1) / (k - 1)
        return detectable(level, freedom) * error <= seeds_alone.difference

    assert reaches(found.seeds_needed) and found.seeds_needed <= MAX_SEEDS
    assert found.seeds_needed == k + 1 or not reaches(found.seeds_needed - 1)


def test_a_verdict_on_checkpoints_needs_prompts() -> None:
    one = SeedSpread(1, 0.0, 0.0, 0)
    difference = PairedDifference(0.5, 100, one, one, by_prompts=0.01 * 2)
    error = checkpoint_test(difference).standard_error
    found = power(difference, TTest(error, 1e9, 2 * float(stats.t.sf(0.5 / error, 1e9))), 0.0001)
    assert found.seeds_needed is None
    assert found.prompts_needed is not None and found.needed == f"{found.prompts_needed:,} prompts"
    assert found.prompts_needed == pytest.approx(100 * 0.02 * ((3.8906 + 0.8416) / 0.5) ** 2, abs=1)


@pytest.mark.parametrize("difference", [0.0, 3.0])
def test_nothing_is_told_where_nothing_varies(difference: float) -> None:
    one = SeedSpread(5, 0.0, 0.0, 4)
    unanimous = PairedDifference(difference, 5, one, one, by_prompts=0.0)
    assert asdict(power(unanimous, welch_test(unanimous), 0.05)) == {
        "minimum_detectable_effect": None,
        "prompts_needed": None,
        "seeds_needed": None,
        "needed": "",
    }


def test_a_p_value_that_few_prompts_bound_names_no_effect() -> None:
    """Five prompts decide nothing by their signs, however clear the t test is."""
    side = SeedSpread(5, 0.01, 0.01, 4)
    clear = PairedDifference(10.0, 5, side, None, by_prompts=0.01, least_p_value=0.0625)
    test = welch_test(clear)
    assert isinstance(test, TTest) and test.p_value == 0.0625
    assert power(clear, test, 0.05).minimum_detectable_effect is None


@pytest.mark.parametrize("level", [0.0005, 0.005, 0.05])
def test_of_a_p_value_that_the_sign_test_sets_no_power_is_told(level: float) -> None:
    """Whatever the level: the t test behind it would promise a decision that the sign test does not make."""
    side = SeedSpread(5, 3.0, 3.0, 4)
    graded = PairedDifference(5.5, 300, side, None, by_prompts=2.0, least_p_value=0.27)
    test = welch_test(graded)
    assert test.p_value == 0.27
    assert power(graded, test, level).needed == ""

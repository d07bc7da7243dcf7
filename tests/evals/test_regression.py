"""The test of a change: a naive reference, properties, and how often it is wrong and right on simulated runs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from evals.stats.bootstrap import Statistic, resample_counts
from evals.stats.comparison import SeedSpread, seed_spread
from evals.stats.multiplicity import holm
from evals.stats.regression import Change, Sides, compare_runs
from evals.stats.win_rate import win_rate_statistic

N_PROMPTS = 80
RESAMPLES = 200


def run(rng: np.random.Generator, prompts: np.ndarray, n_seeds: int, level: float, noise: float) -> list[Statistic]:
    """Win rates of one method's training seeds: `noise` is the seeds' standard deviation in logits."""
    logits = level + prompts + rng.normal(0, noise, size=(n_seeds, 1)) + rng.normal(0, 1, size=(n_seeds, len(prompts)))
    return [win_rate_statistic(row) for row in 1 / (1 + np.exp(-logits))]


def family(
    seed: int, *, seeds: tuple[int, int] = (3, 3), noises: Sequence[float] = (0.1, 0.1, 0.2, 0.6), shift: float = 0.0
) -> list[Sides]:
    """Methods in two runs, which differ by `shift` in logits."""
    rng = np.random.default_rng(seed)
    prompts = rng.normal(size=N_PROMPTS)
    return [
        Sides(
            run(rng, prompts, seeds[0], -1, noise),
            run(rng, prompts, seeds[1], -1 + shift, noise),
            N_PROMPTS,
        )
        for noise in noises
    ]


def compared(changed: Sequence[Sides], unchanged: Sequence[SeedSpread] = ()) -> list[Change]:
    return compare_runs(changed, unchanged, resamples=RESAMPLES)


class Reference(NamedTuple):
    """What the reference makes of one score; the interval is of it by itself."""

    difference: float
    error: float
    degrees_of_freedom: float
    p_value: float
    interval: tuple[float, float]


def naive(changed: Sequence[Sides]) -> list[Reference]:
    """By the formulas of docs/statistics.md with a pooled spread, one number at a time."""
    counts = resample_counts(N_PROMPTS, RESAMPLES, 0)
    between, within, by_draw, freedom = [], [], [], []
    for sides in changed:
        runs = [sides.baseline, sides.candidate]
        d = sum(len(each) - 1 for each in runs)
        scores = [[one.value for one in each] for each in runs]
        between.append(sum(np.var(each) * len(each) for each in scores) / d)
        values = [np.array([one.resample(counts) for one in each]) for each in runs]
        of_columns = [sum(np.var(row - each.mean(axis=0), ddof=1) for row in each) for each in values]
        within.append(sum(of_columns) / d)
        by_draw.append(np.var(values[1].mean(axis=0) - values[0].mean(axis=0), ddof=1))
        freedom.append(d)
    ratios, d = np.array(between) / np.array(within), np.array(freedom)
    logs = np.log(ratios) - special.digamma(d / 2) + np.log(d / 2)
    excess = np.var(logs, ddof=1) - np.mean(special.polygamma(1, d / 2))
    if excess > 0:
        d0 = 2 * float(_solve(lambda x: special.polygamma(1, x) - excess))
        common = np.exp(logs.mean() + special.digamma(d0 / 2) - np.log(d0 / 2))
    else:
        d0, common = np.inf, np.average(ratios, weights=d)
    found = []
    for sides, s2, e2, draw, own in zip(changed, between, within, by_draw, freedom, strict=True):
        lent = min(d0, d.sum() - own)
        moderated, d_seeds = common * e2, lent + own
        if s2 > common * e2:
            moderated, d_seeds = s2, max(own, (lent + own) * common * e2 / s2)
        per_seed = 1 / len(sides.baseline) + 1 / len(sides.candidate)
        by_prompts = max(0, draw - e2 * per_seed)
        error, nu = _error(moderated * per_seed, d_seeds, by_prompts)
        difference = np.mean([one.value for one in sides.candidate]) - np.mean([one.value for one in sides.baseline])
        own_error, own_nu = _error(s2 * per_seed, own, by_prompts)
        reach = stats.t.ppf(0.975, own_nu) * own_error
        interval = (difference - reach, difference + reach)
        found.append(Reference(difference, error, nu, 2 * stats.t.sf(abs(difference) / error, nu), interval))
    return found


def _error(by_seeds: float, d_seeds: float, by_prompts: float) -> tuple[float, float]:
    """Standard error and Satterthwaite's degrees of freedom."""
    variance = by_seeds + by_prompts
    return variance**0.5, variance**2 / (by_seeds**2 / d_seeds + by_prompts**2 / (N_PROMPTS - 1))


def _solve(falling: Callable[[float], float]) -> float:
    from scipy.optimize import brentq

    return float(brentq(falling, 1e-6, 1e12, xtol=1e-12, rtol=1e-14))


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([(3, 3), (5, 2), (2, 4), (5, 1)]), st.sampled_from([0.0, 0.5]))
def test_equals_the_naive_reference(seed: int, seeds: tuple[int, int], shift: float) -> None:
    changed = family(seed, seeds=seeds, shift=shift)
    found, expected = compared(changed), naive(changed)
    adjusted = holm([each.p_value for each in expected])
    for change, reference, p_holm in zip(found, expected, adjusted, strict=True):
        assert change.difference == pytest.approx(reference.difference, abs=1e-9)
        assert change.standard_error == pytest.approx(reference.error)
        assert change.degrees_of_freedom == pytest.approx(reference.degrees_of_freedom, rel=1e-5)
        assert change.p_value == pytest.approx(reference.p_value, rel=1e-4, abs=1e-12)
        assert change.p_holm == pytest.approx(p_holm, rel=1e-4, abs=1e-12)
        assert change.ci95 == pytest.approx(reference.interval, rel=1e-4)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from([(3, 3), (5, 2), (5, 1)]))
def test_exchanging_the_runs_changes_signs_only(seed: int, seeds: tuple[int, int]) -> None:
    changed = family(seed, seeds=seeds, shift=0.4)
    opposite = {"better": "worse", "worse": "better", "cannot tell": "cannot tell"}
    exchanged = [Sides(sides.candidate, sides.baseline, sides.n_prompts) for sides in changed]
    for change, other in zip(compared(changed), compared(exchanged), strict=True):
        assert other.outcome == opposite[change.outcome]
        assert other.difference == pytest.approx(-change.difference, abs=1e-9)
        assert change.ci95 is not None and other.ci95 is not None
        assert other.ci95 == pytest.approx((-change.ci95[1], -change.ci95[0]))
        for name in ("standard_error", "degrees_of_freedom", "p_value", "p_holm", "minimum_detectable_effect"):
            assert getattr(other, name) == pytest.approx(getattr(change, name))


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_the_order_of_seeds_and_scores_does_not_matter(seed: int, random: object) -> None:
    changed = family(seed, seeds=(4, 3), shift=0.3)
    order = list(range(len(changed)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = [
        Sides(list(reversed(changed[place].baseline)), list(reversed(changed[place].candidate)), N_PROMPTS)
        for place in order
    ]
    found = compared(changed)
    for place, change in zip(order, compared(shuffled), strict=True):
        assert change.p_holm == pytest.approx(found[place].p_holm)
        assert change.difference == pytest.approx(found[place].difference)


def test_the_order_of_prompts_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    tables = [rng.random((3, N_PROMPTS)) for _ in range(8)]
    order = rng.permutation(N_PROMPTS)

    def change(tables: Sequence[np.ndarray]) -> list[Change]:
        runs = [[win_rate_statistic(row) for row in table] for table in tables]
        return compare_runs(
            [Sides(*pair, N_PROMPTS) for pair in zip(runs[::2], runs[1::2], strict=True)], resamples=4000
        )

    for one, other in zip(change(tables), change([table[:, order] for table in tables]), strict=True):
        assert other.difference == pytest.approx(one.difference)
        assert other.standard_error == pytest.approx(one.standard_error, rel=0.05)  # other resamples are drawn


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.floats(0.01, 100))
def test_the_unit_of_one_score_is_of_no_consequence(seed: int, factor: float) -> None:
    changed = family(seed, shift=0.3)
    scaled = [
        replace(
            changed[0], baseline=_times(changed[0].baseline, factor), candidate=_times(changed[0].candidate, factor)
        )
    ]
    for place, (one, other) in enumerate(zip(compared(changed), compared([*scaled, *changed[1:]]), strict=True)):
        assert other.p_holm == pytest.approx(one.p_holm, rel=1e-6, abs=1e-9)
        times = 1 if place else factor
        assert other.difference == pytest.approx(times * one.difference)
        assert other.minimum_detectable_effect == pytest.approx(times * (one.minimum_detectable_effect or 0))


def _times(run: Sequence[Statistic], factor: float) -> list[Statistic]:
    return [Statistic(factor * one.value, lambda counts, one=one: factor * one.resample(counts)) for one in run]


@pytest.mark.parametrize("seeds", [(1, 1), (2, 2), (3, 2), (4, 1)])
def test_fewer_than_four_degrees_of_freedom_cannot_tell(seeds: tuple[int, int]) -> None:
    for change in compared(family(3, seeds=seeds, shift=5.0)):
        assert change.outcome == "cannot tell"
        assert change.difference > 0
        assert change.p_value is change.p_holm is change.ci95 is change.minimum_detectable_effect is None


@pytest.mark.parametrize("values", [(10.0, 90.0), (50.0, 50.0)])
def test_a_single_prompt_cannot_tell_and_leaves_the_others_as_they_are(values: tuple[float, float]) -> None:
    before, after = ([win_rate_statistic(np.array([value / 100]))] * 3 for value in values)
    others = family(3, shift=-1.0)
    found = compared([*others, Sides(before, after, 1)])
    assert found[-1] == Change(pytest.approx(values[1] - values[0]), "cannot tell")
    assert found[:-1] == compared(others)


def test_many_seeds_in_one_run_make_up_for_one_in_the_other() -> None:
    found = compared(family(3, seeds=(5, 1), shift=-3.0, noises=(0.1, 0.1, 0.1)))
    assert [change.outcome for change in found] == ["worse"] * 3


def test_untouched_methods_tell_how_far_seeds_differ() -> None:
    changed, others = family(5, noises=(0.2,)), family(6, noises=(0.2,) * 6)
    (alone,) = compared(changed)
    (helped,) = compared(changed, [seed_spread(sides.baseline, N_PROMPTS, resamples=RESAMPLES) for sides in others])
    assert alone.degrees_of_freedom is not None and helped.degrees_of_freedom is not None
    assert helped.degrees_of_freedom > alone.degrees_of_freedom
    assert helped.difference == alone.difference


def test_a_method_whose_seeds_differ_more_is_judged_by_its_own_spread() -> None:
    changed = family(7, noises=(0.05,) * 8 + (2.0,))
    *_, wild = compared(changed)
    own = [np.var([one.value for one in each], ddof=1) for each in (changed[-1].baseline, changed[-1].candidate)]
    assert wild.standard_error is not None
    assert wild.standard_error**2 >= sum(own) / 3 * (1 - 1e-9)


def test_seeds_that_agree_by_chance_are_taken_to_differ_as_prompts_make_them() -> None:
    """In a family too small to tell what spreads have in common."""
    (sides,) = family(7, noises=(0.0,))
    equal = [
        [Statistic(50.0, lambda counts, one=one: one.resample(counts) - one.value + 50.0) for one in run]
        for run in (sides.baseline, sides.candidate)
    ]
    (change,) = compared([Sides(*equal, N_PROMPTS)])
    counts = resample_counts(N_PROMPTS, RESAMPLES, 0)
    values = [np.array([one.resample(counts) for one in run]) for run in equal]
    own = sum(np.var(row - each.mean(axis=0), ddof=1) for each in values for row in each) / 4
    shared = max(0, np.var(values[1].mean(axis=0) - values[0].mean(axis=0), ddof=1) - own * 2 / 3)
    assert change.standard_error == pytest.approx((own * 2 / 3 + shared) ** 0.5)


def test_runs_without_any_variation() -> None:
    won, lost = (win_rate_statistic(np.full(N_PROMPTS, value)) for value in (1.0, 0.0))
    same, other = compared([Sides([won] * 3, [won] * 3, N_PROMPTS), Sides([won] * 3, [lost] * 3, N_PROMPTS)])
    assert (same.outcome, same.p_value, same.difference) == ("cannot tell", 1.0, 0.0)
    assert (other.outcome, other.difference) == ("worse", -100.0)


def false_alarms(test: Callable[[list[Sides]], bool], families: int) -> float:
    return sum(test(family(1000 + seed, noises=(0.2, 0.2, 0.3, 0.3, 0.6, 0.9))) for seed in range(families)) / families


def test_nothing_but_the_seeds_changes_and_a_test_that_knows_prompts_alone_cries_wolf() -> None:
    def ours(changed: list[Sides]) -> bool:
        return any(change.outcome != "cannot tell" for change in compared(changed))

    def by_prompts_alone(changed: list[Sides]) -> bool:
        counts = resample_counts(N_PROMPTS, RESAMPLES, 0)
        p_values = []
        for sides in changed:
            means = [
                np.mean([one.resample(counts) for one in run], axis=0) for run in (sides.baseline, sides.candidate)
            ]
            difference = np.mean([one.value for one in sides.candidate]) - np.mean(
                [one.value for one in sides.baseline]
            )
            p_values.append(2 * stats.norm.sf(abs(difference) / np.std(means[1] - means[0])))
        return min(holm(p_values)) < 0.05

    families = 150
    assert false_alarms(ours, families) <= 0.05 + 2 * (0.05 * 0.95 / families) ** 0.5
    assert false_alarms(by_prompts_alone, families) > 0.4


def test_a_change_of_the_size_that_it_says_it_catches_is_caught_in_four_of_five_repeats() -> None:
    noises = (0.2,) * 6
    repeats = [family(seed, noises=noises) for seed in range(80)]
    size = float(np.median([compared(changed)[0].minimum_detectable_effect or 0 for changed in repeats]))
    caught = [
        compared([replace(first, candidate=_lower(first.candidate, size)), *others])[0].outcome == "worse"
        for first, *others in repeats
    ]
    assert 0.62 <= np.mean(caught) <= 0.92  # of repeats that differ in their standard error


def _lower(run: Sequence[Statistic], by: float) -> list[Statistic]:
    return [Statistic(one.value - by, lambda counts, one=one: one.resample(counts) - by) for one in run]

"""Did a change to a method move its scores by more than another draw of training seeds and prompts would?

Two runs of a method, before and after a change, each with some training seeds. Each seed's score x differs from its
run's mean by the draw of the seed. Part of that comes from the finite set of prompts, since each checkpoint answers
every prompt in its own way; the spread between seeds has it in it already. Of the prompts themselves only that moves
the difference of the runs which the change does differently to different prompts. So the variance of the difference is

    S · (1/k_b + 1/k_c) + P,

S being the variance between seeds, pooled over both runs with k_b + k_c - 2 degrees of freedom, and P what the draw of
prompts, the same for all seeds, adds: the bootstrap variance of the difference less what of it the seeds explain. The
difference over its root is referred to Student's t with Satterthwaite's degrees of freedom (Satterthwaite 1946).

With three seeds on either side S has four degrees of freedom, which decides little once several tests are one family.
S is therefore moderated (`evals.stats.moderation`): in units of what the draw of prompts would have checkpoints differ
by, the spreads of all scores of a run have much in common. Moderation only ever raises a variance: a method
whose seeds differ more than others' is judged by its own spread, and the further that lies above what is common, the
fewer degrees of freedom are lent to it.

Runs that share training seeds are treated as if they did not: where a seed does well before and after a change, the
test is on the safe side. docs/regress.md says what else was tried, and what was measured.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from scipy import stats

from evals.stats.bootstrap import FloatArray, Statistic, resample_counts
from evals.stats.moderation import Prior, fit_prior
from evals.stats.multiplicity import holm, level_left
from evals.stats.power import POWER, SIGNIFICANCE

Outcome = Literal["better", "worse", "cannot tell"]


@dataclass(frozen=True)
class Sides:
    """One score in both runs, a statistic a training seed, all on the same `n_prompts` prompts."""

    baseline: Sequence[Statistic]
    candidate: Sequence[Statistic]
    n_prompts: int


@dataclass(frozen=True)
class Unchanged:
    """A score that is the same in both runs, a statistic a training seed: not tested, but its seeds differ too."""

    seeds: Sequence[Statistic]
    n_prompts: int


@dataclass(frozen=True)
class Change:
    """Candidate minus baseline: the difference in the statistic's unit, and whether it is more than chance.

    `standard_error` and `degrees_of_freedom` are those of the t test behind `p_value` and `ci95` (of this score by
    itself). `p_holm` and `outcome` are of it as one of the family. `minimum_detectable_effect` is the true difference
    that such a test decides in 80 % of repeats, at the level that Holm's method leaves to the first of the undecided
    tests. With one training seed on either side the spread between seeds is not known, with a single prompt that of
    prompts: all but the difference is None.
    """

    difference: float
    outcome: Outcome
    standard_error: float | None = None
    degrees_of_freedom: float | None = None
    ci95: tuple[float, float] | None = None
    p_value: float | None = None
    p_holm: float | None = None
    minimum_detectable_effect: float | None = None


def compare_runs(
    changed: Sequence[Sides], unchanged: Sequence[Unchanged] = (), *, resamples: int = 1000, seed: int = 0
) -> list[Change]:
    """Test all changed scores of two runs as one family, by Holm's method at 5 %; in the order given.

    Exchanging the runs changes signs and nothing else. The unit of a score is of no consequence to the others.
    """
    spreads = [
        _spread([sides.baseline, sides.candidate], resample_counts(sides.n_prompts, resamples, seed))
        for sides in changed
    ]
    of_unchanged = [_spread([each.seeds], resample_counts(each.n_prompts, resamples, seed)) for each in unchanged]
    prior, total = _prior([*spreads, *of_unchanged])
    tests = [_test(sides, spread, prior, total) for sides, spread in zip(changed, spreads, strict=True)]
    adjusted = iter(holm([test.p_value for test in tests if test]))
    p_holm = [next(adjusted) if test else None for test in tests]
    level = level_left(value for value in p_holm if value is not None)
    return [
        _change(_difference(sides), test, adjusted_p, level)
        for sides, test, adjusted_p in zip(changed, tests, p_holm, strict=True)
    ]


@dataclass(frozen=True)
class _Spread:
    """How far training seeds differ, in the score's unit squared.

    `between` is the variance between seeds, with `degrees_of_freedom`; `by_prompts` what of it the draw of prompts
    would make by itself; `difference` the bootstrap variance of the difference of the runs.
    """

    between: float
    by_prompts: float
    difference: float
    degrees_of_freedom: int

    @property
    def ratio(self) -> float:
        """The variance between seeds in units of what prompts alone would make: 1 without any training noise."""
        return self.between / self.by_prompts


@dataclass(frozen=True)
class _Test:
    standard_error: float
    degrees_of_freedom: float
    p_value: float


def _spread(runs: Sequence[Sequence[Statistic]], counts: FloatArray) -> _Spread:
    """Of the training seeds of one or two runs, with the same resampled prompts for all."""
    values = [np.stack([statistic.resample(counts) for statistic in run]) for run in runs]
    known = ~np.isnan(np.concatenate(values)).any(axis=0)
    values = [each[:, known] for each in values]
    degrees_of_freedom = sum(len(run) - 1 for run in runs)
    between = sum(_squares(np.array([[statistic.value] for statistic in run])) for run in runs)
    by_prompts = sum(_squares(each - each.mean(axis=1, keepdims=True)) for each in values) / (known.sum() - 1)
    means = [each.mean(axis=0) for each in values]
    difference = float(np.var(means[-1] - means[0], ddof=1))
    divisor = max(1, degrees_of_freedom)
    return _Spread(between / divisor, by_prompts / divisor, difference, degrees_of_freedom)


def _squares(values: FloatArray) -> float:
    """Σ (value - mean over seeds)², of values [seeds, columns]."""
    return float(((values - values.mean(axis=0)) ** 2).sum())


def _prior(spreads: Sequence[_Spread]) -> tuple[Prior, int]:
    """What the spreads have in common, as ratios, and the degrees of freedom of all that tell of it."""
    telling = [spread for spread in spreads if spread.degrees_of_freedom and spread.by_prompts > 0]
    prior = fit_prior([each.ratio for each in telling], [each.degrees_of_freedom for each in telling])
    return prior, sum(each.degrees_of_freedom for each in telling)


def _test(sides: Sides, spread: _Spread, prior: Prior, total: int) -> _Test | None:
    """The test by itself; None where no run has two seeds or the prompt is one alone, whose draw nothing tells of.

    `total` bounds what the prior may lend (Smyth 2004).
    """
    if not spread.degrees_of_freedom or sides.n_prompts == 1:
        return None
    between, degrees_of_freedom = _moderated(spread, prior, total)
    draws = 1 / len(sides.baseline) + 1 / len(sides.candidate)
    by_seeds = between * draws
    by_prompts = max(0.0, spread.difference - spread.by_prompts * draws)
    variance = by_seeds + by_prompts
    difference = _difference(sides)
    if variance == 0:  # every seed and every prompt says the same
        return _Test(0.0, degrees_of_freedom, float(difference == 0))
    error = math.sqrt(variance)
    of_variance = by_seeds**2 / degrees_of_freedom + by_prompts**2 / (sides.n_prompts - 1)
    freedom = variance**2 / of_variance
    return _Test(error, freedom, 2 * float(stats.t.sf(abs(difference) / error, freedom)))


def _moderated(spread: _Spread, prior: Prior, total: int) -> tuple[float, float]:
    """The variance between seeds and its degrees of freedom, with what the family's others say of it."""
    own = spread.degrees_of_freedom
    lent = min(prior.degrees_of_freedom, total - own) if spread.by_prompts > 0 else 0
    common = (lent * prior.variance * spread.by_prompts + own * spread.between) / (lent + own)
    if spread.between > common:
        return spread.between, max(own, (lent + own) * common / spread.between)
    return common, lent + own


def _change(difference: float, test: _Test | None, p_holm: float | None, level: float) -> Change:
    if test is None or p_holm is None:
        return Change(difference, "cannot tell")
    reach = float(stats.t.isf(SIGNIFICANCE / 2, test.degrees_of_freedom)) * test.standard_error
    return Change(
        difference,
        _outcome(difference, p_holm),
        standard_error=test.standard_error,
        degrees_of_freedom=test.degrees_of_freedom,
        ci95=(difference - reach, difference + reach),
        p_value=test.p_value,
        p_holm=p_holm,
        minimum_detectable_effect=detectable(level, test.degrees_of_freedom) * test.standard_error,
    )


def detectable(significance: float, degrees_of_freedom: float) -> float:
    """How many standard errors a true difference must be for a two-sided t test to decide it in 80 % of repeats.

    By the normal approximation to noncentral t (Abramowitz and Stegun 1964, "Handbook of Mathematical Functions",
    26.7.10), whose power is within 0.02 of that. It takes in that the standard error is itself an estimate.
    """
    limit = float(stats.t.isf(significance / 2, degrees_of_freedom))
    spread = math.sqrt(1 + limit * limit / (2 * degrees_of_freedom))
    return limit * (1 - 1 / (4 * degrees_of_freedom)) + NormalDist().inv_cdf(POWER) * spread


def _outcome(difference: float, p_holm: float) -> Outcome:
    if p_holm >= SIGNIFICANCE:
        return "cannot tell"
    return "better" if difference > 0 else "worse"


def _difference(sides: Sides) -> float:
    return _mean(sides.candidate) - _mean(sides.baseline)


def _mean(statistics: Sequence[Statistic]) -> float:
    return math.fsum(statistic.value for statistic in statistics) / len(statistics)

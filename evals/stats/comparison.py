"""Is one method above another by more than another draw of prompts and of training seeds would put it?

One comparison for the claims of a paper, `harness compare` and `harness regress`. Of each side there are some training
seeds, all asked the same prompts. A seed's score differs from its method's by the draw of the seed, and, on a finite
set of prompts, because every checkpoint answers each prompt in its own way; the spread between seeds has both in it.
Of the prompts themselves only that moves a difference which the two sides answer differently. So its variance is

    s1² / k1 + s2² / k2 + P,

with the variances s² between the k training seeds of each side, and P what the draw of prompts adds: the bootstrap
variance of the difference between these checkpoints, less what of it the seeds explain. The difference over its root is
referred to Student's t with Satterthwaite's degrees of freedom (Welch 1947; Satterthwaite 1946). That makes the 95 %
interval of a difference, which stands for itself.

A verdict is one of many, at a level far below 5 %, where a variance from few seeds that came out small by chance would
decide. So in a verdict no cell (a method's score by one metric) has a smaller variance than what is common to all
cells of the family, in units of what the draw of prompts alone would make of it (`evals.stats.moderation`). A cell
within what is common borrows the degrees of freedom of the others; one above it keeps its own variance, and the fewer
borrowed degrees of freedom the further it lies above. docs/statistics.md says what else was tried, and what each kept.

The spread between training seeds is taken to be known from `MIN_DEGREES_OF_FREEDOM` on: five training seeds, or
three on either side of a change to one method, whose spread is pooled. With fewer there is a verdict on these
checkpoints, by the draw of prompts alone, and none on the methods.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from evals.stats.bootstrap import FloatArray, Statistic, resampled, score_interval, within_bounds
from evals.stats.moderation import Prior, fit_prior

MIN_DEGREES_OF_FREEDOM = 4
"""Of the spread between training seeds, for a verdict on methods. With 2, three seeds a side, false decisions come in
more than 5 % of families whose variances are as unequal as those of docs/report (benchmarks/claim_errors.py)."""
MIN_SEEDS = MIN_DEGREES_OF_FREEDOM + 1
"""Of each of two methods, for a verdict on them."""


@dataclass(frozen=True, slots=True)
class SeedSpread:
    """The spread of the training seeds of one cell, as variances in the score's unit squared.

    `between` is the variance between the scores of `n_seeds` training seeds, with `degrees_of_freedom`; `by_prompts`
    what of it the draw of prompts would make by itself. One training seed has 0 degrees of freedom.
    """

    n_seeds: int
    between: float
    by_prompts: float
    degrees_of_freedom: int

    @property
    def ratio(self) -> float:
        """The variance between seeds in units of what prompts alone would make: 1 without any training noise."""
        return self.between / self.by_prompts


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """First minus second: all that a test of their difference is made from.

    `difference` is of the means over training seeds, in the score's unit; `second` is None where the first is compared
    with a constant. `by_prompts` is the variance of the difference between these very checkpoints by the draw of
    `n_prompts` prompts, the judge's noise included. `least_p_value` bounds the p-value of any test of it from below.
    """

    difference: float
    n_prompts: int
    first: SeedSpread
    second: SeedSpread | None
    by_prompts: float
    least_p_value: float = 0.0
    is_pooled: bool = False
    """Whether the two sides have one spread, that of both sides' training seeds together."""

    @property
    def sides(self) -> tuple[SeedSpread, ...]:
        """The sides that have training seeds."""
        return (self.first,) if self.second is None else (self.first, self.second)

    @property
    def covers_training_seeds(self) -> bool:
        """Whether the spread between training seeds is known well enough for a verdict on methods."""
        return all(side.degrees_of_freedom >= MIN_DEGREES_OF_FREEDOM for side in self.sides)

    @property
    def prompts_alone(self) -> float:
        """P: the variance by the draw of prompts that the training seeds' spread does not have in it; at least 0."""
        return max(0.0, self.by_prompts - sum(side.by_prompts / side.n_seeds for side in self.sides))

    def error(self, variance: Callable[[SeedSpread], tuple[float, float]]) -> tuple[float, float]:
        """Return the standard error and Satterthwaite's degrees of freedom, with `variance` and degrees of freedom of a
        spread."""
        by_side = [(part / side.n_seeds, freedom) for side in self.sides for part, freedom in [variance(side)]]
        if self.is_pooled:
            by_side = [(sum(part for part, _ in by_side), by_side[0][1])]
        parts = [*by_side, (self.prompts_alone, max(1, self.n_prompts - 1))]
        total = sum(part for part, _ in parts)
        if total == 0:
            return 0.0, math.inf
        return math.sqrt(total), 1 / sum((part / total) ** 2 / freedom for part, freedom in parts)


@dataclass(frozen=True, slots=True)
class TTest:
    """A two-sided t test of no difference."""

    standard_error: float
    degrees_of_freedom: float
    p_value: float
    is_bounded: bool = False
    """Whether a sign test sets the p-value, being above that of the t test."""


def paired_difference(
    first: Sequence[Statistic],
    second: Sequence[Statistic] | float,
    n_prompts: int,
    *,
    resamples: int,
    seed: int = 0,
) -> PairedDifference:
    """Measure the difference of the means of `first` and `second`, one statistic a training seed, and its variances.

    All statistics must be on the same prompt axis of length `n_prompts`: both sides see the same resampled prompts, so
    that what makes a prompt hard or easy for both cancels. `second` may be a constant. Exchanging the sides changes the
    sign and nothing else.
    """
    sides = [first] if isinstance(second, float) else [first, second]
    of_all = resampled([statistic for side in sides for statistic in side], n_prompts, resamples, seed)
    values = [of_all[: len(first)], of_all[len(first) :]][: len(sides)]
    known = ~np.isnan(np.concatenate(values)).any(axis=0)
    values = [each[:, known] for each in values]
    of_second = second if isinstance(second, float) else _mean(second)
    means = [each.mean(axis=0) for each in values]
    return PairedDifference(
        difference=_mean(first) - of_second,
        n_prompts=n_prompts,
        first=_spread(first, values[0]),
        second=None if isinstance(second, float) else _spread(second, values[1]),
        by_prompts=float(np.var(means[0] - (means[1] if len(means) > 1 else 0.0), ddof=1)),
    )


def seed_spread(statistics: Sequence[Statistic], n_prompts: int, *, resamples: int, seed: int = 0) -> SeedSpread:
    """Measure how far training seeds differ, one statistic each, on `n_prompts` resampled prompts."""
    values = resampled(statistics, n_prompts, resamples, seed)
    return _spread(statistics, values[:, ~np.isnan(values).any(axis=0)])


def _spread(statistics: Sequence[Statistic], values: FloatArray) -> SeedSpread:
    """Return the spread of statistics with their `values` [training seeds, resamples]."""
    n_seeds = len(statistics)
    if n_seeds == 1:
        return SeedSpread(1, 0.0, 0.0, 0)
    between = float(np.var([statistic.value for statistic in statistics], ddof=1))
    by_prompts = float((values - values.mean(axis=0)).var(axis=1, ddof=1).sum()) / (n_seeds - 1)
    return SeedSpread(n_seeds, between, by_prompts, n_seeds - 1)


def with_pooled_spread(difference: PairedDifference) -> PairedDifference:
    """Return the difference of two runs of one method, which has one spread: that of both runs' training seeds
    together."""
    sides = difference.sides
    degrees_of_freedom = sum(side.degrees_of_freedom for side in sides)
    divisor = max(1, degrees_of_freedom)
    between = sum(side.degrees_of_freedom * side.between for side in sides) / divisor
    by_prompts = sum(side.degrees_of_freedom * side.by_prompts for side in sides) / divisor
    first, second = (SeedSpread(side.n_seeds, between, by_prompts, degrees_of_freedom) for side in sides)
    return replace(difference, first=first, second=second, is_pooled=True)


def interval(difference: PairedDifference, level: float = 0.95) -> tuple[float, float]:
    """Return the `level` interval of a difference by itself, over prompts and, from two a side on, over training
    seeds."""
    error, degrees_of_freedom = _of_itself(difference)
    reach = float(stats.t.isf((1 - level) / 2, degrees_of_freedom)) * error
    return difference.difference - reach, difference.difference + reach


def mean_interval(statistics: Sequence[Statistic], n_prompts: int, *, resamples: int, seed: int) -> tuple[float, float]:
    """Return the 95 % interval of a score in per cent: of the mean of `statistics`, one for each training seed.

    All are on the same `n_prompts` prompts. With one training seed it is the bootstrap's, over prompts alone.
    """
    if len(statistics) == 1:
        return score_interval(resampled(statistics, n_prompts, resamples, seed)[0], n_prompts)
    return within_bounds(
        interval(paired_difference(statistics, 0.0, n_prompts, resamples=resamples, seed=seed)), n_prompts
    )


def welch_test(difference: PairedDifference) -> TTest:
    """Test a difference by itself, as its `interval` has it: not for a verdict among several."""
    return _test(difference, *_of_itself(difference))


def checkpoint_test(difference: PairedDifference) -> TTest:
    """Test whether these very checkpoints differ: the draw of prompts alone, nothing of the training seeds."""
    return _test(difference, *_of_checkpoints(difference))


def family_tests(
    differences: Sequence[PairedDifference],
    cells: Sequence[tuple[Hashable, ...]],
    others: Iterable[SeedSpread] = (),
) -> list[TTest]:
    """Test each difference with the spread of training seeds that all cells of the family tell of; in the order given.

    `cells` names the cell of each side of each difference, so that a cell of several comparisons counts once; a pooled
    spread counts once if both its sides have one name. `others` are spreads of scores that are not compared. With too
    few training seeds for a verdict on methods a difference is tested on its checkpoints (`checkpoint_test`).
    """
    spreads = {
        cell: side
        for difference, names in zip(differences, cells, strict=True)
        for cell, side in zip(names, difference.sides, strict=True)
    }
    family = Family([*spreads.values(), *others])
    return [
        _test(difference, *difference.error(family.variance))
        if difference.covers_training_seeds
        else checkpoint_test(difference)
        for difference in differences
    ]


class Family:
    """The common part of the spreads of a family: the smallest variance that one of its cells can have."""

    def __init__(self, spreads: Sequence[SeedSpread]) -> None:
        telling = [spread for spread in spreads if spread.degrees_of_freedom and spread.by_prompts > 0]
        self._prior: Prior = fit_prior(
            [spread.ratio for spread in telling], [spread.degrees_of_freedom for spread in telling]
        )
        self._total = sum(spread.degrees_of_freedom for spread in telling)

    def variance(self, spread: SeedSpread) -> tuple[float, float]:
        """Return the variance between a cell's training seeds, not below what is common, and its degrees of freedom."""
        own = spread.degrees_of_freedom
        lent = min(self._prior.degrees_of_freedom, self._total - own) if spread.by_prompts > 0 else 0.0
        common = self._prior.variance * spread.by_prompts  # of too few cells: what prompts alone would make
        if spread.between > common:
            return spread.between, max(own, (lent + own) * common / spread.between)
        return common, lent + own


def _of_itself(difference: PairedDifference) -> tuple[float, float]:
    """Return the standard error and degrees of freedom of a difference, by nothing but its own training seeds and
    prompts."""
    if not all(side.degrees_of_freedom for side in difference.sides):
        return _of_checkpoints(difference)
    return difference.error(lambda side: (side.between, side.degrees_of_freedom))


def _of_checkpoints(difference: PairedDifference) -> tuple[float, float]:
    return math.sqrt(difference.by_prompts), max(1, difference.n_prompts - 1)


def _test(difference: PairedDifference, error: float, degrees_of_freedom: float) -> TTest:
    """Return the t test, with a p-value not below that of a sign test on prompts which all say the same."""
    if difference.difference == 0:
        return TTest(error, degrees_of_freedom, 1.0)
    p_value = 2 * float(stats.t.sf(abs(difference.difference) / error, degrees_of_freedom)) if error else 0.0
    least = max(difference.least_p_value, min(1.0, 2 * 0.5**difference.n_prompts))
    return TTest(error, degrees_of_freedom, max(least, p_value), is_bounded=least > p_value)


def _mean(statistics: Sequence[Statistic]) -> float:
    return math.fsum(statistic.value for statistic in statistics) / len(statistics)

"""Intervals of the ranks of many models, all at once: how much of a leaderboard is more than chance.

Every model answers the same prompts, so that two models differ by less chance than either score has. For each pair of
models the difference of their scores is divided by its standard error over resampled prompts, and the 95 % quantile of
the largest of these, over all pairs at once, is the bound above which a pair is told apart. A model's best rank is one
after those that are told apart above it, its worst is one before those that are told apart below it. With a chance of
95 % every model's true rank lies in its interval (Mogstad, Romano, Shaikh and Wilhelm 2024, "Inference for Ranks with
Applications to Mobility across Neighbourhoods and Academic Achievement across Countries"). After that the bound is
taken again over what is left to be told apart, until nothing is added (Romano and Wolf 2005, "Exact and Approximate
Stepdown Methods for Multiple Hypothesis Testing"). The bound is Student's, for standard errors that are themselves
estimates. docs/statistics.md says what else was tried, and how often each
covers.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from evals.stats.bootstrap import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]

_ROUNDING = 1e-9
"""In units of the score: a standard error of a difference below this is none."""


@dataclass(frozen=True)
class RankIntervals:
    """The ranks of models, 1 being the best: `low` and `high` are the ends of each interval, [models].

    `above` [models, models] says of each model which others it is told apart from as the better one.
    """

    low: IntArray
    high: IntArray
    above: BoolArray


def rank_intervals(scores: FloatArray, values: FloatArray, n_prompts: int, level: float = 0.95) -> RankIntervals:
    """Return the intervals of all models' ranks, which cover all true ranks at once with probability `level`.

    `scores` [models], more being better, and `values` [models, resamples], the scores on the same resampled prompts;
    a resample in which any score is NaN is left out. Models whose difference does not vary are told apart where a sign
    test on prompts that all agree would, after Bonferroni. Raises ValueError for fewer than two models or resamples.
    """
    values = values[:, ~np.isnan(values).any(axis=0)]
    if len(scores) < 2 or values.shape[1] < 2:
        raise ValueError(f"{len(scores)} models and {values.shape[1]} resamples have no rank intervals")
    differences = _Differences(scores, values, n_prompts)
    above = differences.always & (_least_p_value(n_prompts) * _pairs(len(scores)) < 1 - level)
    freedom = _degrees_of_freedom(n_prompts, values.shape[1])
    while True:
        found = above | (differences.studentized > differences.bound(above, level, freedom))
        if (found == above).all():
            return intervals_of(above)
        above = found


def intervals_of(above: BoolArray) -> RankIntervals:
    """Return the rank intervals that follow from who is told apart as better than whom [models, models]."""
    return RankIntervals(1 + above.sum(axis=0), len(above) - above.sum(axis=1), above)


def alike_runs(above: BoolArray, order: IntArray) -> list[tuple[int, int]]:
    """Return the longest runs of models in `order` of which no two are told apart, as first and last place from 0.

    Runs overlap: a model may be told apart from neither of two others that are told apart. No run holds another.
    """
    apart = (above | above.T)[np.ix_(order, order)]
    runs: list[tuple[int, int]] = []
    first = 0
    for last in range(len(order)):
        conflicts = np.flatnonzero(apart[first : last + 1, last])
        if conflicts.size:
            runs.append((first, last - 1))
            first += int(conflicts[-1]) + 1
    return [*runs, (first, len(order) - 1)]


class _Differences:
    """All differences between two of the models, over their standard errors.

    `studentized` [models, models] is first minus second; `always` are the pairs whose difference never varies.
    """

    def __init__(self, scores: FloatArray, values: FloatArray, n_prompts: int) -> None:
        # Resampled prompts vary as if their mean were known: n for n - 1.
        self._centred = (values - values.mean(axis=1, keepdims=True)) * math.sqrt(n_prompts / max(1, n_prompts - 1))
        apart = scores[:, None] - scores
        self._errors = np.stack([_errors(row, self._centred) for row in self._centred])
        varies = self._errors > _ROUNDING
        self.studentized: FloatArray = np.divide(apart, self._errors, out=np.zeros_like(apart), where=varies)
        self.always: BoolArray = ~varies & (apart > _ROUNDING)

    def bound(self, above: BoolArray, level: float, degrees_of_freedom: float = np.inf) -> float:
        """Return the `level` quantile of the largest studentized difference, over pairs not told apart in that order.

        The quantile is that of known standard errors; with `degrees_of_freedom` it is Student's of the same tail.
        """
        largest = np.zeros(self._centred.shape[1])
        for first, inverse in self._rows():
            drawn = self._centred[first] - self._centred[first + 1 :]
            drawn *= inverse[:, None]
            down, up = above[first, first + 1 :], above[first + 1 :, first]
            np.maximum(largest, drawn[~down].max(axis=0, initial=0.0), out=largest)
            np.maximum(largest, -drawn[~up].min(axis=0, initial=0.0), out=largest)
        place = min(len(largest), int(np.ceil(level * (len(largest) + 1))))
        quantile = np.partition(largest, place - 1)[place - 1]
        return float(stats.t.isf(stats.norm.sf(quantile), degrees_of_freedom))

    def _rows(self) -> Iterator[tuple[int, FloatArray]]:
        """Yield each model but the last with one over the errors of its differences from those after it; 0 for none."""
        for first in range(len(self._centred) - 1):
            errors = self._errors[first, first + 1 :]
            yield first, np.divide(1, errors, out=np.zeros_like(errors), where=errors > _ROUNDING)


def _errors(row: FloatArray, centred: FloatArray) -> FloatArray:
    """Return the standard errors of one model's differences from all [models], of centred values."""
    errors: FloatArray = np.sqrt(((row - centred) ** 2).sum(axis=1) / (len(row) - 1))
    return errors


def _degrees_of_freedom(n_prompts: int, resamples: int) -> float:
    """Return those of a standard error that is known from so many resamples of so many prompts."""
    return 1 / (1 / max(1, n_prompts - 1) + 1 / (resamples - 1))


def _least_p_value(n_prompts: int) -> float:
    """Return the p-value of the sign test on prompts that all say the same."""
    return min(1.0, 2 * 0.5**n_prompts)


def _pairs(models: int) -> int:
    return models * (models - 1) // 2

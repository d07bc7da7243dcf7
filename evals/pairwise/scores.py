"""Pairwise judge win rate between any two sets of responses (SGPO, Table 1 and figures 8 and 10; SRPO, section C.3).

Each pair is judged in both orders. A verdict gives the output 1 point for a win, ½ for a tie, 0 for a loss; a prompt's
points are the mean over its verdicts. Verdict labels are Arena-Hard's, and how decisive they are does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evals import scoring, withholding
from evals.base import RESAMPLES, ItemResults, Metric

if TYPE_CHECKING:
    from evals.stats.bootstrap import FloatArray, Statistic

WIN_RATE = Metric("win_rate")
CONSISTENCY = Metric("consistency")
FIRST_SHOWN = Metric("first_shown_win_rate")
METRICS = (WIN_RATE, CONSISTENCY, FIRST_SHOWN)

EVEN = 50.0
"""The win rate, in per cent, of two sets that are equally good; position bias does not move it."""


@dataclass(frozen=True, slots=True)
class PairVerdicts:
    """The verdicts on one pair: the output's points when it was shown second and when it was shown first.

    One entry a verdict: more than one in each order when the judge is asked repeatedly. Failed verdicts are left out.
    """

    prompt_id: str
    shown_second: tuple[float, ...]
    shown_first: tuple[float, ...]

    @property
    def is_complete(self) -> bool:
        """Whether there is a verdict in each order: with one alone, the order would count for or against the output."""
        return bool(self.shown_second and self.shown_first)


def score_pairs(
    pairs: Sequence[PairVerdicts],
    *,
    n_prompts: int,
    resamples: int = RESAMPLES,
    seed: int = 0,
    allow_missing: bool = False,
) -> dict[str, Any]:
    """Return the win rate of the outputs over the baselines, in per cent, and what it rests on.

    Returns `win_rate`; `consistency`, the share of prompts whose two orders have the same winner (or both a tie);
    `first_shown_win_rate`, the points of whichever answer stood first: 50 for a judge without position bias, and
    `position_bias`, what it is above 50; `ci95` of each from a bootstrap over prompts (None for a single prompt);
    `n_wins`, `n_draws`, `n_losses` by prompt; `n_total` prompts with a verdict in both orders, of `n_asked`. Below 99 %
    all headlines are None and `withheld` says why, unless `allow_missing`.
    """
    complete = [pair for pair in pairs if pair.is_complete]
    too_few = withholding.withheld(len(complete), n_prompts, allow_missing=allow_missing)
    result: dict[str, Any] = {
        "n_total": len(complete),
        "n_asked": n_prompts,
        "n_missing": n_prompts - len(complete),
        "withheld": too_few,
        "resamples": resamples,
        "seed": seed,
    }
    if too_few or not complete:
        names = [metric.name for metric in METRICS]
        return {**dict.fromkeys((*names, "position_bias")), "ci95": dict.fromkeys(names), **result}
    statistics = _statistics(complete)
    points = _points(complete)
    return {
        **{metric.name: statistic.value for metric, statistic in statistics.items()},
        "position_bias": statistics[FIRST_SHOWN].value - 50,
        "ci95": scoring.intervals(statistics, len(complete), resamples=resamples, seed=seed),
        "n_wins": int((points > 0.5).sum()),
        "n_draws": int((points == 0.5).sum()),
        "n_losses": int((points < 0.5).sum()),
        **result,
    }


@dataclass(frozen=True, slots=True)
class Pairs(ItemResults):
    """One set of verdicts; prompts without one in each order have no result."""

    pairs: Sequence[PairVerdicts]
    metrics: Sequence[Metric] = (WIN_RATE,)

    @property
    def items(self) -> Sequence[str]:
        """The prompts with verdicts in both orders."""
        return [pair.prompt_id for pair in self.pairs if pair.is_complete]

    def statistic(self, metric: str, items: Sequence[str]) -> Statistic:
        """Return the win rate on prompts."""
        from evals.stats.win_rate import win_rate_statistic

        return win_rate_statistic(self.points(items))

    def points(self, prompts: Sequence[str]) -> FloatArray:
        """Return the output's points on each of `prompts`."""
        by_prompt = {pair.prompt_id: pair for pair in self.pairs}
        return _points([by_prompt[id] for id in prompts])


def compare_with_even(
    sets: Sequence[Pairs],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    allow_missing: bool = False,
) -> dict[str, Any]:
    """Test whether one win rate, one set of verdicts a training seed, is above 50 %: a test of one sample.

    The keys are those of `scoring.comparison`; `difference` is the win rate minus 50, in points. The p-value is at
    least that of the exact sign test on the prompts, each with its mean points over the training seeds: few prompts
    that are nearly all won do not tell how far others would differ. `withheld` says why where less than 99 % of the
    prompts have their verdicts in all sets, unless `allow_missing`, and where none has.
    """
    import numpy as np

    from evals.stats.sign_test import sign_test

    shared = scoring.shared_items(sets)
    asked = max(len(each.pairs) for each in sets)
    too_few = withholding.withheld(len(shared), asked, allow_missing=allow_missing)
    if too_few or not shared:
        return scoring.no_comparison(WIN_RATE.name, too_few or "no verdicts", len(shared))
    points = np.mean([each.points(shared) for each in sets], axis=0)
    result = scoring.comparison(
        WIN_RATE.name,
        [each.statistic(WIN_RATE.name, shared) for each in sets],
        float(EVEN),
        len(shared),
        resamples=resamples,
        seed=seed,
        least_p_value=sign_test(points - 0.5),
    )
    if abs(result["difference"]) == EVEN:
        result["ci95"] = _unanimous_interval(len(shared), is_above=result["difference"] > 0)
    return result


def _unanimous_interval(n_prompts: int, *, is_above: bool) -> list[float]:
    """Return the 95 % interval of a win rate of 0 or 100 %, less 50.

    Resampled prompts that are all won cannot show that others might not be: the exact binomial interval of as many
    alike outcomes stands in for theirs, as for a score.
    """
    import numpy as np

    from evals.stats.bootstrap import score_interval

    lower, upper = score_interval(np.array([100.0 if is_above else 0.0]), n_prompts)
    return [lower - EVEN, upper - EVEN]


def _points(pairs: Sequence[PairVerdicts]) -> FloatArray:
    """Return the output's points on each prompt [prompts], both orders with the same weight."""
    second, first = _points_by_order(pairs)
    return (first + second) / 2


def _points_by_order(pairs: Sequence[PairVerdicts]) -> tuple[FloatArray, FloatArray]:
    """Return the output's points on each prompt, shown second and shown first."""
    import numpy as np

    second = np.array([np.mean(pair.shown_second) for pair in pairs])
    first = np.array([np.mean(pair.shown_first) for pair in pairs])
    return second, first


def _statistics(pairs: Sequence[PairVerdicts]) -> dict[Metric, Statistic]:
    import numpy as np

    from evals.stats.win_rate import win_rate_statistic

    second, first = _points_by_order(pairs)
    same_winner = np.sign(first - 0.5) == np.sign(second - 0.5)
    return {
        WIN_RATE: win_rate_statistic(_points(pairs)),
        CONSISTENCY: win_rate_statistic(same_winner.astype(float)),
        FIRST_SHOWN: win_rate_statistic((first + 1 - second) / 2),
    }

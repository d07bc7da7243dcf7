"""Did a change to a method move its scores by more than another draw of training seeds and prompts would?

Two runs of a method, before and after a change, each with some training seeds: the family test of
`evals.stats.comparison`, where both runs have one spread between training seeds, pooled, with k_b + k_c - 2 degrees of
freedom for k_b and k_c seeds. Scores that the change left alone are not tested but tell of the spread too.

Runs that share training seeds are treated as if they did not: where a seed does well before and after a change, the
test is on the safe side. docs/regress.md says what was measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evals.stats.bootstrap import Statistic
from evals.stats.comparison import (
    PairedDifference,
    SeedSpread,
    TTest,
    family_tests,
    interval,
    paired_difference,
    with_pooled_spread,
)
from evals.stats.multiplicity import SIGNIFICANCE, holm, level_left
from evals.stats.power import power

RegressionOutcome = Literal["better", "worse", "cannot tell"]


@dataclass(frozen=True)
class Sides:
    """One score in both runs, a statistic a training seed, all on the same `n_prompts` prompts."""

    baseline: Sequence[Statistic]
    candidate: Sequence[Statistic]
    n_prompts: int


@dataclass(frozen=True)
class Change:
    """Candidate minus baseline: the difference in the statistic's unit, and whether it is more than chance.

    `standard_error` and `degrees_of_freedom` are those of the t test behind `p_value`; `ci95` is the interval of this
    score by itself. `p_holm` and `outcome` are of it as one of the family. `minimum_detectable_effect` is the true
    difference that such a test decides in 80 % of repeats, at the level that Holm's method leaves to the first of the
    undecided tests. With too few training seeds for a verdict, or a single prompt, all but the difference is None.
    """

    difference: float
    outcome: RegressionOutcome
    standard_error: float | None = None
    degrees_of_freedom: float | None = None
    ci95: tuple[float, float] | None = None
    p_value: float | None = None
    p_holm: float | None = None
    minimum_detectable_effect: float | None = None


def compare_runs(changed: Sequence[Sides], unchanged: Sequence[SeedSpread] = (), *, resamples: int) -> list[Change]:
    """Test all changed scores of two runs as one family, by Holm's method at 5 %; in the order given.

    `unchanged` are the spreads of scores that are the same in both runs: not tested, but their seeds differ too.
    Exchanging the runs changes signs and nothing else. The unit of a score is of no consequence to the others.
    """
    differences = [
        with_pooled_spread(paired_difference(each.candidate, each.baseline, each.n_prompts, resamples=resamples))
        for each in changed
    ]
    tested = [place for place, each in enumerate(differences) if each.covers_training_seeds and each.n_prompts > 1]
    spreads = [side for place, each in enumerate(differences) if place not in tested for side in each.sides[:1]]
    tests = family_tests(
        [differences[place] for place in tested], [(place, place) for place in tested], [*unchanged, *spreads]
    )
    adjusted = holm([test.p_value for test in tests])
    level = level_left(adjusted)
    changes = [Change(each.difference, "cannot tell") for each in differences]
    for place, test, p_holm in zip(tested, tests, adjusted, strict=True):
        changes[place] = _change(differences[place], test, p_holm, level)
    return changes


def _change(difference: PairedDifference, test: TTest, p_holm: float, level: float) -> Change:
    return Change(
        difference.difference,
        _outcome(difference.difference, p_holm),
        standard_error=test.standard_error,
        degrees_of_freedom=test.degrees_of_freedom,
        ci95=interval(difference),
        p_value=test.p_value,
        p_holm=p_holm,
        minimum_detectable_effect=power(difference, test, level).minimum_detectable_effect,
    )


def _outcome(difference: float, p_holm: float) -> RegressionOutcome:
    if p_holm >= SIGNIFICANCE:
        return "cannot tell"
    return "better" if difference > 0 else "worse"

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from evals import scoring
from evals.base import ItemResults, Metric
from evals.stats.bootstrap import Statistic, resample_counts, score_interval
from evals.stats.comparison import interval, paired_difference, welch_test
from evals.stats.win_rate import win_rate_statistic

N = 40
WIN_RATE = Metric("win_rate")


def seeds(n: int) -> list[Statistic]:
    """The win rates of `n` training seeds on the same prompts."""
    return [win_rate_statistic(row) for row in np.random.default_rng(0).uniform(size=(n, N))]


@dataclass(frozen=True)
class Results(ItemResults):
    """A metric on `N` items, of which `n_missing` have no result."""

    of: Statistic
    n_missing: int = 0
    metrics: Sequence[Metric] = (WIN_RATE,)

    @property
    def items(self) -> Sequence[int]:
        return range(N)

    @property
    def n_results(self) -> int:
        return N - self.n_missing

    def statistic(self, metric: str, items: Sequence[int]) -> Statistic:
        return self.of

    def withheld(self, metric: str, items: Sequence[int], *, allow_missing: bool) -> str | None:
        return None if metric == WIN_RATE.name else "this one is never shown"


def over(of_seeds: list[Statistic], *, allow_missing: bool = True, **of: Any) -> dict[str, Any]:
    sets = [Results(each, number, **of) for number, each in enumerate(of_seeds)]
    return scoring.score(sets, asked=N, allow_missing=allow_missing, resamples=50)


def test_a_metric_is_shown_by_seed_and_on_average_with_its_interval() -> None:
    of_seeds = seeds(3)
    found = over(of_seeds)
    assert found["per_seed"]["win_rate"] == [each.value for each in of_seeds]
    assert found["mean"]["win_rate"] == pytest.approx(np.mean([each.value for each in of_seeds]))
    low, high = found["ci95"]["win_rate"]
    assert low < found["mean"]["win_rate"] < high
    assert (found["n_training_seeds"], found["n_asked"], found["n_missing"]) == (3, 3 * N, 3)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_one_training_seed_has_the_interval_over_prompts_alone() -> None:
    (one,) = seeds(1)
    found = over([one])
    assert found["ci95"]["win_rate"] == list(score_interval(one.resample(resample_counts(N, 50, 0)), N))


@pytest.mark.parametrize("second", ["methods", "a constant"])
def test_a_comparison_holds_its_own_test_and_all_that_a_family_needs(second: str) -> None:
    first, other = seeds(3), 50.0 if second == "a constant" else seeds(5)[3:]
    found = scoring.comparison("win_rate", first, other, N, resamples=50, seed=1, least_p_value=0.25)
    measured = scoring.measured_difference(json.loads(json.dumps(found, allow_nan=False)))
    assert measured.least_p_value == 0.25
    by_itself = paired_difference(first, other, N, resamples=50, seed=1)
    assert (measured.sides, measured.by_prompts) == (by_itself.sides, by_itself.by_prompts)
    assert found["difference"] == measured.difference == by_itself.difference
    assert found["ci95"] == list(interval(measured))
    assert found["p_value"] == max(0.25, welch_test(by_itself).p_value)
    assert (found["metric"], found["n_prompts"], found["resamples"], found["seed"]) == ("win_rate", N, 50, 1)


def test_what_is_withheld_has_no_difference() -> None:
    assert scoring.no_comparison("win_rate", "too few", 7) == {
        "metric": "win_rate",
        "withheld": "too few",
        "n_prompts": 7,
    }


def test_a_metric_that_no_seed_has_is_none_beside_others() -> None:
    found = over(seeds(3), metrics=(WIN_RATE, Metric("length_controlled_winrate")))
    for part in ("per_seed", "mean", "ci95"):
        assert found[part]["length_controlled_winrate"] is None
        assert found[part]["win_rate"] is not None


def test_what_is_withheld_is_not_shown_under_any_name() -> None:
    found = over(seeds(3), allow_missing=False)
    assert found["per_seed"] == found["mean"] == found["ci95"] == {"win_rate": None}
    assert found["withheld"].startswith(f"only {N - 2} of {N} verdicts are there")
    assert found["n_missing"] == 3


def test_one_prompt_has_no_interval_and_none_is_an_error() -> None:
    one = {WIN_RATE: win_rate_statistic(np.array([0.7]))}
    assert scoring.intervals(one, 1, resamples=10, seed=0) == {"win_rate": None}
    with pytest.raises(ValueError, match="cannot draw"):
        scoring.intervals(one, 0, resamples=10, seed=0)


@pytest.mark.parametrize(("shape", "expected"), [((1, 1), False), ((1, 2), True), ((2, 1), True)])
def test_the_uncertainty_of_one_set_of_verdicts_has_no_parts(shape: tuple[int, int], expected: bool) -> None:
    n_seeds, n_repeats = shape
    sets = [[Results(each) for each in seeds(n_repeats)] for _ in range(n_seeds)]
    assert bool(scoring.uncertainty(sets, resamples=20)) is expected

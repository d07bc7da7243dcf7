import json
from typing import Any

import numpy as np
import pytest

from evals import summaries
from evals.stats.bootstrap import Statistic, resample_counts, score_interval
from evals.stats.comparison import interval, paired_difference, welch_test
from evals.stats.win_rate import win_rate_statistic

N = 40


def seeds(n: int) -> list[Statistic]:
    """The win rates of `n` training seeds on the same prompts."""
    return [win_rate_statistic(row) for row in np.random.default_rng(0).uniform(size=(n, N))]


def over(statistics: dict[str, list[Statistic]], *, withheld: str | None = None) -> dict[str, Any]:
    return summaries.over_training_seeds(
        statistics, N, asked=N, missing=[0, 1, 2], withheld=withheld, resamples=50, seed=0
    )


def test_a_metric_is_shown_by_seed_and_on_average_with_its_interval() -> None:
    of_seeds = seeds(3)
    found = over({"win_rate": of_seeds})
    assert found["per_seed"]["win_rate"] == [each.value for each in of_seeds]
    assert found["mean"]["win_rate"] == pytest.approx(np.mean([each.value for each in of_seeds]))
    low, high = found["ci95"]["win_rate"]
    assert low < found["mean"]["win_rate"] < high
    assert (found["n_training_seeds"], found["n_asked"], found["n_missing"]) == (3, 3 * N, 3)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_one_training_seed_has_the_interval_over_prompts_alone() -> None:
    (one,) = seeds(1)
    found = summaries.over_training_seeds(
        {"win_rate": [one]}, N, asked=N, missing=[0], withheld=None, resamples=50, seed=0
    )
    assert found["ci95"]["win_rate"] == list(score_interval(one.resample(resample_counts(N, 50, 0)), N))


@pytest.mark.parametrize("second", ["methods", "a constant"])
def test_a_comparison_holds_its_own_test_and_all_that_a_family_needs(second: str) -> None:
    first, other = seeds(3), 50.0 if second == "a constant" else seeds(5)[3:]
    found = summaries.comparison("win_rate", first, other, N, resamples=50, seed=1, least_p_value=0.25)
    measured = summaries.measured_difference(json.loads(json.dumps(found, allow_nan=False)))
    assert measured.least_p_value == 0.25
    by_itself = paired_difference(first, other, N, resamples=50, seed=1)
    assert (measured.sides, measured.by_prompts) == (by_itself.sides, by_itself.by_prompts)
    assert found["difference"] == measured.difference == by_itself.difference
    assert found["ci95"] == list(interval(measured))
    assert found["p_value"] == max(0.25, welch_test(by_itself).p_value)
    assert (found["metric"], found["n_prompts"], found["resamples"], found["seed"]) == ("win_rate", N, 50, 1)


def test_what_is_withheld_has_no_difference() -> None:
    assert summaries.no_comparison("win_rate", "too few", 7) == {
        "metric": "win_rate",
        "withheld": "too few",
        "n_prompts": 7,
    }


def test_a_metric_that_no_seed_has_is_none_beside_others() -> None:
    found = over({"win_rate": seeds(3), "length_controlled_winrate": []})
    for part in ("per_seed", "mean", "ci95"):
        assert found[part]["length_controlled_winrate"] is None
        assert found[part]["win_rate"] is not None


def test_what_is_withheld_is_not_shown_under_any_name() -> None:
    found = over({"win_rate": seeds(3)}, withheld="too few")
    assert found["per_seed"] == found["mean"] == found["ci95"] == {"win_rate": None}
    assert (found["withheld"], found["n_missing"]) == ("too few", 3)


def test_one_prompt_has_no_interval_and_none_is_an_error() -> None:
    one = {"win_rate": win_rate_statistic(np.array([0.7]))}
    assert summaries.intervals(one, 1, resamples=10, seed=0) == {"win_rate": None}
    with pytest.raises(ValueError, match="cannot draw"):
        summaries.intervals(one, 0, resamples=10, seed=0)


@pytest.mark.parametrize(("sets", "expected"), [([["a"]], False), ([["a", "b"]], True), ([["a"], ["b"]], True)])
def test_the_uncertainty_of_one_set_of_verdicts_has_no_parts(sets: list[list[str]], expected: bool) -> None:
    assert summaries.has_parts(sets) is expected

"""Which of two sets of responses has less of something: the test, and the steps around it on made-up measurements."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evals import scoring
from evals.item_scores import ItemValues
from evals.measures import MEASURES, TOKENS, compare_measurements, measured_less
from evals.scoring import measured_difference
from evals.stats.bootstrap import mean_statistic, resample_counts
from evals.stats.comparison import PairedDifference, welch_test
from evals.stats.power import Power, power
from harness.engine.artifacts import Output, step
from harness.engine.store import Store
from harness.errors import UserError
from harness.steps.edit_distance import EditDistance
from harness.steps.perplexity import Perplexity
from tests.evals.simulated import constant_statistic
from tests.steps.given import made

VALUES = st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=2, max_size=25)


def compare_less(
    better: Sequence[Mapping[str, float]], worse: Sequence[Mapping[str, float]], **rules: Any
) -> dict[str, Any]:
    sides = ([ItemValues([TOKENS], {"tokens": values}) for values in side] for side in (better, worse))
    return scoring.compare(*sides, "tokens", allow_missing=None, **rules)


def by_prompt(values: list[float]) -> dict[str, float]:
    return {f"p{number}": value for number, value in enumerate(values)}


def naive_comparison(
    better: Mapping[str, float], worse: Mapping[str, float], resamples: int, seed: int
) -> tuple[float, list[float], float]:
    """Difference of means, interval and p-value (the t test over prompts) by loops over resamples and prompts."""
    prompts = sorted(better)
    differences = []
    for counts in resample_counts(len(prompts), resamples, seed):
        drawn = [id for id, count in zip(prompts, counts, strict=True) for _ in range(int(count))]
        differences.append(sum(worse[id] for id in drawn) / len(drawn) - sum(better[id] for id in drawn) / len(drawn))
    mean = sum(worse.values()) / len(worse) - sum(better.values()) / len(better)
    error = math.sqrt(sum((d - sum(differences) / resamples) ** 2 for d in differences) / (resamples - 1))
    reach = float(stats.t.ppf(0.975, len(prompts) - 1)) * error
    p_value = 2 * float(stats.t.sf(abs(mean) / error, len(prompts) - 1)) if error else 0.0
    p_value = max(p_value, 2 * 0.5 ** len(prompts)) if mean else 1.0
    return mean, [mean - reach, mean + reach], p_value


@given(values=VALUES, seed=st.integers(0, 3))
@settings(max_examples=40)
def test_the_comparison_equals_a_slow_loop(values: list[tuple[float, float]], seed: int) -> None:
    better, worse = (by_prompt(list(side)) for side in zip(*values, strict=True))
    result = compare_less([better], [worse], resamples=50, seed=seed)
    difference, interval, p_value = naive_comparison(better, worse, 50, seed)
    assert result["difference"] == pytest.approx(difference, abs=1e-9)
    assert result["ci95"] == pytest.approx(interval, abs=1e-9)
    if abs(difference) > 1e-9:  # below that rounding says whether it is 0
        assert result["p_value"] == pytest.approx(p_value, abs=1e-6)
    assert result["n_prompts"] == len(values)


@given(values=VALUES, n_seeds=st.integers(1, 3))
@settings(max_examples=40)
def test_exchanging_the_sets_changes_the_sign_and_nothing_else(values: list[tuple[float, float]], n_seeds: int) -> None:
    better, worse = (by_prompt(list(side)) for side in zip(*values, strict=True))
    firsts = [{id: value + 3 * number for id, value in better.items()} for number in range(n_seeds)]
    seconds = [{id: value * (1 + number) for id, value in worse.items()} for number in range(n_seeds)]
    forward = compare_less(firsts, seconds, resamples=50)
    backward = compare_less(seconds, firsts, resamples=50)
    assert forward["difference"] == pytest.approx(-backward["difference"], abs=1e-9)
    assert forward["ci95"] == pytest.approx([-end for end in reversed(backward["ci95"])], abs=1e-7)
    if abs(forward["difference"]) > 1e-9:
        assert forward["p_value"] == pytest.approx(backward["p_value"], abs=1e-6)
    one, other = measured_difference(forward), measured_difference(backward)
    assert one.by_prompts == pytest.approx(other.by_prompts, abs=1e-9)
    for side, exchanged in zip(one.sides, reversed(other.sides), strict=True):
        assert (side.n_seeds, side.degrees_of_freedom) == (exchanged.n_seeds, exchanged.degrees_of_freedom)
        assert side.between == pytest.approx(exchanged.between, abs=1e-9)
        assert side.by_prompts == pytest.approx(exchanged.by_prompts, abs=1e-9)


def test_less_is_better_in_the_unit_of_the_values() -> None:
    near, far = by_prompt([float(i) for i in range(40)]), by_prompt([i + 7.0 for i in range(40)])
    result = compare_less([near], [far], resamples=100)
    assert result["difference"] == pytest.approx(7.0)
    assert result["p_value"] < 1e-9
    assert compare_less([near], [near], resamples=100)["p_value"] == 1


def test_a_shift_of_all_values_cancels_and_a_factor_is_a_unit() -> None:
    rng = np.random.default_rng(0)
    better, worse = rng.normal(size=30), rng.normal(0.3, size=30)
    plain = compare_less([by_prompt(better.tolist())], [by_prompt(worse.tolist())], resamples=200)
    other = compare_less([by_prompt((10 * better + 5).tolist())], [by_prompt((10 * worse + 5).tolist())], resamples=200)
    assert other["difference"] == pytest.approx(10 * plain["difference"])
    assert other["ci95"] == pytest.approx([10 * end for end in plain["ci95"]])
    assert other["p_value"] == pytest.approx(plain["p_value"])
    found, scaled = (_undecided(measured_difference(each)) for each in (plain, other))
    assert scaled.minimum_detectable_effect == pytest.approx(10 * (found.minimum_detectable_effect or 0))
    assert (scaled.prompts_needed, scaled.needed) == (found.prompts_needed, found.needed)


def _undecided(difference: PairedDifference) -> Power:
    return power(difference, welch_test(difference))


def test_prompts_are_joined_by_id_and_few_may_lack_a_value() -> None:
    values = by_prompt([float(i) for i in range(200)])
    backwards = {id: value + 1 for id, value in reversed(values.items()) if id != "p3"}
    assert compare_less([values], [backwards], resamples=20)["difference"] == pytest.approx(1)
    half = {id: value for id, value in values.items() if value < 100}
    held = compare_less([values], [half], resamples=20)
    assert held["withheld"] == "the sets share 100 of 200 prompts"
    assert "difference" not in held
    assert compare_less([values], [{"other": 1.0}], resamples=20)["withheld"]


@given(values=st.lists(st.floats(-100, 100), min_size=1, max_size=20))
def test_a_mean_is_that_of_the_drawn_prompts(values: list[float]) -> None:
    counts = resample_counts(len(values), 7, 0)
    statistic = mean_statistic(np.array(values))
    expected = [sum(v * c for v, c in zip(values, row, strict=True)) / sum(row) for row in counts]
    assert statistic.value == pytest.approx(sum(values) / len(values))
    assert statistic.resample(counts) == pytest.approx(expected, abs=1e-9)
    assert constant_statistic(3.0).resample(counts).tolist() == [3.0] * 7


@step()
def made_up_distances(out: Output, *, tokens: dict[str, int]) -> None:
    """An edit distance for each prompt."""
    out.write_rows(EditDistance(id, 10 * value, 0.5, value, 0.5) for id, value in tokens.items())


@step()
def made_up_perplexities(out: Output, *, values: dict[str, float]) -> None:
    """A perplexity for each prompt, of four tokens."""
    out.write_rows(Perplexity(id, 4 * math.log(value), 4) for id, value in values.items())


def compared(store: Store, metric: str, **sides: Any) -> dict[str, Any]:
    made_of = {name: [each] for name, each in sides.items()}
    result: dict[str, Any] = made(store, compare_measurements(metric=metric, resamples=50, **made_of)).json(
        "comparison.json"
    )
    assert list(result) == [metric]
    return dict(result[metric])


def test_edit_distances_are_compared_in_tokens(store: Store) -> None:
    near, far = {f"p{i}": i for i in range(30)}, {f"p{i}": i + 4 for i in range(30)}
    result = compared(store, "tokens", better=made_up_distances(tokens=near), worse=made_up_distances(tokens=far))
    assert (result["difference"], result["unit"]) == (pytest.approx(4), "tokens")


def test_perplexities_are_compared_by_their_logarithms(store: Store) -> None:
    likely, unlikely = {f"p{i}": 2.0 + i for i in range(30)}, {f"p{i}": 6.0 + 3 * i for i in range(30)}
    result = compared(
        store, "log_perplexity", better=made_up_perplexities(values=likely), worse=made_up_perplexities(values=unlikely)
    )
    assert (result["difference"], result["unit"]) == (pytest.approx(math.log(3)), "nats")


def test_an_unknown_measure_is_refused() -> None:
    with pytest.raises(UserError, match="did you mean 'tokens'"):
        measured_less(metric="token", better=[], worse=[])
    assert set(MEASURES) == {"tokens", "log_perplexity"}

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from harness.engine.artifacts import Output, step
from harness.engine.store import Store
from harness.records import Response
from harness.steps.filter import FENCE, iqr_bounds, iqr_filter
from harness.steps.perplexity import Perplexity
from tests.steps.given import answers, made

VALUES = st.lists(st.floats(1, 1e6), min_size=1, max_size=60)


def naive_percentile(values: list[float], share: float) -> float:
    """By linear interpolation between the two nearest ranks."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    return below + (above - below) * (place - math.floor(place))


@given(values=VALUES)
def test_bounds_equal_the_naive_ones(values: list[float]) -> None:
    first, third = naive_percentile(values, 0.25), naive_percentile(values, 0.75)
    width = third - first
    assert iqr_bounds(values) == pytest.approx((first - 1.5 * width, third + 1.5 * width), rel=1e-9, abs=1e-6)


@given(values=VALUES)
def test_bounds_lie_as_far_apart_as_scipys_interquartile_range_says(values: list[float]) -> None:
    low, high = iqr_bounds(values)
    assert high - low == pytest.approx((1 + 2 * FENCE) * scipy.stats.iqr(values), rel=1e-9, abs=1e-6)


@given(values=VALUES, shift=st.floats(-100, 100), factor=st.floats(0.1, 10))
def test_bounds_move_with_the_values(values: list[float], shift: float, factor: float) -> None:
    low, high = iqr_bounds(values)
    moved = iqr_bounds([factor * value + shift for value in values])
    assert moved == pytest.approx((factor * low + shift, factor * high + shift), rel=1e-6, abs=1e-3)


def test_bounds_of_nothing_are_an_error() -> None:
    with pytest.raises(ValueError, match="quartiles of nothing"):
        iqr_bounds([])


@step()
def given_perplexities(out: Output, *, values: dict[str, float]) -> None:
    """A perplexity for each prompt id, as that of a single token."""
    out.write_rows(Perplexity(id, math.log(value), 1) for id, value in values.items())


@pytest.mark.parametrize("seed", range(3))
def test_exactly_the_outliers_are_dropped(store: Store, seed: int) -> None:
    values = {str(i): float(v) for i, v in enumerate(np.random.default_rng(seed).lognormal(1, 1, 80) + 1)}
    responses = answers({id: f"answer {id}" for id in reversed(values)})
    filtered = made(store, iqr_filter(responses=responses, perplexities=given_perplexities(values=values)))
    first, third = (naive_percentile(list(values.values()), share) for share in (0.25, 0.75))
    expected = [id for id in reversed(values) if abs(values[id] - (first + third) / 2) <= 2 * (third - first)]
    kept = filtered.rows(Response)
    assert [row.prompt.id for row in kept] == expected
    assert all(row.text == f"answer {row.prompt.id}" for row in kept)
    counts = store.record(filtered)["counts"]
    assert counts["outliers"] == len(values) - len(kept) > 0
    assert counts["rows"] == len(kept)
    assert (counts["lower_bound"], counts["upper_bound"]) == pytest.approx(iqr_bounds(list(values.values())))


def test_low_outliers_are_dropped_too_and_the_bounds_themselves_are_kept(store: Store) -> None:
    # Quartiles 60 and 70: bounds 45 and 85. The logarithm must not move the values that lie on them.
    values = {"low": 44.0, "a": 60.0, "b": 60.0, "c": 65.0, "d": 70.0, "e": 70.0, "high": 86.0}
    perplexities = given_perplexities(values=values)
    kept = made(store, iqr_filter(responses=answers(dict.fromkeys(values, "x")), perplexities=perplexities))
    assert [row.prompt.id for row in kept.rows(Response)] == ["a", "b", "c", "d", "e"]


def test_equal_perplexities_drop_nothing(store: Store) -> None:
    values = dict.fromkeys("abcde", 1.0)
    kept = made(
        store,
        iqr_filter(responses=answers(dict.fromkeys(values, "x")), perplexities=given_perplexities(values=values)),
    )
    assert len(kept.rows(Response)) == 5

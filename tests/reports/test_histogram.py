"""Overlaid histograms: their bins, and what cannot be drawn."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UserError
from reports.blocks import HistogramAxes, HistogramChart, HistogramSet
from reports.figures import INK
from reports.histogram import BINS, bin_edges, histogram_figure


def histograms(*panels: dict[str, list[float]], log_scale: bool = False) -> HistogramChart:
    shown = (
        HistogramAxes("", tuple(HistogramSet(name, tuple(values)) for name, values in sets.items())) for sets in panels
    )
    return HistogramChart(tuple(shown), "edit distance (tokens)", "Count", log_scale)


@given(values=st.lists(st.floats(1e-3, 1e6), min_size=1), log_scale=st.booleans())
def test_the_bins_hold_every_value(values: list[float], log_scale: bool) -> None:
    edges = bin_edges(histograms({"x": values[:1]}, {"y": values}, log_scale=log_scale))
    assert 2 <= len(edges) <= BINS + 1
    assert edges[0] <= min(values) and edges[-1] >= max(values)
    assert all(left <= right for left, right in pairwise(edges))


@given(values=st.lists(st.integers(0, 500), min_size=1))
def test_every_bin_of_counts_holds_equally_many_whole_numbers(values: list[int]) -> None:
    edges = bin_edges(histograms({"x": [float(value) for value in values]}))
    held = [sum(left < number < right for number in range(-1, 1100)) for left, right in pairwise(edges)]
    assert len(set(held)) == 1 and held[0] >= 1
    assert len(held) <= BINS
    assert edges[0] < min(values) and edges[-1] > max(values)


def test_every_value_is_counted_once_and_panels_share_their_axis() -> None:
    sets = {"before": [1.0, 2.0, 2.0, 9.0], "after": [1.0, 2.0, 2.0]}
    figure: Any = histogram_figure(histograms(sets, {"other": [5.0]}), INK)
    upper, lower = figure.axes
    outlines = [patch.get_path().vertices for patch in upper.patches if not patch.get_fill()]
    assert len(outlines) == 2
    assert [label.get_text() for label in upper.get_legend().get_texts()] == ["before (n = 4)", "after (n = 3)"]
    assert upper.get_xlim() == lower.get_xlim() == (0.5, 9.5)
    assert max(outlines[0][:, 1]) == 2  # the two equal values in one bin
    assert (lower.get_xlabel(), lower.get_ylabel()) == ("edit distance (tokens)", "Count")


@pytest.mark.parametrize(
    ("sets", "log_scale", "message"),
    [
        ({}, False, "no values"),
        ({"a": []}, False, "no values"),
        ({"a": [0.0, 1.0]}, True, "logarithmic"),
        ({"a": [1.0, float("inf")]}, False, "not finite"),
        ({name: [1.0] for name in "abcde"}, False, "at most 4 sets"),
    ],
)
def test_what_cannot_be_drawn_is_refused(sets: dict[str, list[float]], log_scale: bool, message: str) -> None:
    with pytest.raises(UserError, match=message):
        histogram_figure(histograms(sets, log_scale=log_scale), INK)

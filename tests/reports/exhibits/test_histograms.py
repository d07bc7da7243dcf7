"""Histograms: figures by base model, quartiles, and what the filter kept."""

from statistics import median
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UserError
from reports.blocks import HistogramChart, Table
from reports.exhibits.histograms import quartiles
from reports.histogram import STYLES
from tests.reports.conftest import made_up_manifest, view_of


def tables_of(manifest: dict[str, Any]) -> list[Table]:
    return [block for block in view_of(manifest).section.blocks if isinstance(block, Table)]


def test_one_figure_for_each_base_model() -> None:
    figures = view_of(made_up_manifest("fig5")).figures
    assert [figure.name for figure in figures] == ["fig5-qwen", "fig5-llama"]
    assert [figure.name for figure in view_of(made_up_manifest("fig3")).figures] == ["fig3"]
    drawing = figures[0].drawing
    assert isinstance(drawing, HistogramChart)
    assert [panel.title for panel in drawing.panels] == ["Improved responses ỹ_φ", "External LLM responses ŷ_φ"]
    assert [[each.label for each in panel.sets] for panel in drawing.panels] == [
        ["Before filtering", "After filtering"]
    ] * 2
    assert (drawing.x, drawing.y, drawing.log_scale) == ("Perplexity", "Count", False)


def kinds_of(name: str) -> dict[str, str]:
    """label -> kind, of all sets of the first figure of an exhibit."""
    drawing = view_of(made_up_manifest(name)).figures[0].drawing
    assert isinstance(drawing, HistogramChart)
    return {f"{panel.title}/{each.label}": each.kind for panel in drawing.panels for each in panel.sets}


def test_the_same_responses_are_of_one_kind_in_every_figure() -> None:
    of_fig3, of_fig5, of_fig9 = map(kinds_of, ("fig3", "fig5", "fig9"))
    assert of_fig3["/SFT response (response-A)"] == of_fig9["/y (SFT response)"] == "reference"
    assert of_fig3["/Improved response"] == of_fig5["Improved responses ỹ_φ/After filtering"] == "teacher_improvement"
    assert of_fig5["Improved responses ỹ_φ/Before filtering"] == "unfiltered"
    assert {*of_fig3.values(), *of_fig5.values(), *of_fig9.values()} <= STYLES.keys()


def test_the_unit_stands_at_the_axis_once() -> None:
    manifest = made_up_manifest("fig3")
    manifest["results"][0]["unit"] = "tokens"
    assert view_of(manifest).figures[0].drawing.x == "Edit distance from response-B (tokens)"  # type: ignore[union-attr]
    manifest["results"][0]["unit"] = "words"
    assert view_of(manifest).figures[0].drawing.x.endswith("(tokens) (words)")  # type: ignore[union-attr]


def test_median_and_quartiles_of_each_set() -> None:
    manifest = made_up_manifest("fig3")
    [table] = tables_of(manifest)
    values = manifest["results"][0]["values"][0]["values"]
    first = next(iter(table.rows)).cells
    assert first[:2] == ("Improved response", "150")
    assert first[3] == f"{median(values):.1f}"


def test_what_the_filter_kept_stands_beside_the_papers() -> None:
    kept = tables_of(made_up_manifest("fig5"))[1]
    assert [row.cells for row in kept.rows] == [
        ("Qwen2.5-Base (7B)", "43", "48", "89.6", "13,092", "13,500", "97.0"),
        ("Llama3-Base (8B)", "1,234", "1,500", "82.3", "11,561", "13,500", "85.6"),
    ]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_quartiles_are_numpys(values: list[float]) -> None:
    assert quartiles(values) == pytest.approx(tuple(np.percentile(values, [25, 50, 75])), rel=1e-9, abs=1e-6)


def test_no_values_have_no_quartiles() -> None:
    assert quartiles([]) == (None, None, None)


def test_a_model_without_values_is_not_drawn() -> None:
    manifest = made_up_manifest("fig5")
    part = manifest["results"][0]
    part["values"] = [each for each in part["values"] if each["model"] == "llama"]
    assert [figure.name for figure in view_of(manifest).figures] == ["fig5-llama"]


def test_an_unknown_set_is_an_error() -> None:
    manifest = made_up_manifest("fig3")
    values = manifest["results"][0]["values"]
    values[-1] = values[0] | {"set": "improvd"}
    with pytest.raises(UserError, match="unknown set of sgpo fig3 'improvd'; did you mean 'improved'"):
        view_of(manifest)

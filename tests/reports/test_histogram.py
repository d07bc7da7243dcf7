from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import UserError
from reports.histogram import BINS, Axes, bin_edges, draw_histogram

SETS = {"improved response": [3.0, 5.0, 5.0, 9.0], "SFT response (response-A)": [8.0, 20.0, 30.0]}
AXES = Axes("edit distance to response-B (characters)")


def test_the_pdf_embeds_truetype_fonts_and_no_picture(tmp_path: Path) -> None:
    pdf, png = draw_histogram(SETS, AXES, tmp_path / "figure3.qwen")
    content = pdf.read_bytes()
    assert pdf.name == "figure3.qwen.pdf"
    assert content.startswith(b"%PDF") and b"/CIDFontType2" in content and b"/FontFile2" in content
    assert b"/Type3" not in content and b"/Subtype /Image" not in content
    assert png.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("log_scale", [False, True])
def test_equal_values_give_equal_files(tmp_path: Path, log_scale: bool) -> None:
    axes = Axes("perplexity", log_scale=log_scale)
    first, second = draw_histogram(SETS, axes, tmp_path / "a"), draw_histogram(SETS, axes, tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@given(values=st.lists(st.floats(1e-3, 1e6), min_size=1), log_scale=st.booleans())
def test_the_bins_hold_every_value(values: list[float], log_scale: bool) -> None:
    edges = bin_edges({"x": values}, log_scale)
    assert len(edges) == BINS + 1
    assert edges[0] <= min(values) and edges[-1] >= max(values)
    assert all(left <= right for left, right in pairwise(edges))


@pytest.mark.parametrize(
    ("values", "log_scale", "message"),
    [
        ({}, False, "no values"),
        ({"a": []}, False, "no values"),
        ({"a": [0.0, 1.0]}, True, "logarithmic"),
        ({"a": [1.0, float("inf")]}, False, "not finite"),
        ({name: [1.0] for name in "abcde"}, False, "at most 4 sets"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    tmp_path: Path, values: dict[str, list[float]], log_scale: bool, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        draw_histogram(values, Axes("x", log_scale=log_scale), tmp_path / "figure")
    assert not list(tmp_path.iterdir())

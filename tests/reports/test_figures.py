"""Drawings: deterministic, self-contained, with embedded fonts; colours that can be told apart."""

import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

from reports import bars, histogram
from reports.blocks import Figure
from reports.figures import INK, Drawing, draw
from tests.reports.conftest import made_up_manifest, view_of

NAMES = ("table3", "table5", "fig3", "fig5-qwen", "fig5-llama", "fig8", "fig9", "fig10")


def figure_of(name: str) -> Figure:
    return view_of(made_up_manifest(name)).figures[0]


@pytest.fixture(scope="module")
def drawings(written: Path) -> dict[str, Drawing]:
    """As they were written; the elements of the page from their files."""
    return {name: _drawing(written / "figures" / name) for name in NAMES}


def _drawing(path: Path) -> Drawing:
    pdf, png, svg = (path.with_suffix(suffix).read_bytes() for suffix in (".pdf", ".png", ".svg"))
    element = svg.decode("utf-8")
    return Drawing(pdf, png, element[element.index("<svg") :].replace(INK, "currentColor"))


def test_every_figure_is_written_in_three_formats(written: Path) -> None:
    files = {path.name for path in (written / "figures").iterdir()}
    assert files == {f"{name}.{suffix}" for name in NAMES for suffix in ("pdf", "png", "svg")}


@pytest.mark.parametrize("name", ["fig3", "fig8"])
def test_equal_content_gives_equal_bytes(drawings: dict[str, Drawing], name: str) -> None:
    assert draw(figure_of(name)) == drawings[name]


def test_pdfs_embed_truetype_fonts_and_no_picture(drawings: dict[str, Drawing]) -> None:
    for drawing in drawings.values():
        assert drawing.pdf.startswith(b"%PDF")
        assert b"/CIDFontType2" in drawing.pdf and b"/FontFile2" in drawing.pdf
        assert b"/Type3" not in drawing.pdf and b"/Subtype /Image" not in drawing.pdf
        assert b"/CreationDate" not in drawing.pdf


def test_pngs_are_large_enough_to_print(drawings: dict[str, Drawing]) -> None:
    for drawing in drawings.values():
        assert drawing.png.startswith(b"\x89PNG")
        assert int.from_bytes(drawing.png[16:20]) >= 1000  # pixels across


def test_svgs_refer_to_nothing_outside_and_follow_the_pages_colour(drawings: dict[str, Drawing]) -> None:
    for name, drawing in drawings.items():
        ElementTree.fromstring(drawing.svg_file)
        assert drawing.svg.startswith("<svg") and "currentColor" in drawing.svg and INK not in drawing.svg
        assert not re.search(r'(?:href|src)="(?!#)', drawing.svg)
        assert all(target.startswith(f"#{name}-") for target in re.findall(r"url\(([^)]*)", drawing.svg))
        assert INK.encode() in drawing.svg_file


def test_ids_of_two_figures_on_one_page_are_distinct(drawings: dict[str, Drawing]) -> None:
    ids = [re.findall(r'\bid="([^"]*)"', drawing.svg) for drawing in drawings.values()]
    every = [each for of_one in ids for each in of_one]
    assert every and len(every) == len(set(every))


def test_words_of_a_figure_are_the_exhibits(drawings: dict[str, Drawing]) -> None:
    text = {name: " ".join(ElementTree.fromstring(drawing.svg_file).itertext()) for name, drawing in drawings.items()}
    for said in ("Perplexity", "Count", "Improved responses ỹ_φ", "Before filtering (n = 150)", "After filtering"):
        assert said in text["fig5-qwen"]
    for said in ("won", "tied", "lost", "the paper's win rate", "70.00 [64.88, 74.88]", "no value", "prompts (%)"):
        assert said in text["fig10"]
    for said in ("SGPO-v2", "SFT (ours)", "ours, 95 % interval", "ours, not in the paper", "the paper"):
        assert said in text["table5"]


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2) of ``#rrggbb``, in [0, 1]."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_shares_can_be_told_apart_in_grey() -> None:
    assert all(contrast(*pair) >= 1.8 for pair in combinations(bars.SHARES.values(), 2))


def test_intervals_are_seen_on_bars_in_light_and_dark() -> None:
    for bar in (bars.OURS, bars.OURS_ADDED):
        assert contrast(bar, INK) >= 4
        assert contrast(bar, "#e4e9f0") >= 2.2  # the text of a dark page


def test_overlaid_sets_differ_in_line_and_colour() -> None:
    assert len(set(histogram.LINES)) == len(set(histogram.COLOURS)) == len(histogram.LINES)

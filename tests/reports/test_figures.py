"""Drawings: deterministic, self-contained, with embedded fonts; colours that can be told apart."""

import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Drawn
from matplotlib.text import Text

from harness.results.manifest import parse_manifest
from reports import bars, histogram
from reports.blocks import Bar, BarChart, BarPanel, Figure, Report
from reports.figures import FONTS, INK, Drawing, draw, to_matplotlib
from reports.mathtext import with_subscripts
from reports.report import build_report
from tests.reports.conftest import made_up_curves, made_up_manifest, report_of, view_of

OF_CURVES = ("curves-llama", "curves-qwen")
NAMES = ("table3", "table5", "fig3", "fig5-qwen", "fig5-llama", "fig8", "fig9", "fig10", *OF_CURVES)


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
    for said in ("Perplexity", "Count", "Before filtering (n = 150)", "After filtering"):
        assert said in text["fig5-qwen"]
    assert "Improvedresponses" in "".join(text["fig5-qwen"].split())  # set letter by letter, beside a symbol
    for said in ("judge win rate (%)", "ours, 95 % interval", "the paper", "neither is better", "no value"):
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


def test_intervals_are_seen_on_bars_in_light_and_dark() -> None:
    for bar in (bars.OURS, bars.OURS_ADDED):
        assert contrast(bar, INK) >= 4
        assert contrast(bar, "#e4e9f0") >= 2.2  # the text of a dark page


def test_overlaid_sets_differ_in_line_and_colour() -> None:
    every = [colour for colour, _ in (*histogram.STYLES.values(), *histogram.OTHERS)]
    assert bars.PAPER not in every and all(contrast(colour, "#ffffff") >= 2.1 for colour in every)
    for kinds in (("reference", "teacher_improvement"), ("initial_improvement", "self_improvement", "reference")):
        styles = [histogram.STYLES[kind] for kind in kinds]
        assert all(len(set(each)) == len(kinds) for each in zip(*styles, strict=True))
    assert all(len(set(each)) == len(histogram.OTHERS) for each in zip(*histogram.OTHERS, strict=True))


SCORES = st.floats(0, 100)
BARS = st.builds(
    Bar,
    label=st.just("method"),
    value=st.none() | SCORES,
    ci95=st.none() | st.tuples(st.floats(-20, 100), st.floats(0, 130)),
    published=st.none() | SCORES,
    rounding=st.sampled_from([0.0, 5.0]),
)


@st.composite
def charts(draw: st.DrawFn) -> BarChart:
    """Two base models and two metrics, or win rates; the longest bar or interval may be in any panel."""
    win_rates = draw(st.booleans())
    columns = ("",) if win_rates else ("LC (%)", "WR (%)")
    panels = (BarPanel(row, column, tuple(draw(BARS) for _ in range(2))) for row in "ab" for column in columns)
    return BarChart(tuple(panels), win_rates)


def outside(axes: Axes) -> list[Any]:
    """The artists that pass the limits of their axes."""
    left, right = axes.get_xlim()
    ends = [(artist, artist.get_xdata()) for artist in axes.lines if artist.get_transform() == axes.transData]
    ends += [(artist, (artist.get_x(), artist.get_x() + artist.get_width())) for artist in axes.patches]
    return [artist for artist, found in ends if not left <= min(found) <= max(found) <= right]


@settings(max_examples=25, deadline=None)
@given(chart=charts())
def test_no_bar_interval_or_mark_is_cut_off(chart: BarChart) -> None:
    drawn = [panel for panel in chart.panels for _ in panel.bars]
    figure = bars.bar_figure(chart, INK)
    assert drawn and not [artist for axes in figure.axes for artist in outside(axes)]
    reach = {panel.column: 0.0 for panel in chart.panels}
    for panel in chart.panels:
        for bar in panel.bars:
            ends = [bar.published or 0] if bar.value is None else [bar.value, bar.published or 0, *(bar.ci95 or ())]
            reach[panel.column] = max(reach[panel.column], *ends)
    for place, column in enumerate(reach):
        limits = {axes.get_xlim() for axes in figure.axes[place :: len(reach)]}
        assert len(limits) == 1 and next(iter(limits))[1] > reach[column]


def test_the_longest_interval_is_drawn_whole_in_the_second_row() -> None:
    """As Table 3 had it: the axis that base models share was that of the first of them."""
    rows = [BarPanel("a", "LC", (Bar("x", 24.6, (22, 27)),)), BarPanel("b", "LC", (Bar("x", 36.8, (33.7, 47.5)),))]
    assert all(axes.get_xlim()[1] > 47.5 for axes in bars.bar_figure(BarChart(tuple(rows)), INK).axes)


def words(figure: Drawn) -> Iterator[Text]:
    """All that can be read in a figure; ticks beyond the limits are not drawn."""
    for axes in figure.axes:
        yield from (*axes.texts, axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label)  # type: ignore[attr-defined]
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, sorted(axes.get_ylim()))):
            yield from (tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high)
    for legend in (*figure.legends, *(axes.get_legend() for axes in figure.axes)):
        yield from legend.get_texts() if legend else ()


def report_with(name: str) -> Report:
    """A report of one exhibit that has the figure `name`, or of one with training curves."""
    if name in OF_CURVES:
        return build_report(parse_manifest(made_up_manifest("table2")), made_up_curves())
    return report_of(made_up_manifest(name.partition("-")[0]))


@pytest.mark.parametrize("name", NAMES)
def test_no_words_overlap_or_leave_the_page(name: str) -> None:
    [figure] = [each for each in report_with(name).figures if each.name == name]
    with rc_context(dict(FONTS)):
        drawn = to_matplotlib(figure)
        FigureCanvasAgg(drawn).draw()
    shown = [text for text in words(drawn) if text.get_visible() and text.get_text()]
    places = [(text.get_text(), text.get_window_extent()) for text in shown]
    width, height = drawn.bbox.width, drawn.bbox.height
    assert len(places) > 10
    assert [text for text, at in places if at.x0 < -1 or at.y0 < -1 or at.x1 > width + 1 or at.y1 > height + 1] == []
    assert [(a, b) for (a, one), (b, other) in combinations(places, 2) if one.overlaps(other)] == []


def test_symbols_are_set_with_subscripts_not_underscores() -> None:
    for name in ("fig5", "fig9"):
        drawn = to_matplotlib(figure_of(name))
        texts = [text.get_text() for axes in drawn.axes for text in [axes.title, axes._left_title, *legend_texts(axes)]]
        found = [text for text in texts if "hat{y}" in text or "tilde{y}" in text]
        assert found and all(text.count("$") == 2 for text in found)
        assert not any("ŷ" in text or "ỹ" in text for text in texts)
    assert with_subscripts("ỹ_θ0 (improved), a_b") == r"$\tilde{y}_{\theta_{0}}$ (improved), a_b"


def legend_texts(axes: Axes) -> list[Text]:
    legend = axes.get_legend()
    return list(legend.get_texts()) if legend else []

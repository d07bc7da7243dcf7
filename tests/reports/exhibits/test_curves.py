"""Curves: the drawing, the table with bands and the paper's numbers, the differences that its text prints."""

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.config.codec import decode, encode
from harness.errors import UserError
from harness.papers.curves import CurveFigure, point_id
from harness.papers.loading import load_exhibit, load_paper
from harness.records import Judgment, Order, Prompt, write_rows
from harness.results.exhibits import BootstrapBand, CurveMargin, CurvePoint, CurvesResult
from harness.results.frames import RunFrames
from harness.results.manifest import Manifest, parse_manifest
from harness.results.training_curves import Course, StageCurves
from harness.results.verdicts import ARTIFACTS
from reports.blocks import Block, CurveChart, Figure, Prose, Records, Section, Table
from reports.exhibits.curves import curves
from reports.figures import draw
from reports.line_chart import LineChart, LinePoint
from reports.pairs import judged_pairs
from reports.terminal import least_width, terminal_sections
from reports.training import section
from tests.reports.conftest import made_up_manifest


def figure(name: str) -> CurveFigure:
    found = load_exhibit("srpo", name)
    assert isinstance(found, CurveFigure)
    return found


def manifest(**changes: Any) -> Manifest:
    models = {name: {"reference": "mini:llama", "description": "a made-up model"} for name in ("llama", "llama3")}
    whole = made_up_manifest(models=models, **changes)
    return parse_manifest({**whole, "results": [], "claims": [], "paper": encode(load_paper("srpo"))})


def result(name: str, **changes: Any) -> CurvesResult:
    """The same numbers at every point, 60 [55, 65], but for what changes."""
    exhibit = figure(name)
    band = BootstrapBand(mean=61.0, sd=2.5, size=512, n_prompts=1024) if exhibit.bootstrap else None
    fields = {"value": 60.0, "ci95": (55.0, 65.0), "band": band, "n": 1024, "judge": "0a1b", "answers": 1024, **changes}
    [model] = exhibit.models
    points = tuple(
        CurvePoint(model=model, panel=panel.id, line=line.id, x=x, **fields)
        for panel in exhibit.panels
        for line, x in exhibit.places()
    )
    margins = tuple(
        CurveMargin(model=model, margin=number, difference=3.25, ci95=(-1.0, 7.5))
        for number in range(len(exhibit.margins))
    )
    return CurvesResult(exhibit=exhibit, models=(model,), points=points, margins=margins)


def shown(name: str, run: Manifest | None = None, **changes: Any) -> tuple[list[Block], Records]:
    return curves(run or manifest(), result(name, **changes))


def tables(blocks: list[Block]) -> list[Table]:
    return [block for block in blocks if isinstance(block, Table)]


def test_each_line_has_its_win_rates_intervals_bands_and_what_the_paper_prints() -> None:
    table = tables(shown("fig1")[0])[0]
    srpo, intervals, bands, paper, dpo, *_ = table.groups[0].rows
    assert srpo.cells == ("SRPO", "ours", *["60.0"] * 6)
    assert intervals.cells == ("", "95 %", *["55.0–65.0"] * 6)
    assert bands.cells == ("", "band", *["61.0±2.5"] * 6)
    assert paper.cells == ("", "paper", *["—"] * 5, "90")
    assert dpo.cells[:2] == ("DPO", "ours")
    assert [column.head for column in table.columns] == ["", "", *(f"{n}-rev." for n in range(6))]
    assert table.groups[0].heading == "XSum, out of distribution, LLaMA-7B"
    assert "The paper's numbers: not comparable: scale." in table.source
    assert "1,024 prompts" in table.source


def in_terminal(name: str, width: int, **changes: Any) -> str:
    rendered = terminal_sections([Section("Curves", "curves", tuple(shown(name, **changes)[0]))])
    screen = Console(file=io.StringIO(), width=max(width, least_width(rendered)))
    screen.print(rendered)
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


@pytest.mark.parametrize("name", ["fig1", "fig3", "fig4", "fig5", "table1"])
def test_win_rates_fit_80_columns(name: str) -> None:
    text = in_terminal(name, 80, value=92.3, ci95=(85.4, 100.0))
    assert max(map(len, text.splitlines())) <= 80
    columns = len(figure(name).x.values)
    assert text.count("85.4–100.0") == columns * len(figure(name).lines) * len(figure(name).panels)


def test_no_number_is_cut_where_they_are_too_long_for_a_terminal() -> None:
    changes = {"ci95": (100.0, 100.0), "band": BootstrapBand(mean=100.0, sd=10.0, size=512, n_prompts=1024)}
    text = in_terminal("fig1", 60, **changes)
    assert (text.count("100.0–100.0"), text.count("100.0±10.0")) == (12, 12)
    assert re.search(r"^ +paper .* 90 *$", text, re.MULTILINE)


def test_lines_are_drawn_with_whiskers_bands_and_printed_numbers() -> None:
    [drawn] = [block for block in shown("fig1")[0] if isinstance(block, Figure)]
    chart = drawn.drawing
    assert isinstance(chart, LineChart)
    assert [line.label for line in chart.panels[0].lines] == ["SRPO", "DPO"]
    assert chart.panels[0].lines[0].points[5] == LinePoint(5, 60.0, (55.0, 65.0), (58.5, 63.5), 90)
    files = draw(drawn)
    assert files == draw(drawn)
    assert files.pdf.startswith(b"%PDF") and b"number of revisions" in files.svg_file


def test_what_is_missing_leaves_a_gap() -> None:
    changes = {"value": None, "ci95": None, "band": None, "note": "withheld: verdicts are missing"}
    blocks, records = shown("fig1", **changes)
    [drawn] = [block for block in blocks if isinstance(block, Figure)]
    assert draw(drawn).png
    table = tables(blocks)[0]
    assert table.groups[0].rows[0].cells == ("SRPO", "ours", *["—"] * 6)
    assert "SRPO 0-rev., XSum: withheld: verdicts are missing." in table.source
    assert dict(zip(records.fields, records.rows[0], strict=True))["ours"] is None


def test_a_table_is_not_drawn_and_has_no_bands() -> None:
    blocks, _ = shown("table1")
    assert not [block for block in blocks if isinstance(block, Figure)]
    rows = tables(blocks)[0].groups[0].rows
    assert [row.cells for row in rows[:3]] == [
        ("SRPO vs. DPO", "ours", "60.0", "60.0"),
        ("", "95 %", "55.0–65.0", "55.0–65.0"),
        ("", "paper", "53.67", "67.50"),
    ]


def test_differences_of_the_text_stand_beside_ours() -> None:
    margins = tables(shown("fig5")[0])[1]
    first, *_ = margins.rows
    assert first.cells == ("SRPO 0-rev. − DPO 0-rev., Arena-Hard", "abstract", "+3.2 [-1.0, 7.5]", "+4")
    assert len(list(margins.rows)) == 4


def test_bands_are_explained_with_their_sizes() -> None:
    lead = next(block for block in shown("fig3")[0] if isinstance(block, Prose))
    assert "20 bootstrap win rates, each on 512 prompts drawn from the first 1,024" in lead.text
    assert "bootstrap" not in next(block for block in shown("table1")[0] if isinstance(block, Prose)).text


def test_answers_without_a_revision_and_missing_verdicts_are_told() -> None:
    source = tables(shown("fig1", unrevised=12, n_missing=3, n_asked=1024)[0])[0].source
    assert "in 12 of 12 points, at most 12 of 1,024 (SRPO 0-rev., XSum)" in source
    assert "DPO 5-rev., XSum: 3 of 1024 verdicts are missing." in source


@pytest.mark.parametrize(
    ("value", "ci95", "verdict"), [(88.0, (86.0, 90.0), "within"), (60.0, (55.0, 65.0), "outside")]
)
def test_at_the_papers_scale_and_judge_numbers_are_compared(
    value: float, ci95: tuple[float, float], verdict: str
) -> None:
    run = manifest(scale="paper", judge={"name": "gpt-4-0613", "fingerprint": "0"})
    blocks, records = shown("fig1", run, value=value, ci95=ci95)
    assert f"The paper's numbers: {verdict}." in tables(blocks)[0].source
    rows = [dict(zip(records.fields, row, strict=True)) for row in records.rows]
    assert [row["verdict"] for row in rows if row["paper"] is not None] == [verdict]


def test_records_say_what_each_point_is_of() -> None:
    _, records = shown("fig4", gold_quality=0.5, mean_words=20.0)
    rows = [dict(zip(records.fields, row, strict=True)) for row in records.rows]
    assert len(rows) == 2 * 6 * 5
    [row] = [each for each in rows if (each["panel"], each["line"], each["x"]) == ("xsum", "3-rev", 0.25)]
    assert (row["method"], row["revisions"]) == ("srpo:alpha=0.25", 3)
    assert (row["ours"], row["band_mean"], row["gold_quality"]) == (60.0, 61.0, 0.5)


def test_gold_quality_is_shown_where_it_is_known() -> None:
    gold = tables(shown("fig1", gold_quality=0.5, mean_words=20.0)[0])[-1]
    assert gold.folded
    assert [row.cells[1:4] for row in gold.groups[0].rows[:2]] == [
        ("quality", "0.500", "0.500"),
        ("words", "20.0", "20.0"),
    ]
    assert len(tables(shown("fig1")[0])) == 2


def test_points_are_scores_of_a_run(tmp_path: Path) -> None:
    run = replace(manifest(), results=(result("fig1"),))
    scores = RunFrames(tmp_path, run).scores
    assert len(scores) == 12
    [last] = scores[scores.method == "srpo/5"].to_dict("records")
    assert (last["bench"], last["metric"], last["value"], last["published"]) == ("xsum", "win_rate", 60.0, 90.0)


def test_verdicts_on_points_are_in_the_pair_viewer(tmp_path: Path) -> None:
    orders: tuple[Order, ...] = ("baseline_first", "output_first")
    place = "judge_pairs/abc"
    (tmp_path / ARTIFACTS / place).mkdir(parents=True)
    rows = [Judgment(Prompt("7", "sum it up"), "gold", "ours", each, "", "A=B", None, "ok") for each in orders]
    write_rows(tmp_path / ARTIFACTS / place / "rows.jsonl", rows)
    run = replace(manifest(), results=(result("fig1", judgments=(place,)),))
    [pair] = judged_pairs(run, tmp_path).pairs  # each place of verdicts once
    assert pair.facets == {"model": "LLaMA-7B", "method": "SRPO 0-rev.", "bench": "XSum", "verdict": "tie"}
    assert (pair.left.text, pair.right.text) == ("gold", "ours")


def test_two_judges_in_a_panel_are_refused() -> None:
    found = result("fig1")
    other = CurvePoint(model="llama", panel="xsum", line="dpo", x=5, value=1.0, judge="other")
    mixed = CurvesResult(exhibit=found.exhibit, models=("llama",), points=(*found.points[:-1], other))
    with pytest.raises(UserError, match="column fig1/xsum mixes the judges"):
        curves(manifest(), mixed)


def test_a_point_that_the_exhibit_does_not_have_is_refused() -> None:
    found = result("fig1")
    stray = CurvePoint(model="llama", panel="xsum", line="dpo", x=7, value=1.0)
    with pytest.raises(UserError, match="unknown point of srpo fig1 'dpo/7'"):
        curves(manifest(), CurvesResult(exhibit=found.exhibit, models=("llama",), points=(*found.points, stray)))


def test_a_result_is_read_as_it_was_written() -> None:
    found = result("fig5", gold_quality=0.25)
    assert decode(CurvesResult, encode(found), "") == found
    assert point_id(found.exhibit.lines[0].id, found.points[1].x) == "srpo/1"


def test_training_curves_have_the_labels_of_lines() -> None:
    """And not those of lines that are numbers of revisions, or of SRPO against another."""
    stages = [StageCurves("llama3", "RPO", ("rpo",), "rpo", ()), StageCurves("llama3", "SRPO", ("srpo",), "srpo", ())]
    stages = [replace(stage, trainings=(Course(0, "a", 1, 1, {"step": (1,), "loss": (0.5,)}),)) for stage in stages]
    for names, labels in (
        (("fig4", "table1", "fig5"), ["RPO", "SRPO"]),
        (("fig4", "table1"), ["RPO of rpo", "SRPO of srpo"]),
    ):
        run = replace(manifest(), results=tuple(result(name) for name in names))
        [drawn] = [block for block in section(run, stages).blocks if isinstance(block, Figure)]
        assert isinstance(drawn.drawing, CurveChart)
        assert list(dict.fromkeys(panel.row for panel in drawn.drawing.panels)) == labels

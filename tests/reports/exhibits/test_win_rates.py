"""Judge win rates: the table, and the bars where the paper draws them."""

from typing import Any

import pytest

from harness.errors import UserError
from reports.blocks import Bar, BarChart, Table
from reports.markdown import markdown
from tests.reports.conftest import made_up_manifest, view_of


def table_of(manifest: dict[str, Any]) -> Table:
    return next(block for block in view_of(manifest).section.blocks if isinstance(block, Table))


def bars_of(manifest: dict[str, Any]) -> BarChart:
    [figure] = view_of(manifest).figures
    assert not figure.beside and isinstance(figure.drawing, BarChart)
    return figure.drawing


def test_a_line_for_each_match_on_each_model() -> None:
    text = "\n".join(markdown(table_of(made_up_manifest("table1"))))
    row = "improved\\_response vs response-B | 70.00 [64.88,\u00a074.88] | 87.00 | 200 | 120 / 40 / 40 | 81.5 |"
    assert f"| UltraFeedback | {row}" in text
    assert "|  | improved\\_response vs response-A | — <sup>1</sup> | 45.00 | — | — / — / — | — |" in text
    assert "<sup>1</sup> withheld: verdicts are missing; n/N = 370/400 verdicts" in text
    assert text.count("| UltraFeedback |") == text.count("| DPO-Mix-7K |") == 2
    assert not view_of(made_up_manifest("table1")).figures


def test_rounded_numbers_of_the_text_are_marked() -> None:
    assert "| ≈ 70 |" in "\n".join(markdown(table_of(made_up_manifest("fig8"))))


@pytest.mark.parametrize(("interval", "verdict"), [([70.5, 73.5], "within"), ([75.1, 78.0], "outside")])
def test_a_number_rounded_to_tens_stands_for_all_that_is_rounded_to_it(interval: list[float], verdict: str) -> None:
    manifest = made_up_manifest("fig8", scale="paper")
    manifest["judge"]["name"] = "gpt-4-1106-preview"
    manifest["results"][0]["cells"][0] |= {"value": 72.0, "ci95": interval}
    view = view_of(manifest)
    [line, *_] = [dict(zip(view.records.fields, row, strict=True)) for row in view.records.rows]
    assert (line["paper"], line["paper_rounded_to"], line["verdict"]) == (70, 10, verdict)
    assert [bar.rounding for bar in bars_of(manifest).panels[0].bars] == [5.0, 5.0]


def test_matches_without_groups_have_no_column_for_them() -> None:
    assert [column.head for column in table_of(made_up_manifest("fig8")).columns][:2] == ["comparison", "win rate (%)"]


def test_win_rates_are_drawn_with_their_intervals_beside_the_papers() -> None:
    chart = bars_of(made_up_manifest("fig10"))
    assert chart.win_rates
    first, *others = chart.panels[0].bars
    assert first == Bar("SGPO (All Ref): B vs A (improved by the initial policy)", 70.0, (64.875, 74.875), 51.8)
    assert [bar.value is None for bar in others] == [False, True, True, False, True]  # not run, and withheld


def test_an_unknown_match_is_an_error() -> None:
    manifest = made_up_manifest("fig8")
    manifest["results"][0]["cells"][0]["match"] = "self-vs-initail"
    with pytest.raises(UserError, match="unknown match of sgpo fig8 'self-vs-initail'; did you mean 'self-vs-initial'"):
        view_of(manifest)


def test_two_judges_are_an_error() -> None:
    manifest = made_up_manifest("fig8")
    cells = manifest["results"][0]["cells"]
    cells[1]["judge"] = "another"
    with pytest.raises(UserError, match="column fig8/win_rate mixes the judges judge-of-pairs and another"):
        view_of(manifest)


def test_training_noise_of_a_win_rate() -> None:
    manifest = made_up_manifest("fig8", seeds=[0, 1, 2])
    manifest["results"][0]["cells"][0]["uncertainty"] = {
        "prompts": 3.0,
        "judge": None,
        "training_seeds": 4.0,
        "total": 5.0,
    }
    details = view_of(manifest).section.blocks[-1]
    assert "seeds 0, 1, 2 (mean of 3), wins, ties and losses over all of them, judge" in table_of(manifest).source
    assert isinstance(details, Table) and details.folded
    cells = ("Llama3-Base (8B)", "B vs A (improved by the initial policy)", "judge win rate")
    assert [row.cells for row in details.rows] == [(*cells, "3.00", "—", "4.00", "5.00", "64")]

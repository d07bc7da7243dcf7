"""Evaluation details: ours above the paper's."""

import pytest

from harness.errors import UserError
from reports.blocks import Differing, Table
from reports.markdown import markdown
from tests.reports.conftest import made_up_manifest, view_of


def test_what_differs_is_marked() -> None:
    table = view_of(made_up_manifest("table2")).section.blocks[1]
    assert isinstance(table, Table)
    ours, paper = table.groups[0].rows
    assert ours.cells[:4] == ("ours", "805", "GPT-4 Turbo", Differing("mini:made-up"))
    assert paper.cells[:4] == ("the paper", "805", "GPT-4 Turbo", "GPT-4 Turbo")
    text = "\n".join(markdown(table))
    assert (
        "| ours | ≠ **16** | ≠ **mini:expert** | ≠ **mini:made-up** | Pairwise comparison, both orders | Win rate |"
        in text
    )


def test_metrics_are_compared_by_name_and_other_ones_marked() -> None:
    manifest = made_up_manifest("table2")
    alpaca = manifest["results"][0]["benches"][0]
    table = view_of(manifest).section.blocks[1]
    assert isinstance(table, Table) and table.groups[0].rows[0].cells[-1] == Differing("score")
    alpaca["metrics"] = ["length_controlled_winrate", "win_rate"]
    table = view_of(manifest).section.blocks[1]
    assert isinstance(table, Table)
    assert [row.cells[-1] for row in table.groups[0].rows] == ["LC & raw win rate"] * 2


def test_an_unknown_bench_is_an_error() -> None:
    manifest = made_up_manifest("table2")
    manifest["results"][0]["benches"][0]["bench"] = "alpaca_eval"
    with pytest.raises(UserError, match="unknown bench of sgpo table2 'alpaca_eval'; did you mean 'alpaca_eval2'"):
        view_of(manifest)

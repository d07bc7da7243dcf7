"""Evaluation details: ours above the paper's."""

import pytest

from harness.core.errors import UserError
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
    assert "| ours | ≠ **16** | ≠ **mini:expert** | ≠ **mini:made-up** | Pairwise comparison | Win rate |" in text


def test_an_unknown_bench_is_an_error() -> None:
    manifest = made_up_manifest("table2")
    manifest["parts"][0]["benches"][0]["bench"] = "alpaca_eval"
    with pytest.raises(UserError, match="unknown bench of sgpo table2 'alpaca_eval'; did you mean 'alpaca_eval2'"):
        view_of(manifest)

"""Tables of scores: ours, the paper's, verdicts and footnotes."""

from typing import Any

import pytest

from harness.errors import UserError
from reports.blocks import Figure, Measured, Table
from reports.markdown import markdown
from tests.reports.conftest import made_up_manifest, published, view_of


def table_of(manifest: dict[str, Any]) -> Table:
    return next(block for block in view_of(manifest).section.blocks if isinstance(block, Table))


def text_of(manifest: dict[str, Any]) -> str:
    return "\n".join(markdown(table_of(manifest)))


def cells_of(manifest: dict[str, Any]) -> list[Measured]:
    return [cell for row in table_of(manifest).rows for cell in row.cells if isinstance(cell, Measured)]


def result(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest["results"][0]
    return found


def at_paper_scale(manifest: dict[str, Any]) -> dict[str, Any]:
    manifest["scale"] = "paper"
    manifest["judge"]["name"] = "gpt-4-1106-preview"
    return manifest


def test_shape(manifest: dict[str, Any]) -> None:
    table = table_of(manifest)
    assert [group.heading for group in table.groups] == ["Qwen2.5-Base (7B)", "Llama3-Base (8B)"]
    assert [row.cells[0] for row in table.groups[0].rows] == ["SFT", "DPO", "SPIN", "SGPO†", "SGPO‡", "SGPO", "θ*"]
    assert [(column.over, column.head) for column in table.columns[1:]] == [
        ("AlpacaEval 2.0", "LC (%)"),
        ("AlpacaEval 2.0", "WR (%)"),
        ("Arena-Hard", "WR (%)"),
    ]
    assert {len(row.cells) for row in table.rows} == {4}


def test_order_of_cells_in_the_manifest_does_not_matter(manifest: dict[str, Any]) -> None:
    table = table_of(manifest)
    judges = [cell["bench"] for cell in result(manifest)["cells"]]
    result(manifest)["cells"].sort(key=lambda cell: (cell["bench"], cell["method"], cell["metric"]))
    assert judges != [cell["bench"] for cell in result(manifest)["cells"]]
    assert table_of(manifest) == table


def test_embedded_scale_is_not_comparable_and_says_so_once(manifest: dict[str, Any]) -> None:
    table = table_of(manifest)
    assert table.footnotes[0] == ("a", "not comparable: scale")
    assert {column.paper_mark for column in table.columns[1:]} == {"a"}
    assert {cell.paper_mark for cell in cells_of(manifest)} == {""}
    assert text_of(manifest).count("not comparable: scale") == 1


def test_verdicts_at_paper_scale_stand_at_each_cell(manifest: dict[str, Any]) -> None:
    result(manifest)["cells"][0].update(value=6.0, ci95=[4.0, 8.0])  # SFT on Qwen, LC; published 5.8
    text = text_of(at_paper_scale(manifest))
    assert "| SFT | 6.0 [4.0,\u00a08.0] | 5.8 <sup>a</sup> | 30.0 [27.5,\u00a032.8] | 4.0 <sup>b</sup> |" in text
    assert "<sup>a</sup> within" in text
    assert "<sup>b</sup> outside" in text
    assert "<sup>c</sup> not comparable: withheld" in text


def test_other_judge_is_not_comparable(manifest: dict[str, Any]) -> None:
    assert table_of(manifest | {"scale": "paper"}).footnotes[0] == ("a", "not comparable: judge")


def test_a_column_that_nothing_judged_is_comparable_whatever_the_judge(manifest: dict[str, Any]) -> None:
    found = result(manifest)
    for column in found["exhibit"]["columns"]:
        if column["bench"] == "arena_hard":
            column.update(judge="", baseline="")
    for cell in found["cells"]:
        if cell["bench"] == "arena_hard":
            cell["judge"] = ""
    table = table_of(manifest | {"scale": "paper"})
    notes = dict(table.footnotes)
    judged, unjudged = ({notes.get(cell.paper_mark) for cell in cells_in(table, place)} for place in (1, 3))
    assert "not comparable: judge" in judged and "outside" not in judged
    assert "not comparable: judge" not in unjudged and "outside" in unjudged
    assert "judge" in table.columns[1].tooltip and not table.columns[3].tooltip


def cells_in(table: Table, place: int) -> list[Measured]:
    """The measured cells of one column."""
    return [cell for row in table.rows if isinstance(cell := row.cells[place], Measured)]


def test_withheld_cell_is_a_dash_with_its_reason(manifest: dict[str, Any]) -> None:
    assert "| SPIN | — <sup>2</sup> | 7.5 |" in text_of(manifest)
    assert ("2", "withheld: verdicts are missing; n/N = 786/805 verdicts") in table_of(manifest).footnotes


def test_a_score_that_lacks_verdicts_shows_how_many_it_rests_on(manifest: dict[str, Any]) -> None:
    assert "| 44.2 [41.8,\u00a047.0] <sup>1</sup> | 23.9 |" in text_of(manifest)
    assert ("1", "n/N = 993/1000 verdicts") in table_of(manifest).footnotes


def test_added_row_is_marked_as_ours(manifest: dict[str, Any]) -> None:
    assert r"| *θ\** (ours) <sup>+</sup> |" in text_of(manifest)
    assert "<sup>+</sup> ours, not in the paper: the improver-policy" in text_of(manifest)


def test_every_cell_says_its_verdict(manifest: dict[str, Any]) -> None:
    says = [cell.tooltip for cell in cells_of(manifest)]
    assert sum(each.startswith("not comparable: scale; n = ") for each in says) == 36
    assert sum(each.startswith("not comparable: not in the paper; n = ") for each in says) == 6


def test_run_on_one_model_has_no_trace_of_the_other(manifest: dict[str, Any]) -> None:
    result(manifest)["models"] = ["qwen"]
    result(manifest)["cells"] = [cell for cell in result(manifest)["cells"] if cell["model"] == "qwen"]
    assert [group.heading for group in table_of(manifest).groups] == ["Qwen2.5-Base (7B)"]
    assert "Llama" not in text_of(manifest)


def test_reduced_counts_are_said(manifest: dict[str, Any]) -> None:
    assert "fast: reduced counts" in table_of(manifest | {"fast": True}).source
    assert table_of(manifest | {"seeds": [0, 1, 2]}).source.startswith("Ours: scale mini, seeds 0, 1, 2 (mean of 3)")


def test_selected_methods_and_benches(manifest: dict[str, Any]) -> None:
    result(manifest)["rows"] = ["sft", "sgpo"]
    result(manifest)["cells"] = [cell for cell in result(manifest)["cells"] if cell["bench"] == "arena_hard"]
    table = table_of(manifest)
    assert [column.head for column in table.columns] == ["Method", "WR (%)"]
    assert [row.cells[0] for row in table.groups[1].rows] == ["SFT", "SGPO"]


def test_a_cell_that_was_not_run(manifest: dict[str, Any]) -> None:
    del result(manifest)["cells"][0]
    cell = cells_of(manifest)[0]
    assert (cell.ours, cell.paper) == ("—", "5.8")
    assert ("1", "not run") in table_of(manifest).footnotes


def test_the_papers_words_on_each_row() -> None:
    table = table_of(made_up_manifest("table5"))
    assert [column.head for column in table.columns[1:3]] == [
        "Improver Training Data (D_R)",
        "Integrating Improver-Policy",
    ]
    assert [row.cells[1:3] for row in table.rows] == [
        ("ŷ_φ", "✗"),
        ("ŷ_φ", "✓"),
        ("ŷ_φ, ỹ_φ", "✗"),
        ("ŷ_φ, ỹ_φ", "✓"),
        ("", ""),
    ]
    assert "| SGPO-v2 | ŷ\\_φ | ✓ | 3.12 [0.62,\u00a05.88] | 3.41 |" in text_of(made_up_manifest("table5"))


def test_the_chart_has_a_bar_for_each_cell(manifest: dict[str, Any]) -> None:
    [figure] = view_of(manifest).figures
    assert isinstance(figure, Figure) and figure.beside
    panels = figure.drawing.panels
    assert [panel.column for panel in panels[:3]] == [  # type: ignore[union-attr]
        "AlpacaEval 2.0 LC (%)",
        "AlpacaEval 2.0 WR (%)",
        "Arena-Hard WR (%)",
    ]
    bars = [bar for panel in panels for bar in panel.bars]  # type: ignore[union-attr]
    assert len(bars) == 42
    assert [bar.value for bar in panels[3].bars][2] is None  # type: ignore[union-attr]
    assert {bar.label for bar in bars if bar.added} == {"θ* (ours)"}


@pytest.mark.parametrize(
    ("field", "old", "new", "message"),
    [
        ("method", "dpo", "dop", "unknown row of sgpo table3 'dop'; did you mean 'dpo'"),
        ("bench", "arena_hard", "arena_herd", "did you mean 'arena_hard/score'"),
    ],
)
def test_what_the_paper_does_not_have_is_an_error(
    manifest: dict[str, Any], field: str, old: str, new: str, message: str
) -> None:
    for cell in result(manifest)["cells"]:
        cell[field] = new if cell[field] == old else cell[field]
    with pytest.raises(UserError, match=message):
        table_of(manifest)


def test_unknown_row_is_an_error(manifest: dict[str, Any]) -> None:
    result(manifest)["rows"].append("simpo")
    with pytest.raises(UserError, match="unknown row of sgpo table3 'simpo'"):
        table_of(manifest)


def test_unknown_model_is_an_error(manifest: dict[str, Any]) -> None:
    result(manifest)["models"][1] = "lama"
    with pytest.raises(UserError, match="unknown model of sgpo 'lama'; did you mean 'llama'"):
        table_of(manifest)


def test_two_judges_in_one_column_are_an_error(manifest: dict[str, Any]) -> None:
    result(manifest)["cells"][-1]["judge"] = "another-judge"
    with pytest.raises(
        UserError, match="column arena_hard/score mixes the judges judge-of-arena_hard and another-judge"
    ):
        table_of(manifest)


def test_a_method_the_paper_does_not_have_is_a_marked_row(manifest: dict[str, Any]) -> None:
    result(manifest)["rows"].append("mine")
    result(manifest)["exhibit"] = published("table3", mine="a method of another package")
    last = table_of(manifest).groups[0].rows[-1]
    assert (last.cells[0], last.added) == ("mine", True)
    assert all(cell.paper == "—" for cell in last.cells[1:] if isinstance(cell, Measured))
    assert ("+", "ours, not in the paper: mine, a method of another package") in table_of(manifest).footnotes


def test_where_the_uncertainty_comes_from(manifest: dict[str, Any]) -> None:
    assert "Where the uncertainty comes from" not in str(view_of(manifest))
    parts = {"prompts": 1.25, "judge": None, "training_seeds": 2.5, "total": 2.795}
    result(manifest)["cells"][0]["uncertainty"] = parts
    result(manifest)["cells"][1]["uncertainty"] = parts | {"judge": 0.125, "training_seeds": None}
    [table] = [
        block for block in view_of(manifest).section.blocks if getattr(block, "name", "") == "table3-uncertainty"
    ]
    assert isinstance(table, Table) and table.folded
    assert [row.cells for row in table.rows] == [
        ("Qwen2.5-Base (7B)", "SFT", "AlpacaEval 2.0 LC", "1.25", "—", "2.50", "2.79", "80"),
        ("Qwen2.5-Base (7B)", "SFT", "AlpacaEval 2.0 WR", "1.25", "0.12", "—", "2.79", "—"),
    ]

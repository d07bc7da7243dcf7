"""The table as data, and in Markdown, CSV and terminal."""

import io
import re
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from harness.core.errors import UserError
from harness.core.papers import PaperTable
from reports.manifest import parse_manifest
from reports.markdown import markdown, markdown_report
from reports.tables import Table, build_table, csv_text
from reports.terminal import terminal_table
from tests.reports.conftest import METHODS, made_up_manifest


def table_of(manifest: dict[str, Any], paper: PaperTable) -> Table:
    return build_table(parse_manifest(manifest), paper)


def printed(manifest: dict[str, Any], width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(terminal_table(manifest))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def at_paper_scale(manifest: dict[str, Any]) -> dict[str, Any]:
    manifest["scale"] = "paper"
    manifest["judge"]["name"] = "gpt-4-1106-preview"
    return manifest


def test_shape(manifest: dict[str, Any], paper: PaperTable) -> None:
    table = table_of(manifest, paper)
    assert [panel.label for panel in table.panels] == ["Qwen2.5-Base (7B)", "Llama3-Base (8B)"]
    assert [row.method for row in table.panels[0].rows] == list(METHODS)
    assert [column.label for column in table.columns] == ["LC (%)", "WR (%)", "WR (%)"]
    assert {len(row.cells) for panel in table.panels for row in panel.rows} == {3}


def test_order_of_cells_in_the_manifest_does_not_matter(manifest: dict[str, Any], paper: PaperTable) -> None:
    shuffled = manifest | {"cells": manifest["cells"][::-1]}
    assert table_of(shuffled, paper) == table_of(manifest, paper)


def test_embedded_scale_is_not_comparable_and_says_so_once(manifest: dict[str, Any], paper: PaperTable) -> None:
    table = table_of(manifest, paper)
    assert table.verdicts == ("not comparable: scale",)
    assert table.common_mark == "a"
    assert table.verdict_mark(table.panels[0].rows[0].cells[0]) == ""
    for text in (markdown(table), printed(manifest)):
        assert text.count("not comparable: scale") == 1


def test_verdicts_at_paper_scale_stand_at_each_cell(manifest: dict[str, Any], paper: PaperTable) -> None:
    manifest["cells"][0].update(value=6.0, ci95=[4.0, 8.0])  # SFT on Qwen, LC; published 5.8
    table = table_of(at_paper_scale(manifest), paper)
    assert table.verdicts == ("within", "outside", "not comparable: withheld")
    assert table.common_mark == ""
    text = markdown(table)
    assert "| SFT | 6.0 [4.0,\u00a08.0] | 5.8 <sup>a</sup> | 30.0 [27.5,\u00a032.8] | 4.0 <sup>b</sup> |" in text
    assert "<sup>a</sup> within" in text


def test_other_judge_is_not_comparable(manifest: dict[str, Any], paper: PaperTable) -> None:
    assert table_of(manifest | {"scale": "paper"}, paper).verdicts == ("not comparable: judge",)


def test_withheld_cell_is_a_dash_with_its_reason(manifest: dict[str, Any], paper: PaperTable) -> None:
    table = table_of(manifest, paper)
    assert "| SPIN | — <sup>2</sup> | 7.5 |" in markdown(table)
    assert table.notes[1] == "withheld: verdicts are missing; n/N = 786/805 verdicts"
    assert f"<sup>2</sup> {table.notes[1]}" in markdown(table)
    assert re.search(r"SPIN +—² +7\.5", printed(manifest))
    assert f"² {table.notes[1]}" in printed(manifest)


def test_a_score_that_lacks_verdicts_shows_how_many_it_rests_on(manifest: dict[str, Any], paper: PaperTable) -> None:
    table = table_of(manifest, paper)
    assert table.notes[0] == "n/N = 993/1000 verdicts"
    assert "| 44.2 [41.8,\u00a047.0] <sup>1</sup> | 23.9 |" in markdown(table)
    assert "<sup>1</sup> n/N = 993/1000 verdicts" in markdown(table)
    assert re.search(r"44\.2 41\.8–47\.0¹ +23\.9", printed(manifest))
    assert "\n¹ n/N = 993/1000 verdicts" in printed(manifest)


def test_added_row_is_marked_as_ours(manifest: dict[str, Any], paper: PaperTable) -> None:
    assert r"| *θ\** (ours) <sup>+</sup> |" in markdown(table_of(manifest, paper))
    assert "<sup>+</sup> ours, not in the paper: the improver-policy" in markdown(table_of(manifest, paper))
    assert "θ* (ours)⁺" in printed(manifest)


def test_terminal_table_keeps_each_cell_on_one_line(manifest: dict[str, Any]) -> None:
    assert re.search(
        r"^ *SGPO +41\.2 38\.8–44\.0 25\.2 +51\.2 48\.8–54\.0 29\.6 +61\.2", printed(manifest), re.MULTILINE
    )


def test_terminal_shows_each_claims_verdict(manifest: dict[str, Any]) -> None:
    text = printed(manifest)
    for line in ("holds +2 hold of 2", "fails +2 fail of 2", "undecided +2 undecided of 2", "not run +2 not run of 2"):
        assert re.search(line, text)


def test_terminal_shows_what_would_decide_the_undecided(manifest: dict[str, Any]) -> None:
    lines = [line.strip() for line in printed(manifest, width=100).splitlines()]
    assert any(re.fullmatch(r"Undecided +difference +detectable +needed", line) for line in lines)
    for model in ("qwen", "llama"):
        line = rf"SGPO > SPIN +{model} +AlpacaEval 2\.0 WR +\+0\.4 \[-1\.6,.2\.4\] +2\.9 +12,345 prompts"
        assert sum(bool(re.fullmatch(line, shown)) for shown in lines) == 1
    manifest["claims"] = manifest["claims"][:2]
    assert "detectable" not in printed(manifest)


def test_terminal_says_how_it_prints_intervals_and_what_the_tests_cover(manifest: dict[str, Any]) -> None:
    text = printed(manifest, width=300)
    assert ", low–high: 95 % interval. Paper" in text
    assert "[95 % interval]" not in text
    assert "\nWith one training seed these tests cover the draw of prompts, not of the training seed" in text
    assert "Holm-adjusted over 8 tests" in text


def test_fast_run_with_one_model_has_no_trace_of_the_other(paper: PaperTable) -> None:
    manifest = made_up_manifest(("qwen",), fast=True)
    run = parse_manifest(manifest)
    table = build_table(run, paper)
    assert [panel.model for panel in table.panels] == ["qwen"]
    assert "fast (reduced counts)" in table.source
    for text in (markdown(table), csv_text(table), printed(manifest)):
        assert "Llama" not in text


def test_selected_methods_and_benches(manifest: dict[str, Any], paper: PaperTable) -> None:
    manifest["rows"] = ["sft", "sgpo"]
    manifest["cells"] = [cell for cell in manifest["cells"] if cell["bench"] == "arena_hard"]
    table = table_of(manifest, paper)
    assert [column.id for column in table.columns] == ["arena"]
    assert [row.method for row in table.panels[1].rows] == ["sft", "sgpo"]


def test_a_cell_that_was_not_run(manifest: dict[str, Any], paper: PaperTable) -> None:
    del manifest["cells"][0]
    cell = table_of(manifest, paper).panels[0].rows[0].cells[0]
    assert (cell.score.value, cell.note) == (None, "not run")


def test_csv_round_trip(manifest: dict[str, Any], paper: PaperTable) -> None:
    frame = pd.read_csv(io.StringIO(csv_text(table_of(manifest, paper))))
    assert len(frame) == len(manifest["cells"]) == 42
    cells = {(cell["model"], cell["method"], cell["bench"], cell["metric"]): cell for cell in manifest["cells"]}
    for row in frame.to_dict("records"):
        cell = cells[row["model"], row["method"], row["bench"], row["metric"]]
        if cell["value"] is None:
            assert pd.isna(row["ours"]) and pd.isna(row["lo"]) and pd.isna(row["hi"])
        else:
            assert [row["ours"], row["lo"], row["hi"]] == [cell["value"], *cell["ci95"]]
        assert [row["n"], row["n_asked"], row["n_missing"]] == [cell["n"], cell["n_asked"], cell["n_missing"]]
        assert row["added"] == (row["method"] == "improver") == pd.isna(row["paper"])
        expected = "not comparable: not in the paper" if row["added"] else "not comparable: scale"
        assert row["verdict"] == expected


def test_markdown_report_has_every_part(manifest: dict[str, Any], paper: PaperTable) -> None:
    run = parse_manifest(manifest)
    text = markdown_report(run, paper, build_table(run, paper), "table3.png")
    assert "| SGPO is above another (the one that holds) | section 4.4.1 | holds | 2 hold of 2 |" in text
    assert (
        r"| claim-holds | Llama3-Base (8B) | SGPO \> SFT | AlpacaEval 2.0 WR | +6.5 \[4.5,"
        "\u00a0"
        r"8.5\] | \< 0.001 | \< 0.001 | holds |  |  |"
    ) in text
    assert (
        r"| claim-undecided | Llama3-Base (8B) | SGPO \> SPIN | AlpacaEval 2.0 WR | +0.4 \[-1.6,"
        "\u00a0"
        r"2.4\] | 0.700 | 0.700 | undecided | 2.9 | 12,345 prompts |"
    ) in text
    assert "| 0.030 | 0.180 | undecided | 2.9 | more training seeds |" in text
    assert "| AlpacaEval 2.0 WR | — | — | — | not run |  |  |" in text
    assert r"| made-up | a \< b & c\_d | 100 % \| of it | because θ\* ≠ π |" in text
    assert "| qwen | sft | 0.451 | 31.000 |" in text
    assert "16.18" in text
    assert "| time | 8 min 31 s |" in text
    assert "| git dirty | False |" in text
    assert "| steps | 2 steps, 1 min 04 s of work; 1 found in the store, 1 run now |" in text
    assert "tested here\n\nWith one training seed these tests cover" in text
    assert "use --seeds 3. Verdicts, at 5 %, are Holm-adjusted over 8 tests" in text
    assert "Where the uncertainty comes from" not in text


def test_markdown_report_shows_where_the_uncertainty_comes_from(manifest: dict[str, Any], paper: PaperTable) -> None:
    parts = {"prompts": 1.25, "judge": None, "training_seeds": 2.5, "total": 2.795}
    manifest["cells"][0]["uncertainty"] = parts
    manifest["cells"][1]["uncertainty"] = parts | {"judge": 0.125, "training_seeds": None}
    run = parse_manifest(manifest)
    text = markdown_report(run, paper, build_table(run, paper), "table3.png")
    assert text.index("## The paper's claims") < text.index("## Where the uncertainty comes from")
    assert "| Qwen2.5-Base (7B) | SFT | AlpacaEval 2.0 LC | 1.25 | — | 2.50 | 2.79 |\n" in text
    assert "| Qwen2.5-Base (7B) | SFT | AlpacaEval 2.0 WR | 1.25 | 0.12 | — | 2.79 |\n" in text
    assert text.count("| Qwen2.5-Base (7B) | SFT |") == 2


@pytest.mark.parametrize(
    ("field", "old", "new", "message"),
    [
        ("method", "dpo", "dop", "unknown row of sgpo table3 'dop'; did you mean 'dpo'"),
        ("bench", "arena_hard", "arena_herd", "did you mean 'arena_hard/score'"),
    ],
)
def test_what_the_paper_does_not_have_is_an_error(
    manifest: dict[str, Any], paper: PaperTable, field: str, old: str, new: str, message: str
) -> None:
    for cell in manifest["cells"]:
        cell[field] = new if cell[field] == old else cell[field]
    with pytest.raises(UserError, match=message):
        table_of(manifest, paper)


def test_unknown_row_is_an_error(manifest: dict[str, Any], paper: PaperTable) -> None:
    manifest["rows"].append("simpo")
    with pytest.raises(UserError, match="unknown row of sgpo table3 'simpo'"):
        table_of(manifest, paper)


def test_unknown_model_is_an_error(manifest: dict[str, Any], paper: PaperTable) -> None:
    manifest["models"]["lama"] = manifest["models"].pop("llama")
    with pytest.raises(UserError, match="unknown model of sgpo table3 'lama'; did you mean 'llama'"):
        table_of(manifest, paper)


def test_two_judges_in_one_column_are_an_error(manifest: dict[str, Any], paper: PaperTable) -> None:
    manifest["cells"][-1]["judge"] = "another-judge"
    with pytest.raises(
        UserError, match="column arena_hard/score mixes the judges judge-of-arena_hard and another-judge"
    ):
        table_of(manifest, paper)


def test_two_scores_for_one_cell_are_an_error(manifest: dict[str, Any], paper: PaperTable) -> None:
    manifest["cells"].append(manifest["cells"][0])
    with pytest.raises(UserError, match="two scores for qwen / sft"):
        table_of(manifest, paper)


def test_unknown_keys_of_a_manifest_are_passed_over_and_missing_ones_are_errors(
    manifest: dict[str, Any], paper: PaperTable
) -> None:
    manifest["cells"][0]["unheard_of"] = manifest["unheard_of"] = 1
    table_of(manifest, paper)
    del manifest["cells"][0]["value"]
    with pytest.raises(UserError, match=r"cells\[0\]: missing key 'value'"):
        table_of(manifest, paper)


def test_a_method_the_paper_does_not_have_is_a_marked_row(manifest: dict[str, Any], paper: PaperTable) -> None:
    manifest["rows"].append("mine")
    manifest["added_rows"] = {"mine": "a method of another package"}
    table = build_table(parse_manifest(manifest), paper.with_rows(manifest["added_rows"]))
    last = table.panels[0].rows[-1]
    assert (last.label, last.added) == ("mine", "a method of another package")
    assert all(cell.published is None for cell in last.cells)
    assert ("+", "ours, not in the paper: a method of another package") in table.footnotes()

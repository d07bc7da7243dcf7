"""The rates behind a table of scores, as the report shows them."""

from typing import Any

from reports.blocks import Table
from reports.markdown import markdown
from tests.reports.conftest import view_of


def table_of(manifest: dict[str, Any]) -> Table | None:
    tables = [block for block in view_of(manifest).section.blocks if isinstance(block, Table)]
    return next((each for each in tables if each.folded == "Learning rates"), None)


def test_each_row_says_its_rate_what_chose_it_and_how_scores_move(manifest: dict[str, Any]) -> None:
    table = table_of(manifest)
    assert table is not None
    assert [column.head for column in table.columns[4:]] == [
        "AlpacaEval 2.0 WR, half / twice",
        "Arena-Hard WR, half / twice",
    ]
    assert [row.cells for row in table.rows] == [
        ("Qwen2.5-Base (7B)", "DPO", "6.25e-6", "no rate passes the rule: the smallest", "—", "—"),
        ("Llama3-Base (8B)", "SGPO", "2.5e-5", "the rule", "-1.2 / +2.0", "— / 0.0"),
    ]
    assert "it sees no score" in table.source
    assert "one training seed, apart from those above" in table.source


def test_without_scores_at_other_rates_there_is_no_column_for_them(manifest: dict[str, Any]) -> None:
    del manifest["results"][0]["learning_rates"][1]["moves"]
    table = table_of(manifest)
    assert table is not None
    assert [column.head for column in table.columns] == ["model", "method", "rate", "chosen by"]
    assert "twice" not in "\n".join(markdown(table))


def test_of_rates_that_no_rule_chose_no_rule_is_told(manifest: dict[str, Any]) -> None:
    own = {"model": "qwen", "method": "dpo", "rate": 5e-7, "chosen": "configs/papers/sgpo/recipes/paper.yaml"}
    manifest["results"][0]["learning_rates"] = [own]
    table = table_of(manifest)
    assert table is not None
    assert (next(iter(table.rows)).cells[2:], table.source) == (("5e-7", "configs/papers/sgpo/recipes/paper.yaml"), "")


def test_a_manifest_of_an_older_run_has_no_such_table(manifest: dict[str, Any]) -> None:
    del manifest["results"][0]["learning_rates"]
    assert table_of(manifest) is None

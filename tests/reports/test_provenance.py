"""Where the numbers come from, what they cost, and where the paper disagrees with itself."""

from typing import Any

import pytest

from harness.results.manifest import parse_manifest
from reports.blocks import Entries, Section, Table
from reports.html import html_report
from reports.markdown import markdown_report
from reports.provenance import cost_section, facts, money, work
from tests.reports.conftest import made_up_manifest, report_of

HERE, THERE = "f" * 40, "e" * 40


def rows_of(section: Section) -> list[tuple[Any, ...]]:
    table = section.blocks[1]
    assert isinstance(table, Table)
    return [row.cells for row in table.rows]


def test_a_run_that_finds_everything_keeps_the_times(manifest: dict[str, Any]) -> None:
    for step in manifest["steps"]:
        step["found"] = True
    assert work(parse_manifest(manifest)) == "4 steps, 1 min 08 s of work; 4 found in the store, 0 run now"


def test_steps_are_grouped_by_what_they_do_the_costliest_first(manifest: dict[str, Any]) -> None:
    assert rows_of(cost_section(parse_manifest(manifest))) == [
        ("train_sft", "1", "0", "1 min 01 s", "1 min 01 s", "qwen sft"),
        ("judge_pairs", "2", "1", "4.0 s", "2.5 s", "qwen dpo alpaca_eval2"),
        ("respond", "1", "1", "3.2 s", "3.2 s", "qwen sft drafts"),
    ]


def test_what_a_judge_cost_where_the_records_say(manifest: dict[str, Any]) -> None:
    assert money(parse_manifest(manifest)).startswith("1,600 verdicts by mini:made-up: embedded judge, no cost")
    manifest["judge"]["name"] = "gpt-4-1106-preview"
    assert money(parse_manifest(manifest)).endswith("their cost is not on record.")
    manifest["steps"][2]["counts"] |= {"calls": 805, "prompt_tokens": 1_000_000, "completion_tokens": 805, "usd": 10.5}
    manifest["steps"][3]["counts"] |= {"calls": 795, "prompt_tokens": 500_000, "completion_tokens": 795, "usd": 5.25}
    run = parse_manifest(manifest)
    assert money(run) == "1,600 verdicts by gpt-4-1106-preview: 15.75 dollars."
    by_step = {row[0]: row[6:] for row in rows_of(cost_section(run))}
    assert by_step["judge_pairs"] == ("1,600", "1,500,000", "1,600", "15.75")
    assert by_step["train_sft"] == ("", "", "", "")


@pytest.mark.parametrize(
    ("commits", "shown"),
    [
        ([HERE], HERE),
        ([THERE], f"{THERE}: artifacts come from another commit than the run's"),
        ([THERE, HERE], f"{THERE}, {HERE}: artifacts come from several commits"),
        ([], None),
    ],
)
def test_commits_of_the_artifacts(manifest: dict[str, Any], commits: list[str], shown: str | None) -> None:
    manifest["provenance"]["artifact_commits"] = commits
    names = dict(facts(parse_manifest(manifest)))
    assert names.get("made by commits") == shown
    assert "artifact_commits" not in names


def test_run_without_steps_or_known_commits_says_nothing_of_them() -> None:
    names = dict(facts(parse_manifest(made_up_manifest(steps=[]))))
    assert not {"steps", "made by commits"} & names.keys()


def test_ledger_and_provenance_in_markdown(manifest: dict[str, Any]) -> None:
    text = markdown_report(report_of(manifest))
    assert r"| made up | a \< b & c\_d | 100 % \| of it | because θ\* ≠ π |" in text
    assert "| qwen | sft | alpaca\\_eval2 | 0.451 | 3 | 805 | 0 |" in text
    assert "| time | 8 min 31 s |" in text
    assert "| git dirty | False |" in text
    assert "| steps | 4 steps, 1 min 08 s of work; 2 found in the store, 2 run now |" in text


def test_where_the_paper_disagrees_with_itself_arithmetic_comes_before_reading(manifest: dict[str, Any]) -> None:
    [section] = [section for section in report_of(manifest).sections if section.id == "disagreements"]
    [entries] = section.blocks
    assert isinstance(entries, Entries)
    said = [dict(said) for _, said in entries.entries]
    assert all(each["says"] and each["found"] for each in said)
    misprint = next(place for place, each in enumerate(said) if "16.18" in each["says"])
    read = next(place for place, each in enumerate(said) if "modestly" in each["says"])
    assert "16.02" in said[misprint]["note"] and misprint < read


def test_the_title_says_what_was_run() -> None:
    assert report_of(made_up_manifest("table2")).title == "Table 2 of SGPO, reproduced at scale mini"
    both = report_of(made_up_manifest("table2", "table3", fast=True))
    assert both.title == "SGPO, reproduced at scale mini (fast: reduced counts)"
    text = markdown_report(both)
    assert "- [Table 2: Evaluation details for AlpacaEval 2.0 and Arena-Hard](#table2)" in text
    assert '<a id="table2"></a>\n\n## Table 2' in text


STALE = "code of respond changed since 2 of its artifacts were made: their_package.steps"


def test_stale_steps_stand_above_every_number_and_in_the_provenance(manifest: dict[str, Any]) -> None:
    manifest["steps"][1]["stale"] = "code changed since: their_package.steps"
    report = report_of(manifest | {"stale": [STALE]})
    warning = f"Stale: 1 of 4 steps are not what the code of this run would give: {STALE}."
    assert report.warning == warning
    shown = warning.replace("_", "\\_")
    assert markdown_report(report).index(shown) < markdown_report(report).index("](#")
    page = html_report(report, {name: "<svg></svg>" for name in (figure.name for figure in report.figures)})
    assert page.index(warning) < page.index("<nav")
    assert dict(facts(parse_manifest(manifest | {"stale": [STALE]})))["stale steps"] == STALE


def test_without_stale_steps_nothing_stands_above(manifest: dict[str, Any]) -> None:
    assert report_of(manifest).warning == ""
    unknown = "whether the code of respond changed since 1 of its artifacts was made cannot be told"
    for said, shown in (("", "none"), (unknown, unknown)):
        looked_at = manifest | {"stale": [], "stale_unknown": said}
        assert dict(facts(parse_manifest(looked_at)))["stale steps"] == shown
        assert report_of(looked_at).warning == ""


def test_packages_from_outside_are_named_by_what_they_brought(manifest: dict[str, Any]) -> None:
    package = {"package": "their-package", "version": "1.2", "commit": THERE, "dirty": True}
    manifest["provenance"]["outside"] = {"method mine": package}
    shown = dict(facts(parse_manifest(manifest)))["method mine"]
    assert shown == f"their-package 1.2, commit {THERE}, with changes that are not committed"

"""Claims in words, and what the tests cover."""

from typing import Any

import pytest

from reports import claims
from reports.blocks import Claims, Outcome
from reports.claims import coverage, detectable, difference, needed, p_value, undecided
from reports.manifest import ComparisonResult, parse_manifest
from reports.markdown import markdown_report
from reports.report import exhibits_of
from tests.reports.conftest import made_up_manifest, report_of

PLACE = {"model": "qwen", "better": "sgpo", "worse": "dpo", "bench": "alpaca_eval2", "metric": "win_rate"}


def comparison(**changes: Any) -> ComparisonResult:
    figures = {"verdict": "undecided", "difference": 1.0, "n_needed": 2500, "minimum_detectable_effect": 2.61}
    return ComparisonResult(**{**PLACE, **figures, **changes})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("2.6", "2,500 prompts")),
        ({"unit": "nats"}, ("2.61\u00a0nats", "2,500 prompts")),
        ({"n_needed": None}, ("2.6", "more training seeds")),
        ({"n_needed": None, "difference": 0.0}, ("2.6", "—")),
        ({"n_needed": None, "minimum_detectable_effect": None, "difference": 50.0}, ("—", "—")),
        ({"verdict": "holds"}, ("", "")),
        ({"verdict": "not run"}, ("", "")),
    ],
)
def test_beside_an_undecided_comparison_stands_what_would_decide_it(
    changes: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert (detectable(comparison(**changes)), needed(comparison(**changes))) == expected


def test_differences_are_in_points_unless_another_unit_stands() -> None:
    assert difference(comparison(ci95=(-0.5, 2.5))) == "+1.0 [-0.5,\u00a02.5]"
    assert difference(comparison(ci95=(-0.5, 2.5), unit="words")) == "+1.00 [-0.50,\u00a02.50]\u00a0words"
    assert difference(comparison(difference=None)) == "—"
    assert [p_value(value) for value in (None, 0.0004, 0.0123)] == ["—", "< 0.001", "0.012"]


def test_a_comparison_in_two_claims_is_tested_once(manifest: dict[str, Any]) -> None:
    manifest["claims"] += manifest["claims"][:2]
    run = parse_manifest(manifest)
    table = claims.tests(run, exhibits_of(run))
    assert len(list(table.rows)) == 10
    assert [group.heading for group in table.groups] == ["Table 3"]


def test_claims_are_in_the_words_of_their_exhibits() -> None:
    manifest = made_up_manifest("table3", "fig3", "fig8")
    place = {"model": "llama", "better": "self-vs-initial", "worse": "even", "bench": "pairwise", "metric": "win_rate"}
    claim = {"id": "wins", "exhibit": "fig8", "says": "It wins", "where": "section 4.4.2", "verdict": "not run"}
    manifest["claims"].append({**claim, "comparisons": [{**place, "verdict": "not run", "note": "withheld: few"}]})
    report = report_of(manifest)
    block = next(block for block in report.sections[0].blocks if isinstance(block, Claims))
    cells = [next(iter(claim.comparisons.rows)).cells for claim in block.claims]
    assert cells[0][:4] == ("SGPO > SFT", "Qwen2.5-Base (7B)", "AlpacaEval 2.0 WR", "+6.5 [4.5,\u00a08.5]")
    assert cells[-2][:4] == (
        "Improved response < SFT response (response-A)",
        "Qwen2.5-Base (7B)",
        "edit distance",
        "+4.12 [2.25,\u00a06.50]\u00a0words",
    )
    assert cells[-1][:3] == ("B vs A (improved by the initial policy) > 50 %", "Llama3-Base (8B)", "judge win rate")
    assert cells[-1][6] == Outcome("not run", "withheld: few")
    assert [label for label, _ in block.by_exhibit()] == ["Table 3", "Figure 3", "Figure 8"]
    assert [claim.tally for claim in block.claims][:2] == ["2 hold of 2", "2 fail of 2"]


def test_what_each_undecided_test_could_have_found(manifest: dict[str, Any]) -> None:
    run = parse_manifest(manifest)
    table = undecided(run, exhibits_of(run))
    assert table is not None
    cells = [row.cells for row in table.rows]
    assert len(cells) == 4
    assert cells[0] == ("SGPO > SPIN", "qwen", "AlpacaEval 2.0 WR", "+0.4 [-1.6,\u00a02.4]", "2.9", "12,345 prompts")
    decided = parse_manifest(manifest | {"claims": manifest["claims"][:2]})
    assert undecided(decided, exhibits_of(decided)) is None


def test_coverage_depends_on_the_number_of_training_seeds() -> None:
    one, two = (coverage(parse_manifest(made_up_manifest(seeds=seeds))) for seeds in ([4], [0, 1]))
    assert one.startswith("With one training seed these tests cover the draw of prompts, not of the")
    assert two.startswith("These tests cover the draw of prompts and of training seeds.")


def test_coverage_says_what_the_verdicts_rest_on(manifest: dict[str, Any]) -> None:
    assert "Holm-adjusted over 8 tests; the 95 % intervals are not adjusted." in coverage(parse_manifest(manifest))
    nothing_tested = coverage(parse_manifest(manifest | {"n_tests": 0, "claims": manifest["claims"][-1:]}))
    assert "Holm" not in nothing_tested and "Detectable" not in nothing_tested


def test_coverage_gives_the_reason_why_comparisons_were_withheld_once(manifest: dict[str, Any]) -> None:
    for each in manifest["claims"][-1]["comparisons"]:
        each["note"] = "withheld: the sets share 7 of 805 prompts"
    assert coverage(parse_manifest(manifest)).count("Not run, withheld: the sets share 7 of 805 prompts.") == 1


def test_the_claims_in_markdown(manifest: dict[str, Any]) -> None:
    text = markdown_report(report_of(manifest))
    says = "SGPO is above another (the one that holds)"
    assert f"| Table 3 | {says} | section 4.4.1 | holds | 2 hold of 2 |" in text
    assert (
        r"| claim-undecided-spin | SGPO \> SPIN | Llama3-Base (8B) | AlpacaEval 2.0 WR | +0.4 \[-1.6,"
        "\u00a0"
        r"2.4\] | 0.700 | 0.700 | undecided | 2.9 | 12,345 prompts |"
    ) in text
    assert "| 0.030 | 0.180 | undecided | 2.9 | more training seeds |" in text
    assert "| AlpacaEval 2.0 WR | — | — | — | not run |  |  |" in text
    assert "<details><summary>Table 3: every comparison</summary>" in text

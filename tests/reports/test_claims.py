"""Claims in words, and what the tests cover."""

from typing import Any

import pytest

from harness.results.claims import ComparisonResult
from harness.results.manifest import parse_manifest
from reports import claims
from reports.blocks import Claims, Outcome
from reports.claims import coverage, detectable, difference, headline, needed, p_value, tally
from reports.markdown import markdown_report
from tests.reports.conftest import made_up_manifest, report_of
from tests.reports.made_up_claims import on_checkpoints, power

PLACE = {"model": "qwen", "better": "sgpo", "worse": "dpo", "bench": "alpaca_eval2", "metric": "win_rate"}


def comparison(**changes: Any) -> ComparisonResult:
    figures = {"verdict": "undecided", "difference": 1.0, **power(2.61, 2500, 40, "2,500 prompts")}
    return ComparisonResult(**{**PLACE, **figures, **changes})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("2.6", "2,500 prompts")),
        ({"unit": "nats"}, ("2.61\u00a0nats", "2,500 prompts")),
        ({"prompts_needed": None, "needed": "9 seeds"}, ("2.6", "9 seeds")),
        ({"prompts_needed": None, "seeds_needed": None, "needed": ""}, ("2.6", "—")),
        (power(None, None, None, ""), ("—", "—")),
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
    table = claims.tests(run)
    assert len(list(table.rows)) == 10
    assert [group.heading for group in table.groups] == ["Table 3"]


def test_claims_are_in_the_words_of_their_exhibits() -> None:
    manifest = made_up_manifest("table3", "fig3", "fig8")
    place = {"model": "llama", "better": "self-vs-initial", "worse": "even", "bench": "pairwise", "metric": "win_rate"}
    claim = {"id": "wins", "exhibit": "fig8", "says": "It wins", "where": "section 4.4.2", "verdict": "withheld"}
    manifest["claims"].append({**claim, "comparisons": [{**place, "verdict": "withheld", "note": "few"}]})
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
    assert cells[-1][6] == Outcome("withheld", "few")
    assert [label for label, _ in block.by_exhibit()] == ["Table 3", "Figure 3", "Figure 8"]
    assert [claim.tally for claim in block.claims][:2] == ["2 hold of 2", "2 fail of 2"]


def test_every_comparison_stands_once_under_its_verdict_what_fails_first(manifest: dict[str, Any]) -> None:
    manifest["claims"].append({**manifest["claims"][0], "id": "again"})
    run = parse_manifest(manifest)
    failed, held, undecided = claims.by_verdict(run)
    assert [table.columns[0].head for table in (failed, held, undecided)] == ["fails", "holds", "undecided"]
    assert [len(list(table.rows)) for table in (failed, held, undecided)] == [2, 2, 4]
    assert next(iter(failed.rows)).cells == ("SGPO > DPO", "qwen", "AlpacaEval 2.0 WR", "-3.2 [-5.2,\u00a0-1.2]")
    assert next(iter(undecided.rows)).cells == (
        *("SGPO > SPIN", "qwen", "AlpacaEval 2.0 WR", "+0.4 [-1.6,\u00a02.4]"),
        *("2.9", "12,345 prompts"),
    )
    decided = parse_manifest(manifest | {"claims": manifest["claims"][:1]})
    assert len(claims.by_verdict(decided)) == 1


def test_the_comparisons_of_several_exhibits_stand_under_their_labels() -> None:
    run = parse_manifest(made_up_manifest("table3", "fig3"))
    groups = [group for table in claims.by_verdict(run) for group in table.groups]
    found = {(group.heading, row.cells[0]) for group in groups for row in group.rows}
    assert ("Table 3", "SGPO > DPO") in found
    assert ("Figure 3", "Improved response < SFT response (response-A)") in found


def test_coverage_depends_on_the_number_of_training_seeds() -> None:
    few, enough = (coverage(parse_manifest(made_up_manifest(seeds=list(range(k))))) for k in (4, 5))
    assert few.startswith("With so few training seeds these tests cover the draw of prompts alone: above and below are")
    assert "Holm-adjusted over the paper's 98 orderings, and no claim has a verdict." in few
    assert enough.startswith("These tests cover the draw of prompts and of training seeds.")


def test_coverage_says_what_the_verdicts_rest_on(manifest: dict[str, Any]) -> None:
    said = coverage(parse_manifest(manifest))
    assert (
        "at 5 % over all 19 claims of the paper, and over its 98 orderings, are Holm-adjusted; an ordering is" in said
    )
    assert "Undecided does not mean equal." in said
    decided = coverage(parse_manifest(manifest | {"claims": manifest["claims"][:2]}))
    assert "Undecided" not in decided and "Detectable" not in decided


# The answer of a report


def test_the_headline_counts_the_claims_by_verdict(manifest: dict[str, Any]) -> None:
    assert headline(parse_manifest(manifest)) == (
        "With 5 training seeds, of 5 claims of the paper 1 holds, 1 fails, 2 are undecided and 1 was not run in full."
    )
    assert headline(parse_manifest(manifest | {"claims": manifest["claims"][:1]})) == (
        "With 5 training seeds, of 1 claim of the paper 1 holds."
    )
    assert headline(parse_manifest(manifest | {"claims": []})) == ""


def test_a_claim_that_is_a_part_of_another_is_counted_with_that_one(manifest: dict[str, Any]) -> None:
    whole, part, *others = manifest["claims"]
    part["contained_in"] = [whole["id"], "one-that-was-not-run"]
    assert headline(parse_manifest(manifest)) == (
        "With 5 training seeds, of 4 claims of the paper 1 holds, 2 are undecided and 1 was not run in full. "
        "1 more is a part of these."
    )
    others[0]["contained_in"] = [whole["id"]]
    assert headline(parse_manifest(manifest)).endswith("2 more are parts of these.")
    alone = parse_manifest(manifest | {"claims": [part]})  # what contains it is not in this run
    assert headline(alone) == "With 5 training seeds, of 1 claim of the paper 1 fails."


def test_with_few_training_seeds_the_headline_is_of_checkpoints(manifest: dict[str, Any]) -> None:
    for claim in manifest["claims"]:  # an ordering that two claims rest on is counted once
        claim["comparisons"].append(claim["comparisons"][0])
    manifest |= {"claims": on_checkpoints(manifest["claims"]), "seeds": [0]}
    assert headline(parse_manifest(manifest)) == (
        "With 1 training seed there is no verdict on the methods (that takes 5: --seeds 5). On these checkpoints, of "
        "10 orderings that the paper states 2 are found, 2 are reversed, 4 are undecided and 2 were not run."
    )
    assert headline(parse_manifest(manifest | {"seeds": [0, 1, 2, 3]})).startswith("With 4 training seeds there is no")


def test_exhibits_with_more_training_seeds_have_a_headline_of_their_own() -> None:
    manifest = made_up_manifest("table3", "table1", seeds=[0])
    holds, *others = on_checkpoints(manifest["claims"])
    decided = {**manifest["claims"][0], "id": "decided", "exhibit": "table1", "comparisons": []}
    manifest["claims"] = [holds, *others, decided]
    manifest["results"][1]["seeds"] = [0, 1, 2, 3, 4]
    run = parse_manifest(manifest)
    few, many = headline(run).split(" Table 1: ")
    assert few.startswith("Table 3: With 1 training seed there is no verdict on the methods")
    assert many == "With 5 training seeds, of 1 claim of the paper 1 holds."
    said = coverage(run)
    assert "Table 3: With so few training seeds these tests cover the draw of prompts alone" in said
    assert "Table 1: These tests cover the draw of prompts and of training seeds." in said
    assert said.count("Undecided does not mean equal.") == 1


def test_a_tally_says_of_how_many_and_on_which_models(manifest: dict[str, Any]) -> None:
    holds, *others = manifest["claims"]
    most = {**others[1], "quantifier": "most"}
    only = {**holds, "verdict": "not run", "only_models": ["qwen"]}
    only["comparisons"] = [holds["comparisons"][0], {**holds["comparisons"][1], "verdict": "not run"}]
    run = parse_manifest(manifest | {"claims": [*on_checkpoints([holds, others[0]]), most, only]})
    exhibit = run.exhibits["table3"]
    assert [tally(claim, exhibit) for claim in run.claims] == [
        "2 above of 2",
        "2 below of 2",
        "2 undecided of 2, most must hold",
        "on Qwen2.5-Base (7B) only: 1 hold of 1",
    ]


def test_coverage_gives_the_reason_why_comparisons_were_withheld_once(manifest: dict[str, Any]) -> None:
    for each in manifest["claims"][-1]["comparisons"]:
        each |= {"verdict": "withheld", "note": "the sets share 7 of 805 prompts"}
    run = parse_manifest(manifest)
    assert coverage(run).count("Withheld: the sets share 7 of 805 prompts.") == 1
    assert tally(run.claims[-1], run.exhibits["table3"]) == "2 withheld of 2"


def test_the_claims_in_markdown(manifest: dict[str, Any]) -> None:
    text = markdown_report(report_of(manifest))
    assert "**With 5 training seeds, of 5 claims of the paper 1 holds, 1 fails, 2 are undecided and" in text
    says = "SGPO is above another (the one that holds)"
    assert f"| Table 3 | {says} | section 4.4.1 | holds | 2 hold of 2 |" in text
    assert (
        r"| claim-undecided-spin | SGPO \> SPIN | Llama3-Base (8B) | AlpacaEval 2.0 WR | +0.4 \[-1.6,"
        "\u00a0"
        r"2.4\] | 0.700 | 0.700 | undecided | 2.9 | 12,345 prompts |"
    ) in text
    assert "| 0.030 | 0.180 | undecided | 2.9 | 9 seeds |" in text
    assert "| AlpacaEval 2.0 WR | — | — | — | not run |  |  |" in text
    assert "<details><summary>Table 3: every comparison</summary>" in text


def test_a_part_is_counted_by_itself_where_what_it_is_part_of_was_not_run(manifest: dict[str, Any]) -> None:
    whole = {**manifest["claims"][0], "id": "whole", "verdict": "not run"}
    part = {**manifest["claims"][0], "id": "part", "verdict": "holds", "contained_in": ["whole"]}
    said = headline(parse_manifest(manifest | {"claims": [whole, part]}))
    assert "of 2 claims of the paper 1 holds and 1 was not run in full" in said
    run = headline(parse_manifest(manifest | {"claims": [{**whole, "verdict": "undecided"}, part]}))
    assert "of 1 claim of the paper 1 is undecided. 1 more is a part" in run


def test_a_test_that_two_claims_rest_on_is_listed_once_with_its_verdict(manifest: dict[str, Any]) -> None:
    """It may be decided with one claim and not by itself."""
    one = manifest["claims"][0]
    first = {**one["comparisons"][0], "verdict": "undecided", "minimum_detectable_effect": 4.0}
    both = [
        {**one, "id": id, "comparisons": [{**first, "verdict": said}]}
        for id, said in (("a", "undecided"), ("b", "holds"))
    ]
    found = parse_manifest(manifest | {"claims": both})
    assert len(list(claims.tests(found).rows)) == 1
    assert [table.columns[0].head for table in claims.by_verdict(found)] == ["holds"]

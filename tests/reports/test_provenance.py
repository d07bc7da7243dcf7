"""Where the numbers come from, and what the tests cover, in words."""

from typing import Any

import pytest

from reports.claims import coverage, detectable, distinct, needed
from reports.manifest import ComparisonResult, parse_manifest
from reports.provenance import facts, work
from tests.reports.conftest import made_up_manifest

HERE, THERE = "f" * 40, "e" * 40


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("2.6", "2,500 prompts")),
        ({"n_needed": None}, ("2.6", "more training seeds")),
        ({"n_needed": None, "difference": 0.0}, ("2.6", "—")),
        ({"verdict": "holds"}, ("", "")),
        ({"verdict": "not run"}, ("", "")),
    ],
)
def test_beside_an_undecided_comparison_stands_what_would_decide_it(
    changes: dict[str, Any], expected: tuple[str, str]
) -> None:
    place = {"model": "qwen", "better": "sgpo", "worse": "dpo", "bench": "alpaca_eval2", "metric": "win_rate"}
    figures = {"verdict": "undecided", "difference": 1.0, "n_needed": 2500}
    comparison = ComparisonResult(**{**place, **figures, "minimum_detectable_effect": 2.61, **changes})
    assert (detectable(comparison), needed(comparison)) == expected


def test_a_comparison_in_two_claims_is_shown_once(manifest: dict[str, Any]) -> None:
    manifest["claims"] += manifest["claims"][:2]
    assert len(distinct(parse_manifest(manifest))) == 10


def test_coverage_depends_on_the_number_of_training_seeds() -> None:
    one, two = (coverage(parse_manifest(made_up_manifest(seeds=seeds))) for seeds in ([4], [0, 1]))
    assert one.startswith("With one training seed these tests cover the draw of prompts, not of the")
    assert two.startswith("These tests cover the draw of prompts and of training seeds.")


def test_coverage_says_what_the_verdicts_rest_on(manifest: dict[str, Any]) -> None:
    assert "Holm-adjusted over 8 tests; the 95 % intervals are not adjusted." in coverage(parse_manifest(manifest))
    nothing_tested = coverage(parse_manifest(manifest | {"n_tests": 0, "claims": manifest["claims"][-1:]}))
    assert "Holm" not in nothing_tested and "Detectable" not in nothing_tested


def test_coverage_gives_the_reason_why_comparisons_were_withheld_once(manifest: dict[str, Any]) -> None:
    for comparison in manifest["claims"][-1]["comparisons"]:
        comparison["note"] = "withheld: the sets share 7 of 805 prompts"
    assert coverage(parse_manifest(manifest)).count("Not run, withheld: the sets share 7 of 805 prompts.") == 1


def test_a_run_that_finds_everything_keeps_the_times(manifest: dict[str, Any]) -> None:
    for step in manifest["steps"]:
        step["found"] = True
    assert work(parse_manifest(manifest)) == "2 steps, 1 min 04 s of work; 2 found in the store, 0 run now"


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

"""Where the numbers come from, and what the tests cover, in words."""

from typing import Any

import pytest

from reports.claims import coverage
from reports.manifest import parse_manifest
from reports.provenance import facts, work
from tests.reports.conftest import made_up_manifest

HERE, THERE = "f" * 40, "e" * 40


def test_coverage_depends_on_the_number_of_training_seeds() -> None:
    assert coverage((4,)).startswith("With one training seed these tests cover the draw of prompts, not of the")
    assert coverage((0, 1)).startswith("The tests resample prompts and training seeds;")
    assert all("not corrected for how many" in coverage(seeds) for seeds in ((0,), (0, 1, 2)))


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

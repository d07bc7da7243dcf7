"""`harness eval --revisions`: scores of each revision of a checkpoint's answers, in one table."""

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import harness as package
from harness.commands.evaluations import Source, build_evaluations
from harness.engine.artifacts import ancestry
from harness.recipes.benches import OFFICIAL, BenchChoice, revision_prompt
from tests.chat_server import ChatServer
from tests.command import Harness, Outcome

pytestmark = pytest.mark.usefixtures("in_this_process")

Evaluate = Callable[..., Outcome]
ARENA_HARD = ("--bench", "arena_hard", "--limit", 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run directory for all tests: what one has made, another finds."""
    return tmp_path_factory.mktemp("run")


@pytest.fixture
def evaluate(harness: Harness, folder: Path) -> Evaluate:
    return lambda *arguments: harness("eval", "--model", "mini:llama", *arguments, "--run-dir", folder)


def test_scores_of_all_revisions_are_one_table(evaluate: Evaluate) -> None:
    outcome = evaluate(*ARENA_HARD, "--revisions", 2)
    assert outcome.exit_code == 0, outcome.err
    head, judge, departure, columns, *rows = outcome.out.splitlines()
    assert head == "arena_hard: mini:llama against mini:arena_hard"
    assert (judge.split()[0], departure.split()[0]) == ("judged", "not")
    assert columns.split()[:2] == ["revision", "score"]
    assert [row.split()[0] for row in rows] == ["0", "1", "2"]
    assert all(re.search(r" \d+\.\d\d  \[\d+\.\d\d, \d+\.\d\d\] .* 16 of 16$", row) for row in rows)
    assert re.search(r"^revise +2 ", outcome.err, re.MULTILINE)
    assert "arena_hard, revision 2: rows and scores are in" in outcome.err


def test_without_revision_the_scores_are_those_of_the_answers_alone(evaluate: Evaluate) -> None:
    [revision] = evaluate(*ARENA_HARD, "--revisions", 0, "--json").scores["revisions"]
    alone = evaluate(*ARENA_HARD, "--json").scores
    assert revision["revision"] == 0
    assert {**revision, "stale": []} == {**alone, "revision": 0}


def test_every_revision_is_of_the_one_before(folder: Path) -> None:
    source, choice = Source("mini:llama", revisions=6), BenchChoice(scale="mini", limit=4)
    evaluations = build_evaluations("pairwise", source, choice)
    assert [each.revision for each in evaluations] == list(range(7))
    outputs = [each.outputs for each in evaluations]
    assert all(after and after.inputs["responses"] == before for before, after in itertools.pairwise(outputs))
    assert len({each.result for each in evaluations}) == 7


def test_files_in_official_formats_tell_revisions_apart(evaluate: Evaluate) -> None:
    scores = evaluate("--bench", "alpaca_eval2", "--limit", 4, "--revisions", 1, "--json").scores
    writers = [
        {row["generator"] for row in json.loads((Path(each["folder"]) / "model_outputs.json").read_text())}
        for each in scores["revisions"]
    ]
    assert writers == [{"mini:llama"}, {"mini:llama-rev1"}]
    assert [each["n_without_room"] for each in scores["revisions"] if "n_without_room" in each] == [0]


def test_answers_are_measured_at_each_revision_too(evaluate: Evaluate) -> None:
    outcome = evaluate("--bench", "edit_distance", "--bench", "perplexity", "--limit", 4, "--revisions", 1)
    assert outcome.exit_code == 0, outcome.err
    assert [line.split()[0] for line in outcome.out.splitlines() if line.startswith("         ")] == ["0", "1"] * 2
    assert "median" not in outcome.out  # a row would be too long; files have it


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("-1", "-1 is not in the range 0<=x<=100."),
        ("some", "'some' is not a valid integer of up to 18 digits."),
        ("1.5", "'1.5' is not a valid integer of up to 18 digits."),
    ],
)
def test_a_number_that_there_cannot_be_is_one_line(evaluate: Evaluate, value: str, problem: str) -> None:
    outcome = evaluate(*ARENA_HARD, "--revisions", value)
    assert (outcome.exit_code, outcome.out) == (2, "")
    assert outcome.err == f"error: Invalid value for '--revisions': {problem}\n"


def test_what_judging_them_would_cost_is_said_of_each(evaluate: Evaluate, shared_data: Path) -> None:
    with ChatServer() as server:
        judge = ("--judge-model", "judge-1", "--judge-base-url", server.base_url)
        official = ("--bench", "arena_hard", "--data", shared_data / "arena_hard_v0.1", "--limit", 3)
        costs = evaluate(*official, *judge, "--revisions", 2, "--dry-run", "--json").scores
        assert not server.bodies
    assert list(costs) == ["arena_hard, revision 0", "arena_hard, revision 1", "arena_hard, revision 2"]
    assert {each["calls"] for each in costs.values()} == {2 * 3}  # both orders of each pair


def test_it_can_be_asked_for_in_python(evaluate: Evaluate, folder: Path) -> None:
    [found] = package.evaluate("mini:llama", ["arena_hard"], limit=8, revisions=2, run_dir=folder)
    assert found == evaluate(*ARENA_HARD, "--revisions", 2, "--json").scores


def test_how_an_answer_is_shown_is_the_scales_or_the_general_way() -> None:
    assert revision_prompt(BenchChoice(scale="mini")) == "example : {example} request : {request}"
    general = revision_prompt(BenchChoice(scale=OFFICIAL))
    assert revision_prompt(BenchChoice(scale="small")) == general
    assert "{request}\n\nEXAMPLE ANSWER: {example}" in general
    evaluations = build_evaluations("arena_hard", Source("mini:llama", revisions=1), BenchChoice(scale="mini", limit=4))
    [revised] = [each for each in ancestry([evaluations[1].result]) if each.step == "revise"]
    assert revised.arguments["template"] == revision_prompt(BenchChoice(scale="mini"))

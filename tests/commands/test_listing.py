"""What `harness list evals` says of each."""

import re

import pytest

from evals.arena_hard_v2.scores import PUBLISHED
from evals.base import PublishedMetric
from harness.commands.bench_lines import bench_line
from harness.commands.listing import listing
from harness.endpoints.known_models import known_model


def test_each_evaluation_says_what_it_needs_and_whether_it_has_a_judge() -> None:
    lines = dict(listing("evals"))
    for name, line in lines.items():
        assert "; needs a checkpoint" in line and "judge" in line, name
    assert lines["perplexity"].endswith("no judge, so free")
    assert "2 verdicts a pair by the one that you name" in lines["pairwise"]


@pytest.mark.parametrize(
    ("name", "calls", "least", "most"), [("alpaca_eval2", "805", 5, 15), ("arena_hard", "1,000", 20, 30)]
)
def test_the_cost_is_that_of_the_judge_that_defines_the_metric(name: str, calls: str, least: int, most: int) -> None:
    """AlpacaEval's authors say $10 (README of alpaca_eval), Arena-Hard's $25 (arXiv:2406.11939v1)."""
    line = bench_line(name)
    found = re.search(rf"judge gpt-4-1106-preview, {calls} verdicts, about \$([\d.]+) a model", line)
    assert found and least <= float(found[1]) <= most
    assert line.endswith("was shut down on 2026-10-23, as announced")


def test_the_end_of_a_judge_is_that_of_the_table() -> None:
    assert known_model(PUBLISHED.asked_judge).shutdown_date in bench_line("arena_hard_v2")  # type: ignore[operator]


def test_a_judge_of_unknown_price_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = PublishedMetric("T", 10, "items", "base", ("nobody",), asked_judge="nobody")
    monkeypatch.setattr("evals.arena_hard_v2.benchmark.ArenaHardV2.published", unknown)
    assert bench_line("arena_hard_v2").endswith(
        "judge nobody, 20 verdicts, price unknown; no end of that judge is announced"
    )


def test_the_cost_of_grades_is_about_what_a_dry_run_says_of_the_official_questions() -> None:
    """160 grades of 600 tokens each, counted on the files of shared data, and replies of 400: $6.7 by GPT-4's price."""
    found = re.search(r"judge gpt-4-0613, 160 grades, about \$([\d.]+) a model", bench_line("mt_bench"))
    assert found and 5 <= float(found[1]) <= 9

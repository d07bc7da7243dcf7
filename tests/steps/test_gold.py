from statistics import fmean

import pytest

from harness.engine.store import Store
from harness.mini.identity import world_digest
from harness.mini.quality import gold_quality as quality_of
from harness.mini.roles import read_role
from harness.recipes.loading import load_recipe
from harness.records import Response
from harness.steps.data import data
from harness.steps.gold import GoldQuality, gold_quality, response_gold_quality
from harness.steps.judge import judge, judge_pairs
from tests.steps.given import made


def test_responses_are_measured_by_the_worlds_truth(store: Store) -> None:
    artifact = made(store, response_gold_quality(responses=data("mini:demonstrations", 40), world=world_digest()))
    rows = [row for row in read_role("demonstrations", 40) if isinstance(row, Response)]
    assert artifact.rows(GoldQuality) == [
        GoldQuality(row.prompt.id, quality_of(row.prompt.text, row.text), len(row.text.split())) for row in rows
    ]
    counts = store.record(artifact)["counts"]
    assert counts["mean_quality"] == pytest.approx(fmean(quality_of(row.prompt.text, row.text) for row in rows))


@pytest.mark.parametrize("role", ["two_turn_questions", "instructions", "summaries_distant"])
def test_second_turns_instructions_and_summaries_are_measured_too(store: Store, role: str) -> None:
    artifact = made(store, response_gold_quality(responses=data(f"mini:{role}", 20), world=world_digest()))
    rows = [row for row in read_role(role, 20) if isinstance(row, Response)]
    assert [row.quality for row in artifact.rows(GoldQuality)] == [
        quality_of(row.prompt.text, row.text, row.prompt.requests_before) for row in rows
    ]
    assert store.record(artifact)["counts"]["mean_quality"] > 0.3


def test_an_output_judged_in_two_orders_counts_once(store: Store) -> None:
    judgments = judge_pairs(
        judge=judge("mini:judge"),
        prompt=load_recipe("mini").prompt_set().judge["arena_hard"],
        protocol="arena_hard",
        outputs=data("mini:alpaca_eval2_house", 15),
        baselines=data("mini:alpaca_eval2", 15),
    )
    measured = made(store, gold_quality(judgments=judgments, world=world_digest())).rows(GoldQuality)
    directly = response_gold_quality(responses=data("mini:alpaca_eval2_house", 15), world=world_digest())
    assert measured == made(store, directly).rows(GoldQuality)

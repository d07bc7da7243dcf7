import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals import scoring
from evals.arena_hard.benchmark import score_training_seeds
from evals.arena_hard.files import ArenaJudgment, Game, read_judgments
from evals.arena_hard.scores import Games, official_interval, score_judgments
from harness.errors import UserError
from tests.evals import simulated

Judged = list[ArenaJudgment]


def compare(first: Judged, second: Judged, **rules: Any) -> dict[str, Any]:
    return scoring.compare([Games(first)], [Games(second)], "score", **rules)


def test_scores_are_those_of_the_official_scorer(arena_data: Path) -> None:
    folder = arena_data / "simulated_judgments"
    for model, expected in json.loads((folder / "expected.json").read_text()).items():
        scores = score_judgments(read_judgments(folder / f"{model}.jsonl"), allow_missing=True)
        assert scores["score"] == pytest.approx(expected["score"], abs=0.01), model
        assert scores["ci95_official"] == pytest.approx([expected["lower"], expected["upper"]], abs=0.5), model
        assert scores["n_battles"] == expected["n_battles"], model
        assert scores["ci95"][0] < scores["score"] < scores["ci95"][1]
        assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_missing_labels_are_counted(arena_data: Path) -> None:
    path = arena_data / "simulated_judgments" / "sim-even.jsonl"
    missing = path.read_text().count('"score": null')
    assert missing > 0
    scores = score_judgments(read_judgments(path), resamples=10)
    assert (scores["n_missing"], scores["n_asked"], scores["withheld"]) == (missing, 1000, None)


@pytest.mark.parametrize(
    ("labels", "score", "battles"),
    [
        (("A=B", "A=B"), 50, 2),
        (("A>B", "B>A"), 0, 2),
        (("B>A", "A>B"), 100, 2),
        (("A>>B", "A>B"), 25, 4),
        (("B>>A", "A=B"), 100 * 3.5 / 4, 4),
        (("A>>B", "A>>B"), 50, 6),
        ((None, "A>>B"), 100, 3),
        (("A>B", None), 0, 1),
    ],
)
def test_weights_orders_and_ties(labels: tuple[str | None, str | None], score: float, battles: int) -> None:
    judgment = ArenaJudgment("q", "model", "judge", tuple(Game(label) for label in labels))
    scores = score_judgments([judgment], n_questions=1, resamples=5, allow_missing=True)
    assert scores["score"] == pytest.approx(score)
    assert scores["n_battles"] == battles
    assert scores["n_missing"] == labels.count(None)


def test_absent_questions_and_games_are_missing() -> None:
    judgments = [ArenaJudgment("a", "model", "judge", (Game("A=B"),)), ArenaJudgment("b", "model", "judge", ())]
    scores = score_judgments(judgments, n_questions=4, resamples=5)
    assert (scores["n_missing"], scores["n_asked"]) == (7, 8)
    assert scores["score"] is scores["ci95"] is scores["ci95_official"] is None
    assert "only 1 of 8 verdicts are there" in scores["withheld"]
    assert score_judgments(judgments, n_questions=4, resamples=5, allow_missing=True)["score"] == 50


def test_verdicts_of_several_repeats_count_alike() -> None:
    once, other = simulated.judgments(40, seed=1), simulated.judgments(40, seed=2)
    both = score_judgments([*once, *other], n_questions=40, repeats=2, resamples=50)
    assert (both["n_missing"], both["n_asked"]) == (0, 160)
    twice = score_judgments([*once, *once], n_questions=40, repeats=2, resamples=50)
    single = score_judgments(once, n_questions=40, resamples=50)
    assert twice["score"] == pytest.approx(single["score"])
    assert twice["ci95"] == pytest.approx(single["ci95"])  # a prompt's repeats are drawn together


@given(seed=st.integers(0, 1000), order=st.integers(0, 2**32))
@settings(deadline=None, max_examples=15)
def test_the_order_of_questions_does_not_matter(seed: int, order: int) -> None:
    judgments = simulated.judgments(30, seed=seed)
    shuffled = random.Random(order).sample(judgments, len(judgments))
    first, second = (score_judgments(each, n_questions=30, resamples=50) for each in (judgments, shuffled))
    for key in ("score", "ci95", "n_battles", "n_missing"):
        assert first[key] == second[key]


@given(seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=15)
def test_exchanging_model_and_baseline_mirrors_the_score(seed: int) -> None:
    judgments = simulated.judgments(30, seed=seed)
    exchanged = [
        ArenaJudgment(each.question_id, each.model, each.judge, tuple(reversed(each.games))) for each in judgments
    ]
    first, second = (score_judgments(each, n_questions=30, resamples=5)["score"] for each in (judgments, exchanged))
    assert first == pytest.approx(100 - second)


def test_our_interval_keeps_the_verdicts_on_a_question_together() -> None:
    """Two verdicts on a question always agree here: a battle-wise bootstrap takes them for independent."""
    rng = np.random.default_rng(0)
    judgments = [
        ArenaJudgment(
            f"q{number}", "model", "judge", (Game("B>>A"), Game("A>>B")) if win else (Game("A>>B"), Game("B>>A"))
        )
        for number, win in enumerate(rng.random(400) < 0.5)
    ]
    scores = score_judgments(judgments, n_questions=400)
    ours, official = (upper - lower for lower, upper in (scores["ci95"], official_interval(judgments)))
    assert ours == pytest.approx(2 * 1.96 * 50 / np.sqrt(400), rel=0.1)
    assert official < 0.6 * ours


def test_nothing_to_score_and_too_many_questions_are_errors() -> None:
    with pytest.raises(UserError, match="no verdict on model has a label"):
        score_judgments([ArenaJudgment("q", "model", "judge", (Game(None), Game(None)))])
    with pytest.raises(UserError, match="no verdict"):
        score_judgments([])
    with pytest.raises(UserError, match="30 questions judged for model, but the set has 20"):
        score_judgments(simulated.judgments(30), n_questions=20)


def test_one_training_seed_has_the_score_and_interval_of_its_verdicts() -> None:
    judgments = simulated.judgments(60, missing=[4])
    one = score_judgments(judgments, n_questions=60, resamples=100, seed=2)
    seeds = score_training_seeds([judgments], n_questions=60, resamples=100, seed=2)
    assert seeds["mean"]["score"] == one["score"]
    assert seeds["ci95"]["score"] == one["ci95"]
    assert seeds["n_missing"] == one["n_missing"] == 1


def test_repeats_of_the_same_verdicts_change_neither_score_nor_interval() -> None:
    judgments = simulated.judgments(60)
    once, thrice = (score_judgments(judgments * k, n_questions=60, repeats=k, resamples=100) for k in (1, 3))
    assert thrice["score"] == pytest.approx(once["score"])
    assert thrice["ci95"] == pytest.approx(once["ci95"])
    assert (thrice["n_asked"], thrice["n_missing"]) == (3 * once["n_asked"], 0)


def test_several_training_seeds_give_their_mean() -> None:
    sets = [simulated.judgments(60, seed=seed, ability=seed - 1) for seed in range(3)]
    seeds = score_training_seeds(sets, n_questions=60, resamples=200)
    scores = [score_judgments(each, n_questions=60, resamples=5)["score"] for each in sets]
    assert seeds["per_seed"]["score"] == pytest.approx(scores)
    assert seeds["mean"]["score"] == pytest.approx(np.mean(scores))
    assert seeds["ci95"]["score"][0] < np.mean(scores) < seeds["ci95"]["score"][1]


def test_comparison_is_antisymmetric_and_finds_a_clear_difference() -> None:
    strong, weak = simulated.judgments(ability=0.7, seed=1), simulated.judgments(ability=-0.7, seed=2)
    forward, backward = (compare(a, b, resamples=200) for a, b in ((strong, weak), (weak, strong)))
    assert forward["difference"] == pytest.approx(-backward["difference"])
    assert forward["difference"] > 0
    assert forward["p_value"] == pytest.approx(backward["p_value"])
    assert forward["p_value"] < 0.05
    assert forward["ci95"] == pytest.approx([-end for end in reversed(backward["ci95"])])
    assert json.loads(json.dumps(forward, allow_nan=False)) == forward


def test_comparison_of_a_model_with_itself_tells_nothing() -> None:
    judgments = simulated.judgments()
    result = compare(judgments, judgments, resamples=50)
    assert (result["difference"], result["p_value"]) == (0, 1)


def test_comparison_on_different_questions_needs_consent() -> None:
    whole, part = simulated.judgments(60, seed=1), simulated.judgments(60, seed=2)[:50]
    withheld = compare(whole, part)
    assert "difference" not in withheld
    assert "share 50 of 60 prompts" in withheld["withheld"] and "--allow-missing" in withheld["withheld"]
    assert compare(whole, part, resamples=20, allow_missing=True)["n_prompts"] == 50
    assert compare(whole[:5], whole[5:10], allow_missing=True)["withheld"]

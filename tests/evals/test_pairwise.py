import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.pairwise import METRICS, PairVerdicts, compare_pairs, score_pairs, score_training_seeds

POINTS = st.sampled_from([0.0, 0.5, 1.0])
PAIRS = st.lists(st.tuples(POINTS, POINTS), min_size=2, max_size=30).map(
    lambda drawn: [PairVerdicts(str(i), (second,), (first,)) for i, (second, first) in enumerate(drawn)]
)


def simulated(n: int, strength: float, bias: float = 0.0, seed: int = 0) -> list[PairVerdicts]:
    """Verdicts of a judge to whom the output is better by `strength` and whatever stands first by `bias`, in logits."""
    rng = np.random.default_rng(seed)
    liking = strength + rng.normal(size=n)
    second = rng.random(n) < 1 / (1 + np.exp(-(liking - bias)))
    first = rng.random(n) < 1 / (1 + np.exp(-(liking + bias)))
    return [PairVerdicts(str(i), (float(second[i]),), (float(first[i]),)) for i in range(n)]


def test_points_of_a_hand_made_example() -> None:
    pairs = [
        PairVerdicts("wins both", (1.0,), (1.0,)),
        PairVerdicts("only when first", (0.0,), (1.0,)),
        PairVerdicts("win and tie", (0.5,), (1.0,)),
        PairVerdicts("loses both", (0.0,), (0.0,)),
        PairVerdicts("two ties", (0.5,), (0.5,)),
    ]
    scores = score_pairs(pairs, n_prompts=5, resamples=20)
    assert scores["win_rate"] == pytest.approx(100 * (1 + 0.5 + 0.75 + 0 + 0.5) / 5)
    assert scores["consistency"] == pytest.approx(100 * 3 / 5)
    assert scores["first_shown_win_rate"] == pytest.approx(100 * (0.5 + 1 + 0.75 + 0.5 + 0.5) / 5)
    assert scores["position_bias"] == pytest.approx(15)
    assert (scores["n_wins"], scores["n_draws"], scores["n_losses"]) == (2, 2, 1)
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


@given(pairs=PAIRS)
def test_exchanging_the_sets_mirrors_the_win_rate_and_nothing_else(pairs: list[PairVerdicts]) -> None:
    exchanged = [
        replace(
            pair,
            shown_second=tuple(1 - points for points in pair.shown_first),
            shown_first=tuple(1 - points for points in pair.shown_second),
        )
        for pair in pairs
    ]
    scores, mirrored = (score_pairs(each, n_prompts=len(pairs), resamples=5) for each in (pairs, exchanged))
    assert scores["win_rate"] + mirrored["win_rate"] == pytest.approx(100)
    assert scores["consistency"] == mirrored["consistency"]
    assert scores["first_shown_win_rate"] == pytest.approx(mirrored["first_shown_win_rate"])


@given(pairs=PAIRS, order=st.randoms())
def test_the_order_of_prompts_does_not_matter(pairs: list[PairVerdicts], order: object) -> None:
    shuffled = pairs[::-1]
    scores, others = (score_pairs(each, n_prompts=len(pairs), resamples=5) for each in (pairs, shuffled))
    assert {name: scores[name] for name in METRICS} == pytest.approx({name: others[name] for name in METRICS})


def test_position_bias_is_found_and_does_not_move_the_win_rate() -> None:
    fair, biased = (score_pairs(simulated(4000, 0.5, bias), n_prompts=4000, resamples=200) for bias in (0.0, 1.0))
    assert fair["ci95"]["first_shown_win_rate"][0] < 50 < fair["ci95"]["first_shown_win_rate"][1]
    assert biased["ci95"]["first_shown_win_rate"][0] > 60
    assert biased["consistency"] < fair["consistency"]
    assert biased["win_rate"] == pytest.approx(fair["win_rate"], abs=4)


def test_a_prompt_with_a_verdict_in_one_order_only_is_missing() -> None:
    pairs = [*simulated(99, 0.0), PairVerdicts("half", (), (1.0,))]
    scores = score_pairs(pairs, n_prompts=100, resamples=5)
    assert (scores["n_total"], scores["n_asked"], scores["n_missing"], scores["withheld"]) == (99, 100, 1, None)
    held = score_pairs(pairs, n_prompts=101, resamples=5)
    assert [held[name] for name in METRICS] == [None] * 3
    assert "only 99 of 101" in held["withheld"]
    allowed = score_pairs(pairs, n_prompts=101, resamples=5, allow_missing=True)
    assert allowed["win_rate"] == scores["win_rate"]


def test_no_verdict_at_all_is_no_score() -> None:
    held = score_pairs([PairVerdicts("a", (), ())], n_prompts=1, allow_missing=True)
    assert held["win_rate"] is None


def test_repeated_verdicts_are_averaged_within_their_order() -> None:
    pair = PairVerdicts("a", (1.0, 0.0), (1.0, 1.0, 1.0, 1.0))
    scores = score_pairs([pair, pair], n_prompts=2, resamples=5)
    assert scores["win_rate"] == pytest.approx(75)


def test_training_seeds_give_their_mean_and_comparisons_are_antisymmetric() -> None:
    strong = [simulated(200, 1.0, seed=seed) for seed in range(2)]
    weak = [simulated(200, -1.0, seed=seed + 5) for seed in range(2)]
    seeds = score_training_seeds(strong, n_prompts=200, resamples=100)
    assert seeds["mean"]["win_rate"] == pytest.approx(np.mean(seeds["per_seed"]["win_rate"]))
    assert seeds["ci95"]["win_rate"][0] < seeds["mean"]["win_rate"] < seeds["ci95"]["win_rate"][1]
    forward, backward = compare_pairs(strong, weak, resamples=100), compare_pairs(weak, strong, resamples=100)
    assert (forward["verdict"], backward["verdict"]) == ("better", "worse")
    assert forward["difference"] == pytest.approx(-backward["difference"])
    assert compare_pairs([strong[0]], [weak[0][:100]], resamples=10)["verdict"] == "withheld"

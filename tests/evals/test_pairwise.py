import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import comb
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import binomtest

from evals import scoring
from evals.pairwise import scores as pairwise
from evals.pairwise.bands import bootstrap_band, mean_band
from evals.pairwise.scores import METRICS, Pairs, PairVerdicts, score_pairs
from evals.scoring import measured_difference
from evals.stats.bootstrap import mean_statistic, resample_counts
from evals.stats.comparison import interval, paired_difference, welch_test
from evals.stats.power import Power, power
from harness.results.exhibits import BootstrapBand

POINTS = st.sampled_from([0.0, 0.5, 1.0])
PAIRS = st.lists(st.tuples(POINTS, POINTS), min_size=2, max_size=30).map(
    lambda drawn: [PairVerdicts(str(i), (second,), (first,)) for i, (second, first) in enumerate(drawn)]
)


NAMES = [metric.name for metric in METRICS]
Sets = Sequence[Sequence[PairVerdicts]]


def compare_pairs(first: Sets, second: Sets, **rules: Any) -> dict[str, Any]:
    return scoring.compare(list(map(Pairs, first)), list(map(Pairs, second)), "win_rate", **rules)


def compare_with_even(sets: Sets, **rules: Any) -> dict[str, Any]:
    return pairwise.compare_with_even(list(map(Pairs, sets)), **rules)


def simulated(n: int, strength: float, bias: float = 0.0, seed: int = 0) -> list[PairVerdicts]:
    """Verdicts of a judge to whom the output is better by `strength` and whatever stands first by `bias`, in logits."""
    rng = np.random.default_rng(seed)
    liking = strength + rng.normal(size=n)
    second = rng.random(n) < 1 / (1 + np.exp(-(liking - bias)))
    first = rng.random(n) < 1 / (1 + np.exp(-(liking + bias)))
    return [PairVerdicts(str(i), (float(second[i]),), (float(first[i]),)) for i in range(n)]


def exchanged(pairs: list[PairVerdicts]) -> list[PairVerdicts]:
    """The same verdicts with outputs and baselines exchanged."""
    return [
        replace(
            pair,
            shown_second=tuple(1 - points for points in pair.shown_first),
            shown_first=tuple(1 - points for points in pair.shown_second),
        )
        for pair in pairs
    ]


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
    scores, mirrored = (score_pairs(each, n_prompts=len(pairs), resamples=5) for each in (pairs, exchanged(pairs)))
    assert scores["win_rate"] + mirrored["win_rate"] == pytest.approx(100)
    assert scores["consistency"] == mirrored["consistency"]
    assert scores["first_shown_win_rate"] == pytest.approx(mirrored["first_shown_win_rate"])


@given(pairs=PAIRS, order=st.randoms())
def test_the_order_of_prompts_does_not_matter(pairs: list[PairVerdicts], order: object) -> None:
    shuffled = pairs[::-1]
    scores, others = (score_pairs(each, n_prompts=len(pairs), resamples=5) for each in (pairs, shuffled))
    assert {name: scores[name] for name in NAMES} == pytest.approx({name: others[name] for name in NAMES})


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
    assert [held[name] for name in NAMES] == [None] * 3
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
    seeds = scoring.score(list(map(Pairs, strong)), asked=200, resamples=100)
    assert seeds["mean"]["win_rate"] == pytest.approx(np.mean(seeds["per_seed"]["win_rate"]))
    assert seeds["ci95"]["win_rate"][0] < seeds["mean"]["win_rate"] < seeds["ci95"]["win_rate"][1]
    forward, backward = compare_pairs(strong, weak, resamples=100), compare_pairs(weak, strong, resamples=100)
    assert forward["difference"] == pytest.approx(-backward["difference"])
    assert forward["p_value"] == pytest.approx(backward["p_value"])
    assert forward["difference"] > 0
    assert forward["p_value"] < 0.05
    assert compare_pairs([strong[0]], [weak[0][:100]], resamples=10)["withheld"]


def said(result: Mapping[str, Any]) -> str:
    """What one comparison by itself says of its first side, at 5 %."""
    if result["p_value"] >= 0.05:
        return "undecided"
    return "better" if result["difference"] > 0 else "worse"


def naive_test_against_even(pairs: list[PairVerdicts], resamples: int, seed: int) -> tuple[float, list[float], float]:
    """Difference from 50, interval and p-value (a t test, at least the sign test's), by drawing prompts one by one."""
    points = {pair.prompt_id: (pair.shown_second[0] + pair.shown_first[0]) / 2 for pair in pairs}
    prompts = sorted(points)
    differences = []
    for counts in resample_counts(len(prompts), resamples, seed):
        drawn = [points[id] for id, count in zip(prompts, counts, strict=True) for _ in range(int(count))]
        differences.append(100 * sum(drawn) / len(drawn) - 50)
    difference = 100 * sum(points.values()) / len(points) - 50
    error = float(np.std(differences, ddof=1))
    reach = float(stats.t.ppf(0.975, len(prompts) - 1)) * error
    p_value = 2 * float(stats.t.sf(abs(difference) / error, len(prompts) - 1)) if error else 0.0
    p_value = max(p_value, naive_sign_test(list(points.values()), difference)) if difference else 1.0
    return difference, [difference - reach, difference + reach], p_value


def naive_sign_test(points: Sequence[float], difference: float) -> float:
    """Of as many tosses of a coin as there are prompts without a tie, by counting how they may fall."""
    won, lost = sum(each > 0.5 for each in points), sum(each < 0.5 for each in points)
    if (won - lost) * difference <= 0:
        return 1.0
    as_far = [heads for heads in range(won + lost + 1) if abs(2 * heads - won - lost) >= abs(won - lost)]
    return sum(comb(won + lost, heads) for heads in as_far) / 2 ** (won + lost)


@given(pairs=PAIRS, seed=st.integers(0, 3))
@settings(max_examples=40)
def test_the_test_against_an_even_win_rate_equals_a_slow_loop(pairs: list[PairVerdicts], seed: int) -> None:
    result = compare_with_even([pairs], resamples=60, seed=seed)
    difference, interval, p_value = naive_test_against_even(pairs, 60, seed)
    assert result["difference"] == pytest.approx(difference)
    assert result["p_value"] == pytest.approx(p_value)
    if abs(difference) < 50:
        assert result["ci95"] == pytest.approx(interval, abs=1e-9)
    assert result["n_prompts"] == len(pairs)


@given(pairs=PAIRS, others=PAIRS, both_seeds=st.booleans())
@settings(max_examples=40)
def test_exchanging_outputs_or_sides_changes_the_sign_and_nothing_else(
    pairs: list[PairVerdicts], others: list[PairVerdicts], both_seeds: bool
) -> None:
    sets = [pairs, others[: len(pairs)]] if both_seeds and len(others) >= len(pairs) else [pairs]
    forward = compare_with_even(sets, resamples=60)
    backward = compare_with_even([exchanged(each) for each in sets], resamples=60)
    assert forward["difference"] == pytest.approx(-backward["difference"], abs=1e-9)
    assert forward["ci95"] == pytest.approx([-end for end in reversed(backward["ci95"])], abs=1e-9)
    for name in ("p_value", "n_prompts"):
        assert forward[name] == pytest.approx(backward[name]), name
    for name, value in forward["measured"]["first"].items():
        assert value == pytest.approx(backward["measured"]["first"][name], abs=1e-9), name
    assert forward["measured"]["second"] is backward["measured"]["second"] is None


def test_a_comparison_with_an_even_win_rate_has_the_keys_of_one_between_two() -> None:
    pairs = simulated(50, 1.0)
    even, two = compare_with_even([pairs], resamples=50), compare_pairs([pairs], [simulated(50, 0.0)], resamples=50)
    assert even.keys() == two.keys()
    assert json.loads(json.dumps(even, allow_nan=False)) == even


@pytest.mark.parametrize(("strength", "verdict"), [(1.0, "better"), (0.0, "undecided"), (-1.0, "worse")])
def test_what_is_preferred_wins_more_than_half(strength: float, verdict: str) -> None:
    """Whatever stands first is liked better, too: as both orders are judged, that decides nothing."""
    result = compare_with_even([simulated(400, strength, bias=2.0, seed=3)], resamples=400)
    assert said(result) == verdict


def test_training_seeds_that_differ_widen_the_test_against_an_even_win_rate() -> None:
    alike = [simulated(300, 0.4, seed=1)] * 3
    apart = [simulated(300, strength, seed=1) for strength in (-0.6, 0.4, 1.4)]
    [narrow, wide] = (compare_with_even(sets, resamples=500) for sets in (alike, apart))
    assert narrow["ci95"] == pytest.approx(compare_with_even(alike[:1], resamples=500)["ci95"])
    assert narrow["measured"]["first"]["between"] == 0 < wide["measured"]["first"]["between"]
    assert wide["ci95"][1] - wide["ci95"][0] > 2 * (narrow["ci95"][1] - narrow["ci95"][0])


@pytest.mark.parametrize("n", [1, 3, 5, 6, 12, 40])
def test_unanimous_prompts_are_tested_as_by_the_binomial_test(n: int) -> None:
    pairs = [PairVerdicts(str(i), (1.0,), (1.0,)) for i in range(n)]
    won, lost = compare_with_even([pairs], resamples=999), compare_with_even([exchanged(pairs)], resamples=999)
    exact = binomtest(n, n, 0.5)
    low, high = exact.proportion_ci(method="exact")
    assert won["p_value"] == lost["p_value"] == pytest.approx(exact.pvalue)
    assert won["ci95"] == pytest.approx([100 * low - 50, 100 * high - 50])
    assert lost["ci95"] == pytest.approx([50 - 100 * high, 50 - 100 * low])
    assert (said(won), said(lost)) == (("better", "worse") if n > 5 else ("undecided", "undecided"))
    difference = measured_difference(won)
    assert power(difference, welch_test(difference)) == Power(None, None, None, "")


@pytest.mark.parametrize(
    ("won", "tied", "lost", "verdict"),
    [(5, 0, 0, "undecided"), (5, 1, 0, "undecided"), (5, 40, 0, "undecided"), (6, 9, 0, "better"), (1, 8, 12, "worse")],
)
def test_prompts_that_tie_decide_nothing(won: int, tied: int, lost: int, verdict: str) -> None:
    points = [1.0] * won + [0.5] * tied + [0.0] * lost
    pairs = [PairVerdicts(str(i), (each,), (each,)) for i, each in enumerate(points)]
    for sets in ([pairs], [pairs] * 3):  # training seeds that all say the same are as one
        result = compare_with_even(sets, resamples=4999)
        assert said(result) == verdict
        assert result["p_value"] >= binomtest(won, won + lost, 0.5).pvalue * (1 - 1e-9)


def test_a_prompt_counts_by_its_mean_over_training_seeds() -> None:
    """Each prompt is won with two seeds of three: nine prompts won, not 18 of 27."""
    sets = [[PairVerdicts(str(i), (won := float(i % 3 != seed),), (won,)) for i in range(9)] for seed in range(3)]
    result = compare_with_even(sets, resamples=999)
    assert result["difference"] == pytest.approx(100 * 2 / 3 - 50)
    assert result["p_value"] >= binomtest(9, 9, 0.5).pvalue * (1 - 1e-9)
    assert result["measured"]["least_p_value"] == pytest.approx(binomtest(9, 9, 0.5).pvalue)


def test_without_the_verdicts_there_is_no_test_against_an_even_win_rate() -> None:
    pairs = [*simulated(97, 0.0), *(PairVerdicts(f"failed {i}", (), (1.0,)) for i in range(3))]
    held = compare_with_even([pairs], resamples=5)
    assert "difference" not in held
    assert "only 97 of 100" in held["withheld"]
    assert compare_with_even([pairs], resamples=5, allow_missing=True)["n_prompts"] == 97
    none = compare_with_even([[PairVerdicts("a", (), ())]], allow_missing=True)
    assert none == {"metric": "win_rate", "withheld": "no verdicts", "n_prompts": 0}


def test_two_matches_on_other_prompts_are_not_compared() -> None:
    others = [replace(pair, prompt_id=f"other {pair.prompt_id}") for pair in simulated(50, 1.0)]
    held = compare_pairs([simulated(50, 1.0)], [others], resamples=5)
    assert (held["n_prompts"], "difference" in held) == (0, False)
    assert held["withheld"]


@given(pairs=PAIRS, others=PAIRS)
@settings(max_examples=20)
def test_two_matches_are_joined_by_prompt_whatever_their_order(
    pairs: list[PairVerdicts], others: list[PairVerdicts]
) -> None:
    n = min(len(pairs), len(others))
    first, second = pairs[:n], others[:n]
    result, shuffled = (compare_pairs([first], [each], resamples=30) for each in (second, second[::-1]))
    assert result == shuffled
    assert result["n_prompts"] == n


# Within training seeds


def test_what_a_seed_does_to_both_cancels_within_it() -> None:
    """Two answers of each checkpoint: one is better by 5 points in every seed, whatever the seed's own level."""
    first, second = [], []
    for seed, level in enumerate((-1.5, -0.7, 0.0, 0.7, 1.5)):
        better = simulated(400, level, seed=seed)
        worse = [replace(pair, shown_second=(0.0,), shown_first=(0.0,)) for pair in better[:20]] + better[20:]
        first.append(Pairs(better))
        second.append(Pairs(worse))
    within = scoring.compare_within_seeds(first, second, "win_rate", resamples=300)
    between = scoring.compare(first, second, "win_rate", resamples=300)
    assert within["difference"] == pytest.approx(between["difference"])
    assert within["difference"] > 0
    assert within["p_value"] < 0.01 < 0.5 < between["p_value"]
    assert measured_difference(within).second is None
    assert measured_difference(within).covers_training_seeds


def test_exchanging_the_sides_within_seeds_changes_the_sign_alone() -> None:
    first = [Pairs(simulated(50, 0.5, seed=seed)) for seed in range(3)]
    second = [Pairs(simulated(50, 0.0, seed=seed)) for seed in range(3)]
    forward, back = (
        scoring.compare_within_seeds(*sides, "win_rate", resamples=200) for sides in ((first, second), (second, first))
    )
    assert back["difference"] == -forward["difference"]
    assert back["ci95"] == pytest.approx([-forward["ci95"][1], -forward["ci95"][0]])
    assert back["p_value"] == pytest.approx(forward["p_value"])


def test_prompts_without_verdicts_withhold_a_comparison_within_seeds() -> None:
    whole, part = [Pairs(simulated(20, 0.0))], [Pairs(simulated(20, 0.0)[:10])]
    found = scoring.compare_within_seeds(whole, part, "win_rate", resamples=20)
    assert "withheld" in found and "difference" not in found


# Bands


def test_a_band_is_the_spread_of_means_of_half_the_prompts() -> None:
    points = np.random.default_rng(1).choice([0.0, 0.5, 1.0], 2000)
    band = bootstrap_band(points, resamples=4000, size=512, prompts=1024)
    assert (band.size, band.n_prompts) == (512, 1024)
    assert band.mean == pytest.approx(100 * points[:1024].mean(), abs=0.1)
    assert band.sd == pytest.approx(100 * points[:1024].std() / 512**0.5, rel=0.05)
    assert band == bootstrap_band(points, resamples=4000, size=512, prompts=1024)


def test_of_fewer_prompts_the_same_share_is_drawn() -> None:
    band = bootstrap_band(np.array([0.0, 1.0] * 50), resamples=20, size=512, prompts=1024)
    assert (band.size, band.n_prompts) == (50, 100)
    assert bootstrap_band(np.array([1.0]), resamples=20, size=512, prompts=1024).size == 1


def test_the_band_of_several_seeds_is_that_of_one() -> None:
    found = mean_band([BootstrapBand(40.0, 3.0, 512, 1024), BootstrapBand(60.0, 4.0, 510, 1020)])
    assert found == BootstrapBand(50.0, pytest.approx(12.5**0.5), 510, 1020)


@pytest.mark.slow
def test_the_interval_within_seeds_covers_the_truth() -> None:
    """Answers of five checkpoints of different levels before and after a revision that copies half of them."""
    covered, repeats, prompts = 0, 600, 300
    rng = np.random.default_rng(0)
    for number in range(repeats):
        hard, differences = rng.normal(size=prompts), []
        for level in 0.5 * rng.normal(size=5):
            drawn = [rng.random((prompts, 2)) < 1 / (1 + np.exp(-(hard + level)))[:, None] for _ in range(2)]
            before, after = (each.mean(axis=1) for each in drawn)
            after = np.where(rng.random(prompts) < 0.5, before, after)
            differences.append(mean_statistic(100 * (after - before)))
        low, high = interval(paired_difference(differences, 0.0, prompts, resamples=200, seed=number))
        covered += low <= 0 <= high
    assert 0.92 < covered / repeats < 0.975

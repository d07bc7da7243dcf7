"""The benchmark of false alarms: its pairs, the test that it calls, its bound, and what it tells on the way."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from benchmarks import regress_alarms
from benchmarks.regress_alarms import (
    SeedScore,
    caught_from,
    changes_of,
    count,
    draw_pairs,
    lowered,
    progress,
    upper_bound,
)
from docs.make_report import alarms_block
from evals.stats.bootstrap import FloatArray, Statistic, ratio_statistic
from evals.stats.regression import Change
from harness.regress import compare

N_PROMPTS = 40


def score(name: str, offset: Callable[[int], float], seeds: int = 12, seed: int = 0) -> SeedScore:
    """Half of the prompts won, on average; each training seed wins others, and `offset` points more."""
    generator = np.random.default_rng(seed)
    won = [generator.random(N_PROMPTS) + offset(place) / 100 for place in range(seeds)]
    return SeedScore(name, tuple(ratio_statistic(each, np.ones(N_PROMPTS)) for each in won), N_PROMPTS)


@pytest.fixture
def scores() -> list[SeedScore]:
    return [score(f"score {place}", lambda _: 0.0, seed=place) for place in range(4)]


def test_no_seed_is_in_both_groups_and_the_pairs_are_the_same_every_time() -> None:
    drawn = draw_pairs(12, 3, 50)
    assert all(len({*first, *second}) == 6 and len(first) == 3 for first, second in drawn)
    assert drawn == draw_pairs(12, 3, 50) and len({str(pair) for pair in drawn}) == 50
    assert {place for pair in drawn for group in pair for place in group} == set(range(12))
    with pytest.raises(ValueError, match="larger than population"):
        draw_pairs(5, 3, 1)


def test_the_bound_is_clopper_and_pearsons() -> None:
    assert upper_bound(0, 20) == pytest.approx(1 - 0.05 ** (1 / 20))
    assert upper_bound(4, 200) == pytest.approx(0.0452, abs=1e-4)  # the 0.95 quantile of Beta(5, 196)
    assert upper_bound(20, 20) == 1


def test_alarms_are_counted_by_the_test_of_the_command(
    scores: list[SeedScore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever `harness regress` compares by is what is called: here one that calls five pairs worse."""
    calls = []

    def five_worse(changed: Any, unchanged: Any, *, resamples: int, seed: int = 0) -> list[Change]:
        calls.append((len(changed), len(unchanged), resamples))
        return [Change(0.0, "worse" if len(calls) <= 5 else "cannot tell")] + [Change(0.0, "better")] * 3

    monkeypatch.setattr(compare, "compare_runs", five_worse)
    found = count(scores, 3, 10, 1)
    assert (found.pairs, found.alarms, found.worse, found.better) == (10, 10, 5, 10)
    assert set(calls) == {(4, 0, regress_alarms.RESAMPLES)}


def test_seeds_that_differ_by_chance_alone_raise_few_alarms_and_a_lowered_score_is_caught(
    scores: list[SeedScore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regress_alarms, "RESAMPLES", 100)
    found = count(scores, 3, 20, 2)
    assert found.alarms <= 4 and found.bound == upper_bound(found.alarms, 20)
    assert list(found.power.values()) == sorted(found.power.values())
    assert found.power["6"] == 1 and all(each.effect and each.effect < 6 * each.deviation for each in found.caught)
    [pair] = draw_pairs(12, 3, 1)
    limit = caught_from(scores, pair, 2) * scores[2].deviation
    sides = [each.sides(*pair) for each in scores]
    assert changes_of([*sides[:2], lowered(sides[2], limit), sides[3]])[2].outcome == "worse"
    missed = lowered(sides[2], limit - 0.06 * scores[2].deviation)
    assert changes_of([*sides[:2], missed, sides[3]])[2].outcome != "worse"
    every = [changes_of([each.sides(*pair) for each in scores])[2] for pair in draw_pairs(12, 3, 20)]
    told = [one.minimum_detectable_effect for one in every if one.outcome == "cannot tell"]
    assert found.caught[2].told == np.median(np.array(told, dtype=float))


def test_what_is_never_caught_is_told_as_nothing(scores: list[SeedScore], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "compare_runs", lambda changed, *_, **__: [Change(0.0, "cannot tell")] * len(changed))
    found = count(scores, 2, 3, 1)
    assert (found.alarms, set(found.power.values())) == (0, {0.0})
    assert [(each.effect, each.told) for each in found.caught] == [(None, None)] * 4
    shown = {"commit": "f" * 40, "dirty": False, "command": "c", "seeds": 12, "groups": [asdict(found)]}
    assert "| 2 + 2 | 0 of 3 (0.0 %) | 63.2 % | 0.00 |" in alarms_block(shown) and "| none |" in alarms_block(shown)
    assert "caught in 80 %: nothing; told: nothing" in "\n".join(regress_alarms.lines(found))


def test_a_statistic_is_computed_once_for_the_same_prompts() -> None:
    asked = []

    def resample(counts: FloatArray) -> FloatArray:
        asked.append(counts.shape)
        return counts.sum(axis=1)

    statistic = regress_alarms._remembering(Statistic(1.0, resample))
    first, second = np.ones((3, 4)), np.full((3, 4), 2.0)
    for counts in (first, second, first.copy()):
        assert (statistic.resample(counts) == counts.sum(axis=1)).all()
    assert len(asked) == 2
    moved = lowered(replace(score("s", float).sides([0], [1]), candidate=[statistic]), 0.5).candidate[0]
    assert moved.value == 0.5 and (moved.resample(first) == 3.5).all()


def test_progress_tells_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 5.0, 12.0, 20.0, 24.0])
    assert list(progress("abcd", "pairs", clock=lambda: next(times))) == list("abcd")
    assert capsys.readouterr().err.splitlines() == ["pairs 2/4 · 0.167/s · 12.0 s left", "pairs 4/4 · 0.167/s"]

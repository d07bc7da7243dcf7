import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals import scoring
from evals.alpaca_eval2 import benchmark
from evals.alpaca_eval2.annotations import Annotations, read_annotations
from evals.alpaca_eval2.length_calibration import Calibration, read_calibration
from evals.alpaca_eval2.scores import (
    METRICS,
    Verdicts,
    build_calibration,
    difficulty_from_annotations,
    score_annotations,
)
from harness.errors import UserError
from tests.evals import simulated
from tests.evals.leaderboards import read_leaderboard

NAMES = [metric.name for metric in METRICS]


def score_training_seeds(sets: list[Annotations], calibration: Calibration, **rules: Any) -> dict[str, Any]:
    asked = len(calibration.difficulty())
    return benchmark.score_training_seeds([Verdicts(each, calibration) for each in sets], asked=asked, **rules)


def compare(
    first: list[Annotations],
    second: list[Annotations],
    calibration: Calibration | None,
    metric: str = "length_controlled_winrate",
    **rules: Any,
) -> dict[str, Any]:
    sides = ([Verdicts(each, calibration) for each in side] for side in (first, second))
    return scoring.compare(*sides, metric, **rules)


def published(alpaca_data: Path) -> list[Path]:
    return sorted((alpaca_data / "annotations").glob("*.csv.gz"))


def verdicts_of(alpaca_data: Path, model: str) -> Annotations:
    return read_annotations(alpaca_data / "annotations" / f"{model}.csv.gz")


def test_every_published_model_scores_what_alpaca_eval_gives(alpaca_data: Path, calibration: Calibration) -> None:
    expected = json.loads((alpaca_data / "expected.json").read_text())
    assert len(expected) >= 37
    for model, values in expected.items():
        scores = score_annotations(verdicts_of(alpaca_data, model), calibration, resamples=2, allow_missing=True)
        assert scores["n_total"] == values["n"], model
        for column in ("win_rate", "standard_error", "discrete_win_rate"):
            assert scores[column] == pytest.approx(values[column], abs=1e-4), (model, column)
        assert scores["length_controlled_winrate"] == pytest.approx(values["lc"], abs=0.02), model


def test_counts_and_lengths_are_those_of_the_leaderboard(alpaca_data: Path) -> None:
    leaderboard = read_leaderboard(alpaca_data / "leaderboard.csv")
    compared = 0
    for path in published(alpaca_data):
        annotations = read_annotations(path)
        if (row := leaderboard.get(annotations.model)) is None:
            continue
        compared += 1
        scores = score_annotations(annotations, None, resamples=2)
        for column in ("n_wins", "n_wins_base", "n_draws", "n_total"):
            assert scores[column] == row[column], (annotations.model, column)
        if row["n_total"] == 805:  # a leaderboard's length covers outputs without a verdict too
            assert scores["avg_length"] == pytest.approx(row["avg_length"], abs=2.9), annotations.model
    assert compared >= 30


def test_the_baseline_scores_50_against_itself(alpaca_data: Path, calibration: Calibration) -> None:
    scores = score_annotations(verdicts_of(alpaca_data, "gpt4_1106_preview"), calibration, resamples=20)
    for metric in NAMES:
        assert scores[metric] == 50
        assert scores["ci95"][metric] == [50, 50]


def test_a_few_missing_verdicts_are_counted_and_many_withhold_every_headline(
    alpaca_data: Path, calibration: Calibration
) -> None:
    annotations = verdicts_of(alpaca_data, "alpaca-7b_verbose")
    scores = score_annotations(annotations, calibration, resamples=20)
    assert (scores["n_total"], scores["n_asked"], scores["n_missing"]) == (802, 805, 3)
    assert None not in (scores["win_rate"], scores["length_controlled_winrate"])
    assert scores["withheld"] is scores["length_controlled_withheld"] is None

    part = annotations.only(range(5, 795))
    held = score_annotations(part, calibration, resamples=20)
    assert [held[name] for name in (*NAMES, "standard_error", "lc_standard_error")] == [None] * 5
    assert held["ci95"] == dict.fromkeys(NAMES)
    assert "only 787 of 805 verdicts are there" in held["withheld"] and "--allow-missing" in held["withheld"]

    allowed = score_annotations(part, calibration, resamples=20, allow_missing=True)
    assert (allowed["n_missing"], allowed["withheld"]) == (18, None)
    assert None not in (allowed["win_rate"], allowed["length_controlled_winrate"])


def test_a_part_of_the_set_asked_for_on_purpose_is_no_gap_but_has_no_length_control(
    alpaca_data: Path, calibration: Calibration
) -> None:
    part = verdicts_of(alpaca_data, "claude-2").only(range(20))
    scores = score_annotations(part, calibration, n_asked=20, resamples=20)
    assert (scores["n_asked"], scores["n_missing"], scores["withheld"]) == (20, 0, None)
    assert scores["win_rate"] is not None and scores["length_controlled_winrate"] is None
    assert "785 of the calibration's 805 instructions have no verdict" in scores["length_controlled_withheld"]


def test_without_a_calibration_the_other_columns_are_there() -> None:
    scores = score_annotations(simulated.annotations(), None, resamples=20)
    assert scores["length_controlled_winrate"] is None
    assert "--lc-calibration" in scores["length_controlled_withheld"]
    assert scores["ci95"]["win_rate"][0] < scores["win_rate"] < scores["ci95"]["win_rate"][1]


def test_intervals_surround_the_scores_and_the_result_is_json(alpaca_data: Path, calibration: Calibration) -> None:
    scores = score_annotations(verdicts_of(alpaca_data, "claude-2"), calibration, resamples=200)
    for metric in NAMES:
        lower, upper = scores["ci95"][metric]
        assert lower < scores[metric] < upper
        assert upper - lower > 2 * scores["standard_error"]
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_intervals_depend_on_the_seed_alone() -> None:
    calibration = simulated.calibration()
    first, again, other = (
        score_annotations(simulated.annotations(), calibration, resamples=50, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first["ci95"] != other["ci95"]
    assert first["length_controlled_winrate"] == other["length_controlled_winrate"]


def test_an_index_that_the_calibration_lacks_is_an_error() -> None:
    with pytest.raises(UserError, match=r"model\.csv: index 119 is not among the 119 instructions of simulated"):
        score_annotations(simulated.annotations(120), simulated.calibration(119))


@pytest.fixture(scope="module")
def rescore(alpaca_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Writes a table with its rows, and those of the calibration, in another order, and scores it."""
    folder = tmp_path_factory.mktemp("shuffled")
    table = gzip.decompress((alpaca_data / "annotations" / "Qwen-14B-Chat.csv.gz").read_bytes()).decode()
    gamed = (alpaca_data / "df_gamed_standin.csv").read_text()

    def score(order: random.Random | None) -> dict[str, Any]:
        paths = []
        for name, text in (("model.csv", table), ("gamed.csv", gamed)):
            header, *rows = text.splitlines()
            if order:
                order.shuffle(rows)
            paths.append(folder / name)
            paths[-1].write_text("\n".join([header, *rows]) + "\n")
        return score_annotations(read_annotations(paths[0]), read_calibration(paths[1]), resamples=20)

    return score


@given(order=st.integers(0, 2**32))
@settings(deadline=None, max_examples=8)
def test_shuffled_rows_give_the_identical_result(rescore: Callable[..., dict[str, Any]], order: int) -> None:
    assert rescore(random.Random(order)) == rescore(None)


def test_one_training_seed_has_the_scores_and_intervals_of_its_verdicts() -> None:
    annotations, calibration = simulated.annotations(), simulated.calibration()
    one = score_annotations(annotations, calibration, resamples=50, seed=3)
    seeds = score_training_seeds([annotations], calibration, resamples=50, seed=3)
    for metric in NAMES:
        assert seeds["mean"][metric] == one[metric]
        assert seeds["per_seed"][metric] == [one[metric]]
        assert seeds["ci95"][metric] == pytest.approx(one["ci95"][metric])
    assert seeds["n_missing"] == 0


def test_several_training_seeds_give_their_mean_and_one_interval() -> None:
    calibration = simulated.calibration()
    sets = [simulated.annotations(ability=ability, seed=seed) for seed, ability in enumerate((-1.0, 0.0, 1.0))]
    seeds = score_training_seeds(sets, calibration, resamples=300)
    alike = score_training_seeds([sets[1]] * 3, calibration, resamples=300)
    for metric in NAMES:
        per_seed = [score_annotations(each, calibration, resamples=2)[metric] for each in sets]
        assert seeds["per_seed"][metric] == pytest.approx(per_seed)
        assert seeds["mean"][metric] == pytest.approx(np.mean(per_seed))
        lower, upper = seeds["ci95"][metric]
        assert lower < seeds["mean"][metric] < upper
        assert upper - lower > np.subtract(*reversed(alike["ci95"][metric]))  # seeds that differ are a source of error


def test_training_seeds_may_miss_different_instructions() -> None:
    calibration = simulated.calibration()
    sets = [simulated.annotations(seed=seed).only(set(range(120)) - {seed, 5}) for seed in range(3)]
    strict = score_training_seeds(sets, calibration, resamples=20)
    assert strict["mean"] == strict["per_seed"] == strict["ci95"] == dict.fromkeys(NAMES)
    assert "only 118 of 120 verdicts are there" in strict["withheld"]
    allowed = score_training_seeds(sets, calibration, resamples=20, allow_missing=True)
    assert allowed["n_missing"] == 6
    assert allowed["mean"]["length_controlled_winrate"] is not None


@pytest.mark.parametrize("metric", NAMES)
def test_comparison_is_antisymmetric_and_finds_a_clear_difference(metric: str) -> None:
    calibration = simulated.calibration()
    strong, weak = simulated.annotations(ability=1.5, seed=1), simulated.annotations(ability=-1.5, seed=2)
    forward = compare([strong], [weak], calibration, metric=metric, resamples=200)
    backward = compare([weak], [strong], calibration, metric=metric, resamples=200)
    assert forward["difference"] == pytest.approx(-backward["difference"])
    assert forward["difference"] > 0
    assert forward["ci95"] == pytest.approx([-end for end in reversed(backward["ci95"])])
    assert forward["p_value"] == pytest.approx(backward["p_value"])
    assert forward["p_value"] < 0.05
    assert forward["n_prompts"] == 120
    assert json.loads(json.dumps(forward, allow_nan=False)) == forward


@pytest.mark.parametrize("metric", NAMES)
def test_comparison_of_a_model_with_itself_tells_nothing(metric: str) -> None:
    sets = [simulated.annotations(seed=seed) for seed in range(2)]
    result = compare(sets, sets, simulated.calibration(), metric=metric, resamples=50)
    assert (result["difference"], result["p_value"]) == (0, 1)


def test_comparison_controls_for_length() -> None:
    calibration = simulated.calibration(800, length_bias=2.0)
    brief = simulated.annotations(800, length_bias=2.0, longer_by=-200, seed=1)
    wordy = simulated.annotations(800, length_bias=2.0, longer_by=200, seed=2)
    raw = compare([wordy], [brief], calibration, metric="win_rate", resamples=200)
    controlled = compare([wordy], [brief], calibration, resamples=200)
    assert raw["p_value"] < 0.05 and raw["difference"] > 30
    assert controlled["p_value"] >= 0.05 and abs(controlled["difference"]) < 8


def test_real_models_far_apart_are_told_apart(alpaca_data: Path, calibration: Calibration) -> None:
    result = compare(
        [verdicts_of(alpaca_data, "claude-2")], [verdicts_of(alpaca_data, "alpaca-7b")], calibration, resamples=100
    )
    assert result["p_value"] < 0.05 and result["difference"] > 0


def test_comparison_on_different_instructions_needs_consent() -> None:
    calibration = simulated.calibration()
    whole, part = simulated.annotations(seed=1), simulated.annotations(seed=2).only(range(100))
    withheld = compare([whole], [part], calibration, metric="win_rate")
    assert "difference" not in withheld
    assert "share 100 of 120 prompts" in withheld["withheld"] and "--allow-missing" in withheld["withheld"]
    result = compare([whole], [part], calibration, resamples=20, allow_missing=True)
    assert result["n_prompts"] == 100
    nothing = compare([whole.only([1, 2])], [whole.only([3])], calibration, allow_missing=True)
    assert nothing["withheld"] and nothing["n_prompts"] == 0


def test_comparison_says_why_it_cannot_control_for_length() -> None:
    annotations = simulated.annotations()
    result = compare([annotations], [annotations], None)
    assert "difference" not in result and "no calibration given" in result["withheld"]
    with pytest.raises(UserError, match="unknown metric 'winrate'; did you mean 'win_rate'"):
        compare([annotations], [annotations], None, metric="winrate")


def test_calibration_is_that_of_the_published_baselines(alpaca_data: Path, calibration: Calibration) -> None:
    """The stand-in's length column, from the outputs of the gamed baselines."""
    baseline = json.loads((alpaca_data / "baseline_gpt4_1106_preview.json").read_text())
    gamed = []
    for name in sorted(set(calibration.model)):
        outputs = json.loads((alpaca_data / "model_outputs" / f"{name}.json").read_text())
        rows = [place for place, model in enumerate(calibration.model) if model == name]
        gamed.append(
            Annotations(
                name,
                tuple(calibration.index[row] for row in rows),
                tuple(calibration.preference[row] + 1 for row in rows),
                tuple(len(output["output"]) for output in baseline),
                tuple(len(output["output"]) for output in outputs),
                name,
            )
        )
    built = build_calibration(gamed, calibration.difficulty(), "built")
    assert (built.model, built.index) == (calibration.model, calibration.index)
    assert built.not_gamed_baseline == calibration.not_gamed_baseline
    for column in ("preference", "std_delta_len", "instruction_difficulty"):
        assert getattr(built, column) == pytest.approx(getattr(calibration, column), abs=1e-12)


def test_calibration_needs_a_difficulty_for_every_index() -> None:
    with pytest.raises(UserError, match=r"model\.csv: index 3 has no instruction difficulty"):
        build_calibration([simulated.annotations(4)], {0: 0.0, 1: 0.1, 2: -0.1}, "built")


def test_difficulty_of_published_models_agrees_with_the_calibration(
    alpaca_data: Path, calibration: Calibration
) -> None:
    found = difficulty_from_annotations([read_annotations(path) for path in published(alpaca_data)])
    known = calibration.difficulty()
    assert found.keys() == known.keys()
    assert np.corrcoef(list(found.values()), list(known.values()))[0, 1] > 0.9

import dataclasses
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from evals.alpaca_eval2.annotations import Annotations, read_annotations
from evals.alpaca_eval2.judge_calibration import bridge, calibrate
from evals.alpaca_eval2.judge_calibration_text import format_bridge, format_calibration
from evals.alpaca_eval2.scores import score_annotations
from harness.errors import UserError
from harness.mini.judge import MiniJudge
from harness.mini.roles import read_role
from harness.records import Response
from tests.evals import simulated

N = 150
WRITERS = ("house", "scholar", "clerk", "student", "rambler", "verbose", "concise")
REFERENCE = MiniJudge()
OTHER = MiniJudge(quality_slope=5.0, verbosity_bias=1.5, position_bias=0.6, noise=1.5)
USELESS = MiniJudge(quality_slope=0.0, verbosity_bias=0.0, position_bias=0.0, noise=1.0)


@cache
def verdicts(judge: MiniJudge) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(preferences, baseline lengths, lengths) of each writer's answers: [writers, N] but for the baseline's, [N].

    The reference sees the answer first, all others the baseline, so that no two judges share their noise.
    """
    baselines = _rows("alpaca_eval2")
    preferences, lengths = [], []
    for writer in WRITERS:
        answers = _rows(f"alpaca_eval2_{writer}")
        each = [
            judge.logit(a.prompt.text, a.text, b.text)
            if judge == REFERENCE
            else -judge.logit(a.prompt.text, b.text, a.text)
            for a, b in zip(answers, baselines, strict=True)
        ]
        preferences.append(1 / (1 + np.exp(-np.array(each))))
        lengths.append([len(answer.text) for answer in answers])
    return np.array(preferences), np.array([len(row.text) for row in baselines]), np.array(lengths)


def _rows(role: str) -> list[Response]:
    return [row for row in read_role(role, N) if isinstance(row, Response)]


def judged(judge: MiniJudge, n_models: int, seed: int) -> dict[str, Annotations]:
    """The judge's verdicts on models that answer each prompt as one of three writers, in shares of their own."""
    preferences, baseline_lengths, lengths = verdicts(judge)
    rng = np.random.default_rng(seed)
    found = {}
    for model in range(n_models):
        writers = rng.choice(len(WRITERS), size=3, replace=False)
        chosen = rng.choice(writers, size=N, p=rng.dirichlet(np.ones(3))), np.arange(N)
        found[f"model-{model}"] = Annotations(
            f"model-{model}",
            tuple(range(N)),
            tuple((1 + preferences[chosen]).tolist()),
            tuple(baseline_lengths.tolist()),
            tuple(lengths[chosen].tolist()),
            f"model-{model}.csv",
        )
    return found


def left_out(result: Mapping[str, Any], metric: str = "win_rate") -> list[tuple[float, float, float]]:
    """(score by the reference, ends of the interval of its estimate) of each model."""
    return [(each[metric]["reference"], *each[metric]["left_out"]["ci95"]) for each in result["models"].values()]


def coverage(other: MiniJudge) -> float:
    held = []
    for seed in range(40):
        result = calibrate(judged(REFERENCE, 8, seed), judged(other, 8, seed), None, "simulated", resamples=2)
        held += [low <= score <= high for score, low, high in left_out(result)]
    return float(np.mean(held))


def test_the_estimates_of_left_out_models_hold_the_reference_judges_score() -> None:
    # 320 estimates, of which the 8 of one world share models: about 3 standard errors on either side
    assert 0.90 <= coverage(OTHER) <= 0.99


def test_those_of_a_useless_judge_do_so_by_being_wide() -> None:
    assert 0.90 <= coverage(USELESS) <= 0.99


def test_a_good_judge_is_told_from_a_useless_one() -> None:
    reference = judged(REFERENCE, 12, seed=0)
    good = calibrate(reference, judged(OTHER, 12, seed=0), None, "good", resamples=300)
    useless = calibrate(reference, judged(USELESS, 12, seed=0), None, "useless", resamples=300)
    low, high = good["overall"]["kappa"]["ci95"]
    assert 0.1 < low < high < 1
    assert good["overall"]["agreement"]["ci95"][0] > 55
    low, high = useless["overall"]["agreement"]["ci95"]
    assert low < 50 < high and high - low < 10
    good_bridge, useless_bridge = good["overall"]["win_rate"]["bridge"], useless["overall"]["win_rate"]["bridge"]
    assert good_bridge["says_something"] and not useless_bridge["says_something"]
    assert good_bridge["width"] < good_bridge["width_without_judge"]
    assert useless_bridge["width"] > 0.9 * useless_bridge["width_without_judge"]
    assert "no more than by chance" in format_calibration(useless).replace(
        "\n", " "
    ) and "cannot be shown to say" in format_calibration(useless).replace("\n", " ")
    assert "chance" not in format_calibration(good) and "cannot" not in format_calibration(good)


def test_a_judge_agrees_with_itself() -> None:
    reference = judged(REFERENCE, 5, seed=1)
    result = calibrate(reference, reference, None, "the same", resamples=50)
    for found in (result["overall"], *result["models"].values()):
        assert found["agreement"] == {"value": 100, "ci95": [100, 100]}
        assert [found["kappa"]["value"], found["spearman"], found["kendall"]] == pytest.approx([1, 1, 1])
    for each in result["models"].values():
        assert each["win_rate"]["shift"]["value"] == 0
        assert each["win_rate"]["left_out"]["value"] == pytest.approx(each["win_rate"]["reference"])


def test_scores_and_shift_are_those_of_the_evaluation() -> None:
    calibration = simulated.calibration()
    reference = {
        name: simulated.annotations(ability=ability, seed=seed, name=name, length_bias=1.0)
        for seed, (name, ability) in enumerate([("a", -1.0), ("b", 0.0), ("c", 1.0), ("d", 0.5)])
    }
    other = {
        name: simulated.annotations(ability=0.5 * seed - 0.5, seed=10 + seed, name=name)
        for seed, name in enumerate(reference)
    }
    result = calibrate(reference, other, calibration, "another", resamples=100)
    for model, each in result["models"].items():
        for metric in ("win_rate", "length_controlled_winrate"):
            first, second = (
                score_annotations(judge[model], calibration, resamples=1)[metric] for judge in (reference, other)
            )
            assert (each[metric]["reference"], each[metric]["judge"]) == pytest.approx((first, second))
            assert each[metric]["shift"]["value"] == pytest.approx(second - first)
            low, high = each[metric]["shift"]["ci95"]
            assert low < second - first < high
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    text = format_calibration(result)
    assert "another" in text and "not AlpacaEval 2.0" in text and "Length-controlled win rate" in text


def test_verdicts_are_joined_by_instruction() -> None:
    reference, other = judged(REFERENCE, 4, seed=2), judged(OTHER, 4, seed=2)
    whole = calibrate({m: each.only(range(40)) for m, each in reference.items()}, other, None, "j", resamples=20)
    same = {m: each.only(range(40)) for m, each in other.items()}
    cut = calibrate({m: each.only(range(40)) for m, each in reference.items()}, same, None, "j", resamples=20)
    assert whole["models"] == cut["models"] and whole["overall"] == cut["overall"]
    assert (whole["n_verdicts_of_one_judge"], cut["n_verdicts_of_one_judge"]) == (4 * (N - 40), 0)


def test_models_of_one_judge_are_named_and_none_in_common_is_refused() -> None:
    reference, other = judged(REFERENCE, 3, seed=3), judged(OTHER, 4, seed=3)
    other["model-0"] = other["model-0"].only([5])
    result = calibrate(reference, other, None, "j", resamples=20)
    assert result["models_left_out"] == ["model-0", "model-3"]
    assert result["overall"]["win_rate"]["bridge"] is None
    assert "Too few models" in format_calibration(result)
    with pytest.raises(UserError, match="no model with two instructions"):
        calibrate(reference, {"stranger": other["model-3"]}, None, "j")


def test_a_judge_of_one_opinion_has_no_correlation_and_no_power() -> None:
    reference = judged(REFERENCE, 6, seed=4)
    always = {m: dataclasses.replace(each, preference=(2.0,) * N) for m, each in reference.items()}
    result = calibrate(reference, always, None, "always the model", resamples=50)
    assert result["overall"]["spearman"] is None
    assert result["overall"]["kappa"]["value"] == pytest.approx(0)
    assert not result["overall"]["win_rate"]["bridge"]["says_something"]
    assert "no more than by chance" in format_calibration(result).replace("\n", " ")


def test_a_bridged_estimate_is_that_of_a_left_out_model() -> None:
    reference, other = judged(REFERENCE, 7, seed=5), judged(OTHER, 7, seed=5)
    whole = calibrate(reference, other, None, "j", resamples=20)
    new = other.pop("model-3")
    result = bridge(reference, other, None, new, "j")
    for key, value in whole["models"]["model-3"]["win_rate"]["left_out"].items():
        assert result["win_rate"]["estimate"][key] == pytest.approx(value)
    assert result["win_rate"]["judge"] == whole["models"]["model-3"]["win_rate"]["judge"]
    text = format_bridge(result)
    assert "model-3" in text and "not AlpacaEval 2.0" in text
    assert format_calibration({**whole, "bridged": result}).startswith(format_calibration(whole))
    assert format_calibration({**whole, "bridged": result}).endswith(text)


def test_fewer_than_three_models_give_no_estimate_and_few_a_wide_one() -> None:
    reference, other = judged(REFERENCE, 12, seed=7), judged(OTHER, 12, seed=7)
    new = other["model-11"]
    widths = []
    for n_models in (3, 11):
        some = {f"model-{i}": other[f"model-{i}"] for i in range(n_models)}
        low, high = bridge(reference, some, None, new, "j")["win_rate"]["estimate"]["ci95"]
        widths.append(high - low)
    assert widths[0] > 2 * widths[1]
    result = bridge(reference, {"model-0": other["model-0"], "model-1": other["model-1"]}, None, new, "j")
    assert "win_rate" not in result and "needs 3 models" in format_bridge(result)


def test_on_published_verdicts_a_noisier_judge_keeps_the_ranking(alpaca_data: Path) -> None:
    paths = sorted((alpaca_data / "annotations").glob("*.csv.gz"))[:12]
    reference = {each.model: each for each in map(read_annotations, paths)}
    rng = Random(0)

    def muddled(annotations: Annotations) -> Annotations:
        seen = tuple(1 + rng.random() if rng.random() < 0.5 else p for p in annotations.preference)
        return dataclasses.replace(annotations, preference=seen)

    result = calibrate(reference, {m: muddled(each) for m, each in reference.items()}, None, "muddled", resamples=100)
    overall = result["overall"]
    assert overall["agreement"]["value"] == pytest.approx(75, abs=2)  # half of the verdicts, and half of the others
    assert overall["win_rate"]["spearman"] > 0.9
    assert overall["win_rate"]["bridge"]["says_something"]
    assert overall["win_rate"]["bridge"]["n_covered"] >= 10


def test_judges_that_share_a_liking_for_a_place_and_nothing_else_do_not_correlate() -> None:
    rng = np.random.default_rng(0)
    shown_first = range(0, 400, 2)
    liking = np.where(np.isin(np.arange(400), shown_first), 1.0, -1.0)

    def place_lover() -> Annotations:
        preference = 1 + 1 / (1 + np.exp(-(liking + rng.normal(size=400))))
        return Annotations("m", tuple(range(400)), tuple(preference.tolist()), (9,) * 400, (9,) * 400, "simulated")

    reference, other = ({"m": place_lover()} for _ in range(2))
    naive = calibrate(reference, other, None, "j", resamples=10)["models"]["m"]
    found = calibrate(reference, other, None, "j", shown_first=shown_first, resamples=10)["models"]["m"]
    assert naive["spearman"] > 0.3
    assert abs(found["spearman"]) < 0.15 and abs(found["kendall"]) < 0.15
    same = calibrate(reference, reference, None, "j", shown_first=shown_first, resamples=10)["models"]["m"]
    assert same["spearman"] == pytest.approx(1)

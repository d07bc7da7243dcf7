"""Can another judge stand in for the reference judge of AlpacaEval 2.0? Agreement, shift in score, and a bridge.

Both judges' verdicts on the same answers of several models (the calibration models) say how far they agree, and by how
much a score moves. A model that only the other judge has seen gets a *bridged estimate* of the reference judge's
score, with its error; how good such estimates are is shown by making one for each calibration model from the others.
None of these numbers is an AlpacaEval 2.0 score.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evals.alpaca_eval2.annotations import Annotations
from evals.alpaca_eval2.length_calibration import Calibration
from evals.alpaca_eval2.scores import Verdicts, preference_table, score_annotations
from evals.base import RESAMPLES
from evals.scoring import compare
from harness.errors import UserError

if TYPE_CHECKING:
    from evals.stats.bootstrap import FloatArray, Statistic
    from evals.stats.bridge import Line

DISCLAIMER = "not AlpacaEval 2.0"
SEED = 0
"""Of the instructions that a bootstrap draws."""
SCORES = {"win_rate": "win rate", "length_controlled_winrate": "length-controlled win rate"}

VerdictPairs = Mapping[str, tuple[Annotations, Annotations]]
"""By calibration model: the reference's verdicts and the judge's, on the same instructions."""
Points = Mapping[str, tuple[float, float]]
"""By calibration model: the score in per cent by the reference, and by the judge."""


def calibrate(
    reference: Mapping[str, Annotations],
    other: Mapping[str, Annotations],
    calibration: Calibration | None,
    judge: str,
    *,
    shown_first: Collection[int] = (),
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Compare the verdicts of `judge`, `other`, with the `reference` judge's, both by model. The result is JSON.

    Only instructions that both judged count, joined by index. By model and overall: `agreement` (per cent of verdicts
    with the same winner), Cohen's `kappa`, and rank correlations of the preferences (overall: their mean over models).
    The latter are those among instructions with the same order of the outputs, `shown_first` being those with the
    model's first: two judges that like the same place, and nothing else, would seem to agree over all instructions.
    For each of `SCORES` both judges' score, the `shift` (judge minus reference, in points) and `left_out`, the bridged
    estimate made from all other models; overall, the mean shift, the rank correlations of the scores over models, and
    the `bridge`, how good those estimates are. The length-controlled score needs a `calibration`, whose gamed baselines
    then serve both judges. Every `ci95` but that of an estimate is a bootstrap over instructions. What is not defined
    is None. Raises UserError where the judges have no model with two instructions in common.
    """
    pairs = _shared_verdicts(reference, other)
    metrics = [metric for metric in SCORES if calibration or metric == "win_rate"]
    models = {
        model: {"n": len(pair[0].index), **_agreement([pair], shown_first, resamples)} for model, pair in pairs.items()
    }
    overall = _agreement(list(pairs.values()), shown_first, resamples)
    for metric in metrics:
        points = _points(pairs, metric, calibration)
        left_out = _left_out(points, pairs)
        overall[metric] = {**_ranking(points), "bridge": _quality(points, left_out, pairs)}
        for model, pair in pairs.items():
            models[model][metric] = {
                "reference": points[model][0],
                "judge": points[model][1],
                "shift": _shift(pair, metric, calibration, resamples),
                "left_out": left_out.get(model),
            }
    result = {
        "judge": judge,
        "note": DISCLAIMER,
        "n_models": len(pairs),
        "models_left_out": sorted((reference.keys() | other.keys()) - pairs.keys()),
        "n_verdicts_of_one_judge": sum(
            len(reference[model].index) + len(other[model].index) - 2 * len(pair[0].index)
            for model, pair in pairs.items()
        ),
        "overall": overall,
        "models": models,
        "resamples": resamples,
        "seed": SEED,
    }
    return _without_nan(result)


def bridge(
    reference: Mapping[str, Annotations],
    other: Mapping[str, Annotations],
    calibration: Calibration | None,
    annotations: Annotations,
    judge: str,
) -> dict[str, Any]:
    """Estimate what the reference judge would score a model of which only `judge` has given verdicts, `annotations`.

    For each of `SCORES`: `judge` (its own score), `estimate` (`value` and `ci95`) of the reference's score on the same
    instructions, on which the calibration models are scored too, and `bridge`, how good such estimates are for these.
    The method and what it assumes: see `evals.stats.bridge`. With fewer than three calibration models there is no
    estimate, and `withheld` says so. Raises UserError as `calibrate`.
    """
    from evals.stats.bridge import MIN_MODELS

    pairs = _shared_verdicts(
        {model: each.only(annotations.index) for model, each in reference.items()},
        {model: each.only(annotations.index) for model, each in other.items()},
    )
    result: dict[str, Any] = {
        "judge": judge,
        "note": DISCLAIMER,
        "model": annotations.model,
        "n": len(annotations.index),
        "n_models": len(pairs),
        "withheld": None,
    }
    if len(pairs) < MIN_MODELS:
        reason = f"an estimate needs {MIN_MODELS} models with verdicts of both judges; there are {len(pairs)}"
        return result | {"withheld": reason}
    for metric in SCORES:
        if calibration or metric == "win_rate":
            points = _points(pairs, metric, calibration)
            score = _score(annotations, metric, calibration)
            result[metric] = {
                "judge": score,
                "estimate": _estimate(points, pairs, score, len(annotations.index)),
                "bridge": _quality(points, _left_out(points, pairs), pairs),
            }
    return _without_nan(result)


def _shared_verdicts(reference: Mapping[str, Annotations], other: Mapping[str, Annotations]) -> VerdictPairs:
    """Return the verdicts on instructions that both judged, of models that have at least two of them."""
    pairs = {}
    for model in sorted(reference.keys() & other.keys()):
        common = set(reference[model].index) & set(other[model].index)
        if len(common) > 1:
            pairs[model] = (reference[model].only(common), other[model].only(common))
    if not pairs:
        raise UserError("the two judges have no model with two instructions in common; nothing can be compared")
    return pairs


# Verdicts


def _agreement(
    pairs: Sequence[tuple[Annotations, Annotations]], shown_first: Collection[int], resamples: int
) -> dict[str, Any]:
    """Measure the agreement of the verdicts of one or several models, resampled by instruction."""
    import numpy as np

    from evals.stats.agreement import agreement_statistic, kappa_statistic, kendall, outcome_tables, spearman
    from evals.stats.bootstrap import resample_counts

    axis = sorted({index for first, _ in pairs for index in first.index})
    first, second = (preference_table([pair[judge] for pair in pairs], axis) for judge in (0, 1))
    tables = outcome_tables(first, second)
    counts = resample_counts(len(axis), resamples, SEED)
    found: dict[str, Any] = {
        "agreement": _with_interval(agreement_statistic(tables), counts),
        "kappa": _with_interval(kappa_statistic(tables), counts),
    }
    for name, correlation in (("spearman", spearman), ("kendall", kendall)):
        each = np.array([_within_orders(correlation, pair, shown_first) for pair in pairs])
        found[name] = float(np.mean(each[~np.isnan(each)])) if not np.isnan(each).all() else None
    return found


def _within_orders(
    correlation: Callable[[FloatArray, FloatArray], float],
    pair: tuple[Annotations, Annotations],
    shown_first: Collection[int],
) -> float:
    """Return the mean of the correlations in either order of the outputs, weighted by instructions; NaN where neither
    is."""
    import numpy as np

    with_model_first = set(shown_first)
    is_first = np.array([index in with_model_first for index in pair[0].index])
    first, second = (np.array(each.preference) for each in pair)
    found = [(correlation(first[part], second[part]), part.sum()) for part in (is_first, ~is_first) if part.sum() > 1]
    known = [(value, n) for value, n in found if not np.isnan(value)]
    return sum(value * n for value, n in known) / sum(n for _, n in known) if known else math.nan


def _with_interval(statistic: Statistic, counts: FloatArray) -> dict[str, Any]:
    import numpy as np

    from evals.stats.bootstrap import percentile_interval

    resampled = statistic.resample(counts)
    return {
        "value": statistic.value,
        "ci95": None if np.isnan(resampled).all() else list(percentile_interval(resampled)),
    }


# Scores


def _points(pairs: VerdictPairs, metric: str, calibration: Calibration | None) -> Points:
    return {
        model: (_score(first, metric, calibration), _score(second, metric, calibration))
        for model, (first, second) in pairs.items()
    }


def _score(annotations: Annotations, metric: str, calibration: Calibration | None) -> float:
    needed = calibration if metric == "length_controlled_winrate" else None
    score: float = score_annotations(annotations, needed, resamples=1, allow_missing=True)[metric]
    return score


def _shift(
    pair: tuple[Annotations, Annotations], metric: str, calibration: Calibration | None, resamples: int
) -> dict[str, Any]:
    """Return the judge's score minus the reference's, on the same resampled instructions."""
    first, second = (Verdicts(each, calibration) for each in pair)
    difference = compare([second], [first], metric, allow_missing=True, resamples=resamples)
    return {"value": difference["difference"], "ci95": difference["ci95"], "p_value": difference["p_value"]}


def _ranking(points: Points) -> dict[str, float]:
    import numpy as np

    from evals.stats.agreement import kendall, spearman

    by_reference, by_judge = np.array(list(points.values())).T
    return {
        "mean_shift": float(np.mean(by_judge - by_reference)),
        "spearman": spearman(by_reference, by_judge),
        "kendall": kendall(by_reference, by_judge),
    }


# The bridge


def _estimate(points: Points, pairs: VerdictPairs, score: float, n: int) -> dict[str, Any]:
    """Return the reference's score where the judge's is `score` on `n` instructions, from these calibration models."""
    import numpy as np

    from evals.stats.bridge import logits, scores

    line = _line(points, pairs)
    at = float(logits(np.array(score), n))
    return {"value": float(scores(line.estimate(at), n)), "ci95": scores(np.array(line.interval(at)), n).tolist()}


def _line(points: Points, pairs: VerdictPairs) -> Line:
    import numpy as np

    from evals.stats.bridge import fit_line, logits

    n_each = np.array([len(pairs[model][0].index) for model in points], dtype=float)
    by_reference, by_judge = (logits(column, n_each) for column in np.array(list(points.values())).T)
    return fit_line(by_judge, by_reference)


def _left_out(points: Points, pairs: VerdictPairs) -> dict[str, dict[str, Any]]:
    """Estimate each model, by name, from all other models; empty where they are too few."""
    from evals.stats.bridge import MIN_MODELS

    if len(points) <= MIN_MODELS:
        return {}
    return {
        model: _estimate(
            {name: point for name, point in points.items() if name != model},
            pairs,
            points[model][1],
            len(pairs[model][0].index),
        )
        for model in points
    }


def _quality(points: Points, left_out: Mapping[str, Mapping[str, Any]], pairs: VerdictPairs) -> dict[str, Any] | None:
    """Measure how good estimates of left-out models are: errors (root mean square) and widths of the intervals, in
    points.

    `error_without_judge` is that of the other models' mean, which takes no judge. `says_something` is false where
    that is no larger, or where the line through all models may as well be level. None where models are too few.
    """
    if not left_out:
        return None
    unseen = _left_out({model: (score, 50.0) for model, (score, _) in points.items()}, pairs)
    low_slope, high_slope = _line(points, pairs).slope_interval()
    error, error_without_judge = _error(points, left_out), _error(points, unseen)
    covered = sum(each["ci95"][0] <= points[model][0] <= each["ci95"][1] for model, each in left_out.items())
    return {
        "error": error,
        "error_without_judge": error_without_judge,
        "width": _width(left_out),
        "width_without_judge": _width(unseen),
        "says_something": error < error_without_judge and not low_slope <= 0 <= high_slope,
        "n_covered": covered,
        "n_models": len(points),
    }


def _width(estimates: Mapping[str, Mapping[str, Any]]) -> float:
    return sum(high - low for low, high in (each["ci95"] for each in estimates.values())) / len(estimates)


def _error(points: Points, estimates: Mapping[str, Mapping[str, Any]]) -> float:
    squares = [(each["value"] - points[model][0]) ** 2 for model, each in estimates.items()]
    return float((sum(squares) / len(squares)) ** 0.5)


def _without_nan(value: Any) -> Any:
    """Return the same with None in the place of NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if value != value else value

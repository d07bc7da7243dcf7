"""AlpacaEval 2.0: win rate, discrete win rate and length-controlled win rate (Dubois et al. 2024), from verdicts.

Column names, units (per cent) and values are alpaca_eval's. What it does not give is added: `ci95`, 95 % intervals from
a bootstrap over instructions in which the length-controlled fit is repeated; `n_missing`; and a paired test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from evals import completeness, instruction_set, summaries
from evals.completeness import ALLOW_MISSING_FLAG
from evals.formats.annotations import REFERENCE_OUTPUTS_FLAG, Annotations
from evals.formats.calibration import Calibration
from harness.errors import UserError, unknown

if TYPE_CHECKING:
    from evals.stats.bootstrap import FloatArray, Statistic
    from evals.stats.length_control import GamedBaselines, LengthControlledFit, ModelVerdicts

METRICS = ("win_rate", "discrete_win_rate", "length_controlled_winrate")
LC_CALIBRATION_FLAG = "--lc-calibration"
NO_CALIBRATION = f"no calibration given for this judge (harness eval: {LC_CALIBRATION_FLAG})"


def score_annotations(
    annotations: Annotations,
    calibration: Calibration | None,
    *,
    n_asked: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
    allow_missing: bool = False,
    mend: str = completeness.ASK_AGAIN,
) -> dict[str, Any]:
    """Score one model's verdicts: alpaca_eval's leaderboard columns, `ci95` by column, and what they rest on.

    `n_total` verdicts are there of `n_asked`: what the caller says, else as many as the calibration has instructions,
    else those given. Below 99 % of them every headline is None and `withheld` says why, and how to `mend` it, unless
    `allow_missing`. The length-controlled columns are None also without a calibration, and below 99 % of its
    instructions: `length_controlled_withheld` says so. Instructions are joined by index. One instruction alone has no
    interval. The result can be written as JSON. Raises UserError for an index that the calibration does not have.
    """
    from evals.stats.win_rate import win_rate

    n_judged = len(annotations.index)
    asked = n_asked or _whole_set(calibration) or n_judged
    too_few = completeness.withheld(n_judged, asked, allow_missing=allow_missing, mend=mend)
    withheld = too_few or _length_control_withheld(annotations, calibration, allow_missing)
    fitted = _fit(annotations, calibration) if calibration and not withheld else None
    statistics = _statistics(annotations, calibration if fitted else None, fitted)
    intervals = summaries.intervals(statistics, n_judged, resamples=resamples, seed=seed)
    scores: dict[str, Any] = asdict(win_rate(_preferences(annotations)))
    scores |= {
        "mode": "community",
        "avg_length": int(sum(annotations.len_2) / len(annotations.len_2)),
        "length_controlled_winrate": fitted.win_rate if fitted else None,
        "lc_standard_error": fitted.standard_error if fitted else None,
        "length_controlled_withheld": withheld,
        "ci95": {**dict.fromkeys(METRICS), **intervals},
        "n_asked": asked,
        "n_missing": asked - n_judged,
        "withheld": too_few,
        "resamples": resamples,
        "seed": seed,
    }
    if too_few:
        scores |= {**dict.fromkeys((*METRICS, "standard_error")), "ci95": dict.fromkeys(METRICS)}
    return {key: None if value != value else value for key, value in scores.items()}  # NaN is not JSON


def set_size(annotations: Annotations, calibration: Calibration | None) -> int | None:
    """How many instructions the set of stored verdicts has: those of its reference outputs, of the calibration, or, of
    a file with neither, AlpacaEval's; None where its instructions are others.

    Raises UserError for an index that AlpacaEval has not, where it is not known which other set it is of.
    """
    if annotations.set_size or calibration:
        return annotations.set_size or _whole_set(calibration)
    size = len(instruction_set.OFFICIAL_INSTRUCTION_KEYS)
    if (last := max((*annotations.index, *annotations.without_verdict))) >= size:
        raise UserError(
            f"{annotations.source}: index {last} is above {size - 1}, the last of AlpacaEval's; of another set, pass "
            f"{REFERENCE_OUTPUTS_FLAG} with its instructions in order"
        )
    return None if annotations.is_official is False else size


def score_training_seeds(
    annotations: Sequence[Annotations],
    calibration: Calibration | None,
    *,
    n_asked: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
    allow_missing: bool = False,
) -> dict[str, Any]:
    """Scores of one method trained with several seeds, by metric: see `summaries.over_training_seeds`.

    `n_asked` verdicts are wanted of each seed, by default as many as the calibration has instructions, or any seed has
    verdicts. A metric that is withheld for one seed is None for all. With one training seed the mean and, of several
    instructions, the interval are those of `score_annotations`.
    """
    axis = _axis(annotations)
    asked = n_asked or _whole_set(calibration) or len(axis)
    fewest = _fewest(annotations)
    too_few = completeness.withheld(len(fewest.index), asked, allow_missing=allow_missing)
    withheld = too_few or _length_control_withheld(fewest, calibration, allow_missing)
    by_seed = [_aligned_statistics(each, None if withheld else calibration, axis) for each in annotations]
    scores = summaries.over_training_seeds(
        {metric: [each[metric] for each in by_seed if metric in each] for metric in METRICS},
        len(axis),
        asked=asked,
        missing=[asked - len(each.index) for each in annotations],
        withheld=too_few,
        resamples=resamples,
        seed=seed,
    )
    return {**scores, "n_total": len(axis), "length_controlled_withheld": withheld}


def uncertainty(
    annotations: Sequence[Sequence[Annotations]],
    calibration: Calibration | None,
    *,
    resamples: int = 1000,
    seed: int = 0,
    allow_missing: bool = False,
) -> dict[str, Any]:
    """Where each metric's uncertainty comes from: `UncertaintyComponents` by metric, in points; empty for one set.

    `annotations` [training seeds][repeated verdicts]. A metric that would be withheld has none, nor has the discrete
    win rate, which over repeats is that of the mean preference and no mean of theirs.
    """
    if not summaries.has_parts(annotations):
        return {}
    sets = [each for repeats in annotations for each in repeats]
    axis = _axis(sets)
    withheld = _length_control_withheld(_fewest(sets), calibration, allow_missing)
    nested = [
        [_aligned_statistics(each, None if withheld else calibration, axis) for each in repeats]
        for repeats in annotations
    ]
    by_metric = {
        metric: [[each[metric] for each in repeats] for repeats in nested]
        for metric in nested[0][0]
        if metric != "discrete_win_rate"
    }
    return summaries.uncertainty(by_metric, len(axis), resamples=resamples, seed=seed)


def compare_annotations(
    first: Sequence[Annotations],
    second: Sequence[Annotations],
    calibration: Calibration | None,
    *,
    metric: str = "length_controlled_winrate",
    resamples: int = 1000,
    seed: int = 0,
    allow_missing: bool = False,
) -> dict[str, Any]:
    """Paired comparison of two models on the same instructions: `difference` (first minus second, in points) with
    `ci95`, `p_value` and the other keys of `summaries.comparison`.

    Each model is a sequence of verdicts, one a training seed. Only instructions with a verdict of every set are used,
    `n_prompts` of them; for the length-controlled win rate both models are fitted on these, in each resample anew.
    Where these are less than 99 % of what a set has, or of the calibration, there is no difference unless
    `allow_missing`, and `withheld` says why. Raises UserError for an unknown metric.
    """
    shared = on_shared_instructions([*first, *second], calibration, metric=metric, allow_missing=allow_missing)
    if shared.withheld:
        return summaries.no_comparison(metric, shared.withheld, shared.n_prompts)
    of_first, of_second = shared.statistics[: len(first)], shared.statistics[len(first) :]
    return summaries.comparison(metric, of_first, of_second, shared.n_prompts, resamples=resamples, seed=seed)


def on_shared_instructions(
    sets: Sequence[Annotations],
    calibration: Calibration | None,
    *,
    metric: str = "length_controlled_winrate",
    allow_missing: bool = False,
) -> summaries.SharedPrompts:
    """The metric of every set, on the instructions that all have a verdict on.

    Withheld where these are less than 99 % of what a set has, or of the calibration, unless `allow_missing`. Raises
    UserError for an unknown metric.
    """
    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    axis = sorted(set.intersection(*(set(each.index) for each in sets)))
    shared = [each.only(axis) for each in sets]
    largest = max(len(each.index) for each in sets)
    controlled = metric == "length_controlled_winrate"
    reason = completeness.withheld_comparison(len(axis), largest, allow_missing=allow_missing)
    if not reason and controlled:
        reason = _length_control_withheld(shared[0], calibration, allow_missing)
    if reason:
        return summaries.SharedPrompts((), len(axis), reason)
    control = calibration if controlled else None
    return summaries.SharedPrompts(
        tuple(_aligned_statistics(each, control, axis)[metric] for each in shared), len(axis)
    )


def build_calibration(gamed: Sequence[Annotations], difficulty: Mapping[int, float], source: str) -> Calibration:
    """A calibration from verdicts on gamed versions of the baseline (verbose, concise) and instruction difficulties.

    `difficulty` covers the whole set of instructions. Length differences are divided by their standard deviation within
    each version. Raises UserError for an index without a difficulty.
    """
    import numpy as np

    rows: list[tuple[str, int, float, float, float, bool]] = []
    for version in sorted(gamed, key=lambda each: each.model):
        if stray := [index for index in version.index if index not in difficulty]:
            raise UserError(f"{version.source}: index {stray[0]} has no instruction difficulty")
        differences = np.subtract(version.len_1, version.len_2).astype(float)
        deviation = float(np.std(differences, ddof=1)) if len(differences) > 1 else 0.0
        lengths = differences / deviation if deviation else np.zeros_like(differences)
        for index, preference, length in zip(version.index, version.preference, lengths.tolist(), strict=True):
            rows.append((version.model, index, preference - 1, length, difficulty[index], False))
    models, indices, preferences, std_delta_len, difficulties, not_gamed = zip(*rows, strict=True)
    return Calibration(models, indices, preferences, std_delta_len, difficulties, not_gamed, source)


def difficulty_from_annotations(pool: Sequence[Annotations]) -> dict[int, float]:
    """Instruction difficulty by index from several models' verdicts: see `fit_instruction_difficulty`."""
    from evals.stats.length_control import fit_instruction_difficulty

    axis = _axis(pool)
    return dict(zip(axis, fit_instruction_difficulty(preference_table(pool, axis)).tolist(), strict=True))


def preference_table(annotations: Sequence[Annotations], axis: Sequence[int]) -> FloatArray:
    """Preferences in [0, 1] as a table [models, instructions of `axis`]; NaN where there is no verdict."""
    import numpy as np

    place = {index: column for column, index in enumerate(axis)}
    table = np.full((len(annotations), len(axis)), np.nan)
    for row, each in zip(table, annotations, strict=True):
        row[[place[index] for index in each.index]] = _preferences(each)
    return table


def _axis(annotations: Iterable[Annotations]) -> list[int]:
    """The instructions that any set has a verdict on."""
    return sorted({index for each in annotations for index in each.index})


def _fewest(annotations: Iterable[Annotations]) -> Annotations:
    """The set with the fewest verdicts."""
    return min(annotations, key=lambda each: len(each.index))


def _whole_set(calibration: Calibration | None) -> int:
    """How many instructions the calibration has; 0 without one."""
    return len(calibration.difficulty()) if calibration else 0


def _missing(annotations: Annotations, calibration: Calibration) -> list[int]:
    """Instructions of the calibration without a verdict; raises UserError for verdicts it has no instruction for."""
    known = calibration.difficulty()
    stray = [index for index in annotations.index if index not in known]
    if stray:
        raise UserError(
            f"{annotations.source}: index {stray[0]} is not among the {len(known)} instructions of "
            f"{calibration.source}; the verdicts and the calibration must be of the same set"
        )
    return sorted(known.keys() - set(annotations.index))


def _length_control_withheld(
    annotations: Annotations, calibration: Calibration | None, allow_missing: bool
) -> str | None:
    """Why there is no length-controlled win rate, or None when there is."""
    if calibration is None:
        return NO_CALIBRATION
    missing, judged = _missing(annotations, calibration), len(annotations.index)
    if completeness.withheld(judged, judged + len(missing), allow_missing=allow_missing) is None:
        return None
    shown = ", ".join(map(str, missing[:5])) + (", …" if len(missing) > 5 else "")
    return (
        f"{len(missing)} of the calibration's {judged + len(missing)} instructions have no verdict (index {shown}); "
        f"{ALLOW_MISSING_FLAG} fits on the others"
    )


def _preferences(annotations: Annotations) -> FloatArray:
    """In [0, 1], the probability that the model beats the baseline."""
    import numpy as np

    return np.asarray(annotations.preference, dtype=np.float64) - 1


def _model_verdicts(annotations: Annotations, calibration: Calibration) -> ModelVerdicts:
    import numpy as np

    from evals.stats.length_control import ModelVerdicts

    difficulty = calibration.difficulty()
    return ModelVerdicts(
        preference=_preferences(annotations),
        length_difference=np.subtract(annotations.len_1, annotations.len_2).astype(float),
        difficulty=np.array([difficulty[index] for index in annotations.index]),
    )


def _gamed_baselines(calibration: Calibration) -> GamedBaselines:
    import numpy as np

    from evals.stats.length_control import GamedBaselines

    preference = np.array(calibration.preference)
    known = ~np.isnan(preference)
    return GamedBaselines(
        preference=preference[known],
        standardized_length_difference=np.array(calibration.std_delta_len)[known],
        difficulty=np.array(calibration.instruction_difficulty)[known],
        not_gamed=np.array(calibration.not_gamed_baseline)[known],
        n_baselines=len(set(calibration.model)),
    )


def _fit(annotations: Annotations, calibration: Calibration) -> LengthControlledFit:
    from evals.stats.length_control import fit

    return fit(_model_verdicts(annotations, calibration), _gamed_baselines(calibration))


def _statistics(
    annotations: Annotations, calibration: Calibration | None, fitted: LengthControlledFit | None = None
) -> dict[str, Statistic]:
    """The metrics as statistics on the instructions of `annotations`; length-controlled only with a calibration."""
    from evals.stats.length_control import length_controlled_statistic
    from evals.stats.win_rate import discrete_win_rate_statistic, win_rate_statistic

    preferences = _preferences(annotations)
    statistics = {
        "win_rate": win_rate_statistic(preferences),
        "discrete_win_rate": discrete_win_rate_statistic(preferences),
    }
    if calibration:
        verdicts, gamed = _model_verdicts(annotations, calibration), _gamed_baselines(calibration)
        statistics["length_controlled_winrate"] = length_controlled_statistic(verdicts, gamed, fitted)
    return statistics


def _aligned_statistics(
    annotations: Annotations, calibration: Calibration | None, axis: Sequence[int]
) -> dict[str, Statistic]:
    """The metrics as statistics on the prompt axis `axis`, which holds all indices of `annotations`."""
    import numpy as np

    place = {index: position for position, index in enumerate(axis)}
    positions = np.array([place[index] for index in annotations.index])
    return {name: statistic.at(positions) for name, statistic in _statistics(annotations, calibration).items()}

"""AlpacaEval 2.0: win rate, discrete win rate and length-controlled win rate (Dubois et al. 2024), from verdicts.

Column names, units (per cent) and values are alpaca_eval's. What it does not give is added: `ci95`, 95 % intervals from
a bootstrap over instructions in which the length-controlled fit is repeated; `n_missing`; and a paired test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evals import scoring, withholding
from evals.alpaca_eval2 import instruction_set
from evals.alpaca_eval2.annotations import REFERENCE_OUTPUTS_FLAG, Annotations
from evals.alpaca_eval2.length_calibration import Calibration
from evals.base import RESAMPLES, ItemResults, Metric, PublishedMetric
from evals.withholding import ALLOW_MISSING_FLAG
from harness.errors import UserError
from harness.steps.judge_prompt import OFFICIAL_JUDGE

if TYPE_CHECKING:
    from evals.stats.bootstrap import FloatArray, IntArray, Statistic
    from evals.stats.length_control import GamedBaselines, LengthControlledFit, ModelVerdicts

WIN_RATE = Metric("win_rate")
DISCRETE = Metric("discrete_win_rate")
LENGTH_CONTROLLED = Metric("length_controlled_winrate")
METRICS = (WIN_RATE, DISCRETE, LENGTH_CONTROLLED)
REPORTED = (LENGTH_CONTROLLED, WIN_RATE)
PUBLISHED = PublishedMetric(
    title="AlpacaEval 2.0",
    n_items=len(instruction_set.OFFICIAL_INSTRUCTION_KEYS),
    items="instructions",
    baseline="gpt4_1106_preview",
    judges=("weighted_alpaca_eval_gpt4_turbo", OFFICIAL_JUDGE),
)
LC_CALIBRATION_FLAG = "--lc-calibration"
NO_CALIBRATION = f"no calibration given for this judge (harness eval: {LC_CALIBRATION_FLAG})"


def score_annotations(
    annotations: Annotations,
    calibration: Calibration | None,
    *,
    n_asked: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    allow_missing: bool = False,
    mend: str = withholding.ASK_AGAIN,
) -> dict[str, Any]:
    """Score one model's verdicts: alpaca_eval's leaderboard columns, `ci95` by column, and what they rest on.

    `n_total` verdicts are there of `n_asked`: what the caller says, else as many as the calibration has instructions,
    else those given. Below 99 % of them every headline is None and `withheld` says why, and how to `mend` it, unless
    `allow_missing`. The length-controlled columns are None also without a calibration, and below 99 % of its
    instructions: `length_controlled_withheld` says so. Instructions are joined by index. One instruction alone has no
    interval. The result can be written as JSON. Raises UserError for an index that the calibration does not have.
    """
    from evals.stats.length_control import fit
    from evals.stats.win_rate import win_rate

    n_judged = len(annotations.index)
    asked = n_asked or whole_set(calibration) or n_judged
    too_few = withholding.withheld(n_judged, asked, allow_missing=allow_missing, mend=mend)
    withheld = too_few or _length_control_withheld(annotations, calibration, allow_missing)
    fitted = None
    if calibration and not withheld:
        fitted = fit(_model_verdicts(annotations, calibration), _gamed_baselines(calibration))
    known = METRICS if fitted else (WIN_RATE, DISCRETE)
    statistics = {metric: _statistic(metric.name, annotations, calibration, fitted) for metric in known}
    names = [metric.name for metric in METRICS]
    scores: dict[str, Any] = {**win_rate(_preferences(annotations))}
    scores |= {
        "mode": "community",
        "avg_length": int(sum(annotations.len_2) / len(annotations.len_2)),
        "length_controlled_winrate": fitted.win_rate if fitted else None,
        "lc_standard_error": fitted.standard_error if fitted else None,
        "length_controlled_withheld": withheld,
        "ci95": {**dict.fromkeys(names), **scoring.intervals(statistics, n_judged, resamples=resamples, seed=seed)},
        "n_asked": asked,
        "n_missing": asked - n_judged,
        "withheld": too_few,
        "resamples": resamples,
        "seed": seed,
    }
    if too_few:
        scores |= {**dict.fromkeys((*names, "standard_error")), "ci95": dict.fromkeys(names)}
    return {key: None if value != value else value for key, value in scores.items()}  # NaN is not JSON


def set_size(annotations: Annotations, calibration: Calibration | None) -> int | None:
    """Count the instructions that the set of stored verdicts has: those of its reference outputs, of the calibration,
    or, of a file with neither, AlpacaEval's; None where its instructions are others.

    Raises UserError for an index that AlpacaEval has not, where it is not known which other set it is of.
    """
    if annotations.set_size or calibration:
        return annotations.set_size or whole_set(calibration)
    size = PUBLISHED.n_items
    if (last := max((*annotations.index, *annotations.without_verdict))) >= size:
        raise UserError(
            f"{annotations.source}: index {last} is above {size - 1}, the last of AlpacaEval's; of another set, pass "
            f"{REFERENCE_OUTPUTS_FLAG} with its instructions in order"
        )
    return None if annotations.is_official is False else size


@dataclass(frozen=True, slots=True)
class Verdicts(ItemResults):
    """One set of verdicts by instruction, with what the length control is fitted with."""

    annotations: Annotations
    calibration: Calibration | None
    metrics: Sequence[Metric] = METRICS

    @property
    def items(self) -> Sequence[int]:
        """The indices of the instructions with a verdict."""
        return self.annotations.index

    def statistic(self, metric: str, items: Sequence[int]) -> Statistic:
        """Return the metric on instructions; the length control is fitted on those of them that have a verdict."""
        annotations, positions = self._on(items)
        return _statistic(metric, annotations, self.calibration).at(positions)

    def quick_statistic(self, metric: str, items: Sequence[int]) -> Statistic:
        """Return `statistic`, the length-controlled win rate to first order in the draw of instructions."""
        if metric != LENGTH_CONTROLLED.name or self.calibration is None:
            return self.statistic(metric, items)
        from evals.stats.length_influence import linear_length_controlled_statistic

        annotations, positions = self._on(items)
        verdicts = _model_verdicts(annotations, self.calibration)
        return linear_length_controlled_statistic(verdicts, _gamed_baselines(self.calibration)).at(positions)

    def _on(self, items: Sequence[int]) -> tuple[Annotations, IntArray]:
        """Return the verdicts on instructions, and their positions among these."""
        import numpy as np

        place = {index: position for position, index in enumerate(items)}
        annotations = self.annotations.only(place)
        return annotations, np.array([place[index] for index in annotations.index])

    def withheld(self, metric: str, items: Sequence[int], *, allow_missing: bool) -> str | None:
        """Return why there is no length-controlled win rate on these instructions; None of any other metric.

        Raises UserError for an index that the calibration does not have.
        """
        if metric != LENGTH_CONTROLLED.name:
            return None
        return _length_control_withheld(self.annotations.only(items), self.calibration, allow_missing)


def build_calibration(gamed: Sequence[Annotations], difficulty: Mapping[int, float], source: str) -> Calibration:
    """Return a calibration from verdicts on gamed versions of the baseline (verbose, concise) and instruction
    difficulties.

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
    """Estimate instruction difficulty by index from several models' verdicts: see `fit_instruction_difficulty`."""
    from evals.stats.length_control import fit_instruction_difficulty

    axis = sorted({index for each in pool for index in each.index})
    return dict(zip(axis, fit_instruction_difficulty(preference_table(pool, axis)).tolist(), strict=True))


def preference_table(annotations: Sequence[Annotations], axis: Sequence[int]) -> FloatArray:
    """Return the preferences in [0, 1] as a table [models, instructions of `axis`]; NaN where there is no verdict."""
    import numpy as np

    place = {index: column for column, index in enumerate(axis)}
    table = np.full((len(annotations), len(axis)), np.nan)
    for row, each in zip(table, annotations, strict=True):
        row[[place[index] for index in each.index]] = _preferences(each)
    return table


def whole_set(calibration: Calibration | None) -> int:
    """Count the instructions that the calibration has; 0 without one."""
    return len(calibration.difficulty()) if calibration else 0


def _length_control_withheld(
    annotations: Annotations, calibration: Calibration | None, allow_missing: bool
) -> str | None:
    """Return why there is no length-controlled win rate, or None when there is.

    Raises UserError for verdicts that the calibration has no instruction for.
    """
    if calibration is None:
        return NO_CALIBRATION
    known, judged = calibration.difficulty(), len(annotations.index)
    if stray := [index for index in annotations.index if index not in known]:
        raise UserError(
            f"{annotations.source}: index {stray[0]} is not among the {len(known)} instructions of "
            f"{calibration.source}; the verdicts and the calibration must be of the same set"
        )
    if withholding.withheld(judged, len(known), allow_missing=allow_missing) is None:
        return None
    missing = sorted(known.keys() - set(annotations.index))
    examples = ", ".join(map(str, missing[:5])) + (", …" if len(missing) > 5 else "")
    return (
        f"{len(missing)} of the calibration's {len(known)} instructions have no verdict (index {examples}); "
        f"{ALLOW_MISSING_FLAG} fits on the others"
    )


def _preferences(annotations: Annotations) -> FloatArray:
    """Return the preferences in [0, 1], the probability that the model beats the baseline."""
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


def _statistic(
    metric: str, annotations: Annotations, calibration: Calibration | None, fitted: LengthControlledFit | None = None
) -> Statistic:
    """Return a metric on the instructions of `annotations`; `fitted` is their length-controlled fit, where it is
    known."""
    from evals.stats.length_control import length_controlled_statistic
    from evals.stats.win_rate import discrete_win_rate_statistic, win_rate_statistic

    if metric == LENGTH_CONTROLLED.name and calibration:
        return length_controlled_statistic(
            _model_verdicts(annotations, calibration), _gamed_baselines(calibration), fitted
        )
    of_preferences = {WIN_RATE.name: win_rate_statistic, DISCRETE.name: discrete_win_rate_statistic}
    return of_preferences[metric](_preferences(annotations))

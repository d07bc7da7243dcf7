"""AlpacaEval 2.0 from a checkpoint to its scores: the steps. How verdicts become scores: `scores`."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

from evals import scoring
from evals.alpaca_eval2.annotation_files import AnnotationFiles
from evals.alpaca_eval2.annotations import AnnotationRow, OfficialNames, annotations_from_rows, write_annotations
from evals.alpaca_eval2.judgments import annotations_of, positions_of, rows_of
from evals.alpaca_eval2.leaderboard import write_leaderboard
from evals.alpaca_eval2.length_calibration import Calibration
from evals.alpaca_eval2.length_calibration_steps import (
    calibration_from,
    length_calibration,
    published_calibration,
    read_length_calibration,
)
from evals.alpaca_eval2.scores import (
    DISCRETE,
    LENGTH_CONTROLLED,
    METRICS,
    PUBLISHED,
    REPORTED,
    Verdicts,
    score_annotations,
)
from evals.base import RESAMPLES, BaselineOptions, ItemResults, Scored
from evals.formats.outputs import ModelOutput, write_model_outputs
from evals.judged_pairs import JudgedPairs, PairSetting
from evals.official_data import length_calibration as official_calibration_file
from harness.engine.artifacts import Artifact, Output, step
from harness.errors import UserError
from harness.records import Judgment
from harness.steps.data import DataRole
from harness.steps.judge import by_repeat


@dataclass(frozen=True, slots=True, kw_only=True)
class AlpacaEvalOptions(BaselineOptions):
    """The AlpacaEval 2.0 options of a recipe: the instructions, and the data of its length calibration.

    That is a finished calibration, a file like df_gamed.csv, or else verdicts of the embedded judge.
    """

    gamed_baselines: tuple[DataRole, ...] = ()
    """The baseline's answers made longer or shorter."""
    difficulty_pool: tuple[DataRole, ...] = ()
    """Other writers' answers: what the difficulty of an instruction is estimated from."""
    length_calibration: str = ""


class AlpacaEval2(JudgedPairs):
    """AlpacaEval 2.0. Its length control is fitted with a calibration for the judge, without which it is withheld."""

    summary = "win rate and length-controlled win rate against one baseline, one verdict an instruction"
    source = "Dubois et al. 2024; SGPO, section 4.3"
    metrics = REPORTED
    protocol = "alpaca_eval2"
    Options = AlpacaEvalOptions
    verdict_files = AnnotationFiles
    published = PUBLISHED

    def with_files(self, setting: PairSetting, calibration: Path | None, data: str | None) -> PairSetting:
        """Add the user's calibration, or that beside the official data of the user's."""
        if calibration is None and data is not None and setting.is_published:
            calibration = official_calibration_file(data)
        options = replace(setting.options, length_calibration=str(calibration)) if calibration else setting.options
        return replace(setting, options=options, is_published=setting.is_published and data is None)

    def score(self, setting: PairSetting, rows: Sequence[Artifact], name: str) -> Artifact:
        """Build the win rates, with each seed's files in alpaca_eval's own formats."""
        return score_alpaca_eval2(
            baselines=setting.baselines,
            calibration=self._calibration(setting),
            judgments=rows,
            names=OfficialNames(setting.baseline_name, name, setting.judge.model),
            allow_missing=setting.allow_missing,
            resamples=RESAMPLES,
        )

    def compare(self, setting: PairSetting, better: Sequence[Artifact], worse: Sequence[Artifact]) -> Artifact:
        """Build paired differences of the win rates."""
        return compare_alpaca_eval2(
            baselines=setting.baselines,
            calibration=self._calibration(setting),
            better=better,
            worse=worse,
            allow_missing=setting.allow_missing,
            resamples=RESAMPLES,
        )

    def results(self, scored: Sequence[Scored]) -> list[ItemResults]:
        """Return the verdicts by instruction.

        Raises UserError where length was controlled with different calibrations.
        """
        calibrations = [read_length_calibration(each.score_input("calibration")) for each in scored]
        if any(_content(each) != _content(calibrations[0]) for each in calibrations):
            raise UserError(
                "the runs control length with different calibrations; run the baseline again with that of the candidate"
            )
        found: list[ItemResults] = []
        for each in scored:
            baselines = each.score_input("baselines")
            assert baselines is not None
            found += _verdicts(each.rows, positions_of(baselines), calibrations[0])
        return found

    def _calibration(self, setting: PairSetting) -> Artifact | None:
        """Return the calibration of the length control: a file, the published calibration, or the embedded judge's
        verdicts.

        None without any. Raises NotFetched where the published one cannot be had.
        """
        options: AlpacaEvalOptions = setting.options
        if options.length_calibration:
            return calibration_from(Path(options.length_calibration))
        if setting.is_published:
            return published_calibration()
        if not options.gamed_baselines or not setting.judge.is_embedded:
            return None
        return length_calibration(
            baselines=setting.baselines,
            gamed=self._judged(setting, options.gamed_baselines),
            pool=self._judged(setting, options.difficulty_pool),
        ).with_label(setting.baseline_name)

    def _judged(self, setting: PairSetting, roles: Iterable[DataRole]) -> list[Artifact]:
        outputs = [role.artifact() for role in roles]
        return [self.rows(setting, outputs=each).with_label(each.label) for each in outputs]


BENCHMARK = AlpacaEval2()


@step(version=4)
def score_alpaca_eval2(
    out: Output,
    *,
    baselines: Artifact,
    calibration: Artifact | None,
    judgments: Sequence[Artifact],
    names: OfficialNames,
    allow_missing: bool,
    resamples: int,
) -> None:
    """Write `scores.json` over all training seeds, and each seed's files in alpaca_eval's own formats in
    `seed-<n>/`."""
    positions, calibrated = positions_of(baselines), read_length_calibration(calibration)
    rules: dict[str, Any] = {"resamples": resamples, "allow_missing": allow_missing}
    sets, repeated = [], []
    for number, artifact in enumerate(judgments):
        judged = artifact.rows(Judgment)
        rows = rows_of(judged, positions, names)
        annotations = annotations_from_rows(rows, str(artifact))
        scores = score_annotations(annotations, calibrated, n_asked=len(positions), **rules)
        repeats = (annotations_from_rows(rows_of(each, positions, names), str(artifact)) for each in by_repeat(judged))
        repeated.append([Verdicts(each, calibrated) for each in repeats])
        scores["uncertainty"] = _uncertainty(repeated[-1:], rules)
        _export(out.folder / f"seed-{number}", rows, scores)
        out.write_json(f"seed-{number}/scores.json", scores)
        sets.append(Verdicts(annotations, calibrated))
    scores = score_training_seeds(sets, asked=len(positions), **rules)
    scores["uncertainty"] = _uncertainty(repeated, rules)
    out.write_json("scores.json", scores)


def score_training_seeds(
    sets: Sequence[Verdicts], *, asked: int, allow_missing: bool = False, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Any]:
    """Return `scoring.score` of one method, on the instructions that any training seed has a verdict on."""
    items = scoring.all_items(sets)
    fewest = scoring.fewest(sets)
    withheld = fewest.withheld(LENGTH_CONTROLLED.name, fewest.items, allow_missing=allow_missing)
    scores = scoring.score(sets, asked=asked, items=items, allow_missing=allow_missing, resamples=resamples, seed=seed)
    return {**scores, "n_total": len(items), "length_controlled_withheld": scores["withheld"] or withheld}


def _uncertainty(repeated: Sequence[Sequence[Verdicts]], rules: dict[str, Any]) -> dict[str, Any]:
    """Return the uncertainty of each metric but the discrete win rate.

    Over repeats, it is that of the mean preference.
    """
    items = scoring.all_items([each for repeats in repeated for each in repeats])
    metrics = [metric for metric in METRICS if metric != DISCRETE]
    return scoring.uncertainty(repeated, items=items, metrics=metrics, **rules)


def _export(folder: Path, rows: Sequence[AnnotationRow], scores: dict[str, Any]) -> None:
    """Write alpaca_eval's files of one model."""
    folder.mkdir()
    write_annotations(folder / "annotations.json", rows)
    outputs = [ModelOutput(row.instruction, row.output_2, row.generator_2, row.dataset) for row in rows]
    write_model_outputs(folder / "model_outputs.json", outputs)
    write_leaderboard(folder / "leaderboard.csv", rows[0].generator_2, scores)


@step(version=4)
def compare_alpaca_eval2(
    out: Output,
    *,
    baselines: Artifact,
    calibration: Artifact | None,
    better: Sequence[Artifact],
    worse: Sequence[Artifact],
    allow_missing: bool,
    resamples: int,
) -> None:
    """Write `comparison.json`: for each metric the paired difference between two methods on the same instructions."""
    positions, calibrated = positions_of(baselines), read_length_calibration(calibration)
    first, second = (_verdicts(side, positions, calibrated) for side in (better, worse))
    scoring.write_comparison(out, first, second, REPORTED, allow_missing=allow_missing, resamples=resamples)


def _content(calibration: Calibration | None) -> str | None:
    """Return the calibration without where it was read from; NaN, for a failed verdict, is equal to itself."""
    return repr(astuple(replace(calibration, source=""))) if calibration else None


def _verdicts(
    judgments: Sequence[Artifact], positions: dict[str, int], calibration: Calibration | None
) -> list[Verdicts]:
    return [Verdicts(annotations_of(artifact, positions), calibration) for artifact in judgments]

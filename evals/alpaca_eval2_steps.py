"""AlpacaEval 2.0 from a checkpoint to its scores: the steps. How verdicts become scores: `evals.alpaca_eval2`."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from evals import alpaca_eval2
from evals.bench import RESAMPLES, Bench, Evaluation
from evals.formats.annotations import AnnotationRow, Annotations, annotations_from_rows, write_annotations
from evals.formats.calibration import Calibration, read_calibration, write_calibration
from evals.formats.leaderboard import write_leaderboard
from evals.formats.outputs import ModelOutput, instruction_key, write_model_outputs
from evals.instruction_set import official_dataset
from evals.official_data import calibration_on_hub
from evals.official_steps import file_digest
from harness.engine.artifacts import Artifact, Output, step
from harness.errors import UserError
from harness.records import Judgment, Prompt, Response
from harness.steps.judge import by_repeat
from harness.steps.respond import respond

OTHER_DATASET = "alpaca_eval2"
"""In the place of an official instruction's data set, for the instructions of another set."""

CALIBRATION_FILE = "df_gamed.csv"


@dataclass(frozen=True, slots=True)
class Names:
    """What the official files call the baseline, the model and the judge."""

    baseline: str = "baseline"
    model: str = "model"
    judge: str = "judge"


def _answers(bench: Bench, checkpoint: Artifact, seed: int) -> Artifact:
    """Sampled answers to the instructions (section 4.3: temperature 0.7, top-p 0.9)."""
    return respond(model=checkpoint, prompts=bench.baselines, sampling=bench.sampling, seed=seed)


def _calibration(bench: Bench) -> Artifact | None:
    """What the length control is fitted with: the bench's, or made from its judge's verdicts; None without either."""
    if bench.length_calibration or not bench.gamed_baselines:
        return bench.length_calibration

    def judged(outputs: Artifact) -> Artifact:
        return EVALUATION.judgments(bench, outputs).with_label(outputs.label)

    return length_calibration(
        baselines=bench.baselines,
        gamed=list(map(judged, bench.gamed_baselines)),
        pool=list(map(judged, bench.difficulty_pool)),
    ).with_label(bench.baseline_name)


def _score(bench: Bench, judgments: Sequence[Artifact], name: str) -> Artifact:
    return score_alpaca_eval2(
        baselines=bench.baselines,
        calibration=_calibration(bench),
        judgments=judgments,
        names=Names(bench.baseline_name, name, bench.judge.model),
        allow_missing=bench.allow_missing,
        resamples=RESAMPLES,
    )


def _compare(bench: Bench, better: Sequence[Artifact], worse: Sequence[Artifact]) -> Artifact:
    return compare_alpaca_eval2(
        baselines=bench.baselines,
        calibration=_calibration(bench),
        better=better,
        worse=worse,
        allow_missing=bench.allow_missing,
        resamples=RESAMPLES,
    )


EVALUATION = Evaluation(
    summary="win rate and length-controlled win rate against one baseline, one verdict an instruction",
    source="Dubois et al. 2024; SGPO, section 4.3",
    metrics=("length_controlled_winrate", "win_rate"),
    protocol="alpaca_eval2",
    answers=_answers,
    score=_score,
    compare=_compare,
)


@step(version=1)
def length_calibration(
    out: Output, *, baselines: Artifact, gamed: Sequence[Artifact], pool: Sequence[Artifact]
) -> None:
    """What the length control is fitted with, in the format of alpaca_eval's df_gamed.csv.

    `gamed` are verdicts on longer and shorter versions of the baseline's answers; `pool` are verdicts on other writers,
    from which the instructions' difficulty is estimated.
    """
    positions = positions_of(baselines)
    difficulty = alpaca_eval2.difficulty_from_annotations([annotations_of(artifact, positions) for artifact in pool])
    versions = [annotations_of(artifact, positions) for artifact in gamed]
    calibration = alpaca_eval2.build_calibration(versions, difficulty, "length calibration")
    write_calibration(out.folder / CALIBRATION_FILE, calibration)


@step(version=1)
def given_calibration(out: Output, *, path: str, digest: str) -> None:
    """A finished calibration in the format of df_gamed.csv, copied; `digest` is the SHA-256 of its content."""
    _copy_calibration(Path(path), digest, out)


@step(version=1)
def official_calibration(out: Output, *, repository: str, commit: str, digest: str) -> None:
    """The official df_gamed.csv, fetched from the hub's `repository` at `commit`; `digest` is the file's SHA-256."""
    _copy_calibration(calibration_on_hub(repository, commit).path, digest, out)


def _copy_calibration(path: Path, digest: str, out: Output) -> None:
    if file_digest(path) != digest:
        raise UserError(f"{path} has changed since this run looked at it; run the same command again")
    write_calibration(out.folder / CALIBRATION_FILE, read_calibration(path))


@step(version=4)
def score_alpaca_eval2(
    out: Output,
    *,
    baselines: Artifact,
    calibration: Artifact | None,
    judgments: Sequence[Artifact],
    names: Names,
    allow_missing: bool,
    resamples: int,
) -> None:
    """`scores.json` over all training seeds, and each seed's files in alpaca_eval's own formats in `seed-<n>/`."""
    positions = positions_of(baselines)
    calibrated = read_length_calibration(calibration)
    n_asked = len(positions)
    rules: dict[str, Any] = {"resamples": resamples, "allow_missing": allow_missing}
    sets, repeated = [], []
    for number, artifact in enumerate(judgments):
        rows = _rows(artifact.rows(Judgment), positions, names)
        annotations = annotations_from_rows(rows, str(artifact))
        repeats = _repeats(artifact, positions, names)
        scores = alpaca_eval2.score_annotations(annotations, calibrated, n_asked=n_asked, **rules)
        scores["uncertainty"] = alpaca_eval2.uncertainty([repeats], calibrated, **rules)
        folder = out.folder / f"seed-{number}"
        folder.mkdir()
        write_annotations(folder / "annotations.json", rows)
        write_model_outputs(folder / "model_outputs.json", _model_outputs(rows))
        write_leaderboard(folder / "leaderboard.csv", {rows[0].generator_2: scores})
        out.write_json(f"seed-{number}/scores.json", scores)
        sets.append(annotations)
        repeated.append(repeats)
    scores = alpaca_eval2.score_training_seeds(sets, calibrated, n_asked=n_asked, **rules)
    scores["uncertainty"] = alpaca_eval2.uncertainty(repeated, calibrated, **rules)
    out.write_json("scores.json", scores)


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
    """`comparison.json`: for each metric the paired difference between two methods on the same instructions."""
    positions = positions_of(baselines)
    calibrated = read_length_calibration(calibration)
    first, second = ([annotations_of(artifact, positions) for artifact in side] for side in (better, worse))
    out.write_json(
        "comparison.json",
        {
            metric: alpaca_eval2.compare_annotations(
                first, second, calibrated, metric=metric, resamples=resamples, allow_missing=allow_missing
            )
            for metric in EVALUATION.metrics
        },
    )


def read_length_calibration(calibration: Artifact | None) -> Calibration | None:
    """The calibration that an artifact holds; None for None."""
    return read_calibration(calibration.folder / CALIBRATION_FILE) if calibration else None


def annotations_of(artifact: Artifact, positions: dict[str, int], model: str = "") -> Annotations:
    """The verdicts of a judgments artifact on `model`, joined by the `positions_of` its baseline."""
    rows = _rows(artifact.rows(Judgment), positions, Names(model=model or artifact.key[:12]))
    return annotations_from_rows(rows, str(artifact))


def _repeats(artifact: Artifact, positions: dict[str, int], names: Names) -> list[Annotations]:
    """The verdicts of each repeat by themselves."""
    repeats = by_repeat(artifact.rows(Judgment))
    return [annotations_from_rows(_rows(rows, positions, names), str(artifact)) for rows in repeats]


def positions_of(baselines: Artifact) -> dict[str, int]:
    """Each instruction's index: its position in the official order. Everything is joined by it."""
    return {row.prompt.id: index for index, row in enumerate(baselines.rows(Response))}


def _rows(judgments: Sequence[Judgment], positions: dict[str, int], names: Names) -> list[AnnotationRow]:
    """Judgments as alpaca_eval's annotations, in the official order.

    The preference is the mean over the verdicts on an instruction (one, unless the judge was asked repeatedly). Where
    all of them failed there is none.
    """
    by_prompt: dict[Prompt, list[Judgment]] = defaultdict(list)
    for row in judgments:
        by_prompt[row.prompt].append(row)
    rows = [
        AnnotationRow(
            index=positions[prompt.id],
            instruction=prompt.text,
            dataset=official_dataset(instruction_key(prompt.text)) or OTHER_DATASET,
            output_1=verdicts[0].baseline,
            generator_1=names.baseline,
            output_2=verdicts[0].output,
            generator_2=names.model,
            annotator=names.judge,
            preference=_mean_preference(verdicts),
            raw_completion=verdicts[0].reply if len(verdicts) == 1 else [row.reply for row in verdicts],
        )
        for prompt, verdicts in by_prompt.items()
    ]
    return sorted(rows, key=lambda row: row.index)


def _mean_preference(verdicts: Sequence[Judgment]) -> float | None:
    """In [1, 2], as alpaca_eval counts."""
    known = [row.preference for row in verdicts if row.preference is not None]
    return 1 + fmean(known) if known else None


def _model_outputs(rows: Sequence[AnnotationRow]) -> list[ModelOutput]:
    return [ModelOutput(row.instruction, row.output_2, row.generator_2, row.dataset) for row in rows]

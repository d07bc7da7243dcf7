"""Judgments as alpaca_eval's annotations, joined by the instructions' official order."""

from collections.abc import Sequence
from statistics import fmean

from evals.alpaca_eval2.annotations import AnnotationRow, Annotations, OfficialNames, annotations_from_rows
from evals.alpaca_eval2.instruction_set import official_dataset
from evals.formats.outputs import instruction_key
from harness.engine.artifacts import Artifact
from harness.records import Judgment, Response, by_prompt

OTHER_DATASET = "alpaca_eval2"
"""In the place of an official instruction's data set, for the instructions of another set."""


def annotations_of(artifact: Artifact, positions: dict[str, int], model: str = "") -> Annotations:
    """Return the verdicts of a judgments artifact on `model`, joined by the `positions_of` its baseline."""
    rows = rows_of(artifact.rows(Judgment), positions, OfficialNames(model=model or artifact.key[:12]))
    return annotations_from_rows(rows, str(artifact))


def positions_of(baselines: Artifact) -> dict[str, int]:
    """Return each instruction's index: its position in the official order. Everything is joined by it."""
    return {row.prompt.id: index for index, row in enumerate(baselines.rows(Response))}


def rows_of(judgments: Sequence[Judgment], positions: dict[str, int], names: OfficialNames) -> list[AnnotationRow]:
    """Convert judgments to alpaca_eval's annotations, in the official order.

    The preference is the mean over the verdicts on an instruction (one, unless the judge was asked repeatedly). Where
    all of them failed there is none.
    """
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
        for verdicts in by_prompt(judgments).values()
        for prompt in [verdicts[0].prompt]
    ]
    return sorted(rows, key=lambda row: row.index)


def _mean_preference(verdicts: Sequence[Judgment]) -> float | None:
    """Return the mean preference in [1, 2], as alpaca_eval counts."""
    known = [row.preference for row in verdicts if row.preference is not None]
    return 1 + fmean(known) if known else None

"""Calibration of a judge on published verdicts: the steps. How verdicts are compared: `judge_calibration`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from evals.alpaca_eval2 import judge_calibration
from evals.alpaca_eval2.annotations import read_annotations
from evals.alpaca_eval2.judgments import annotations_of, positions_of
from evals.alpaca_eval2.length_calibration_steps import read_length_calibration
from harness.engine.artifacts import Artifact, Output, step
from harness.records import Response
from harness.steps.judge_prompt import official_order

RESULT = "calibration.json"


@step(version=2)
def calibrate_judge(
    out: Output,
    *,
    judge: str,
    baselines: Artifact,
    published: Mapping[str, str],
    digests: Mapping[str, str],
    models: Sequence[str],
    judgments: Sequence[Artifact],
    bridged: Artifact | None,
    bridged_model: str,
    length_calibration: Artifact | None,
    resamples: int,
) -> None:
    """Write `calibration.json`: what `judge_calibration` finds of `judge`, and the bridged estimate of one more model.

    `published` are files with the reference judge's verdicts by model (`digests` their content), `judgments` the
    judge's own on the outputs of `models`, `bridged` those on `bridged_model`, which has no published verdicts.
    """
    positions = positions_of(baselines)
    lengths = read_length_calibration(length_calibration)
    reference = {
        model: read_annotations(Path(path), allow_missing=True).only(positions.values())
        for model, path in published.items()
    }
    other = {model: annotations_of(rows, positions) for model, rows in zip(models, judgments, strict=True)}
    shown_first = [
        positions[row.prompt.id]
        for row in baselines.rows(Response)
        if official_order(row.prompt.text) == "output_first"
    ]
    result = judge_calibration.calibrate(reference, other, lengths, judge, shown_first=shown_first, resamples=resamples)
    if bridged:
        new = annotations_of(bridged, positions, bridged_model)
        result["bridged"] = judge_calibration.bridge(reference, other, lengths, new, judge)
    out.write_json(RESULT, result)

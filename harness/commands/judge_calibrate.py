"""`harness judge calibrate`: another judge's verdicts beside published ones."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.alpaca_eval2.annotations import read_annotations
from evals.alpaca_eval2.benchmark import BENCHMARK
from evals.alpaca_eval2.judge_calibration_steps import RESULT, calibrate_judge
from evals.alpaca_eval2.length_calibration_steps import calibration_from
from evals.alpaca_eval2.scores import set_size
from evals.answer_files import read_answer_file
from evals.base import RESAMPLES
from evals.official_steps import file_digest, stored_outputs
from harness.commands.evaluate import failed_verdicts, other_models, print_failures
from harness.endpoints.reference import EndpointReference
from harness.engine.artifacts import Artifact, labels
from harness.engine.limits import Limits
from harness.engine.pipeline import plan, print_plan, run
from harness.engine.store import Store
from harness.errors import UserError, unknown
from harness.recipes.benches import OFFICIAL, BenchChoice, choose_bench
from harness.run.spending import run_and_report_spending

_TABLES = (".csv", ".csv.gz", ".json", ".json.gz")


@dataclass(frozen=True, slots=True)
class Published:
    """A folder of one judge's verdicts, a file a model; the models' outputs; the instructions and the baseline's.

    By default the outputs are in model_outputs/ beside the folder, and the baseline's where the folder is.
    """

    annotations: Path
    outputs: Path | None = None
    data: str | None = None

    def files(self, wanted: Sequence[str]) -> dict[str, tuple[Path, Path]]:
        """Return, by model, its verdicts and its outputs: of all models with both, or of those `wanted`.

        Raises UserError for a folder that is none, and for a wanted model without both.
        """
        outputs_folder = self.outputs or self.annotations.parent / "model_outputs"
        for folder in (self.annotations, outputs_folder):
            if not folder.is_dir():
                raise UserError(
                    f"{folder} is not a folder; pass the published verdicts, and --outputs with the outputs"
                )
        verdicts = {_model(path): path for path in sorted(self.annotations.iterdir()) if path.name.endswith(_TABLES)}
        outputs = {path.stem: path for path in outputs_folder.glob("*.json")}
        both = {model: (verdicts[model], outputs[model]) for model in verdicts if model in outputs}
        if stray := next((model for model in wanted if model not in both), None):
            raise unknown("model with verdicts and outputs", stray, both)
        if not both:
            raise UserError(f"no model has verdicts in {self.annotations} and outputs in {outputs_folder}")
        return {model: both[model] for model in wanted or both}


def calibrate(
    published: Published,
    judge: EndpointReference,
    run_dir: Path,
    limits: Limits,
    *,
    models: Sequence[str] = (),
    limit: int | None = None,
    bridge: Path | None = None,
    length_calibration: Path | None = None,
) -> Mapping[str, Any]:
    """Build what `calibrate_judge` finds of `judge` on the published models, or on those named; `bridge` is one more.

    Every file is read before the judge is asked anything. Raises UserError for files that are not there or wrong, for a
    `bridge` that is one of the published models, and for a judge that cannot be asked.
    """
    files = published.files(models)
    for verdicts, _ in files.values():
        set_size(read_annotations(verdicts, allow_missing=True), None)
    bridged_model = _bridged_model(bridge, files) if bridge else ""
    data = published.data or str(published.annotations.absolute().parent)
    bench = choose_bench("alpaca_eval2", BenchChoice(OFFICIAL, data=data, limit=limit, judge=judge))
    all_outputs = [*(outputs for _, outputs in files.values()), *filter(None, [bridge])]
    stored = {path: stored_outputs("alpaca_eval2", path, bench.baselines) for path in all_outputs}
    lengths = calibration_from(length_calibration) if length_calibration else None

    def judged(path: Path) -> Artifact:
        with labels(f"{judge.model} {path.stem}"):
            return BENCHMARK.rows(bench, outputs=stored[path])

    bridged = judged(bridge) if bridge else None
    judgments = {model: judged(outputs) for model, (_, outputs) in files.items()}
    result = calibrate_judge(
        judge=judge.model,
        baselines=bench.baselines,
        published={model: str(verdicts.absolute()) for model, (verdicts, _) in files.items()},
        digests={model: file_digest(verdicts) for model, (verdicts, _) in files.items()},
        models=tuple(files),
        judgments=list(judgments.values()),
        bridged=bridged,
        bridged_model=bridged_model,
        length_calibration=lengths,
        resamples=RESAMPLES,
    )
    store = Store(run_dir / "store")
    run([*stored.values(), *filter(None, [lengths])], store)
    print_plan(plan([result], store))
    run_and_report_spending([result], store, limits)
    print(f"the comparison is in {store.folder(result) / RESULT}", file=sys.stderr)
    found: Mapping[str, Any] = store.bind(result).json(RESULT)
    asked = judgments | ({bridged_model: bridged} if bridged else {})
    return {**found, **_gaps(asked, store)}


def _gaps(judgments: Mapping[str, Artifact], store: Store) -> dict[str, Any]:
    """Describe what the comparison lacks: `unjudged` instructions by model, and replies of `other_models`; nothing
    where nothing does. Why verdicts failed is told."""
    unjudged, others = {}, Counter[str]()
    for model, artifact in judgments.items():
        print_failures(model, artifact, store)
        if failed := {row.prompt.id for row in failed_verdicts(artifact, store)}:
            unjudged[model] = len(failed)
        others.update(other_models(artifact, store).get("other_models", {}))
    gaps = {"unjudged": unjudged, "other_models": dict(others)}
    return {name: counts for name, counts in gaps.items() if counts}


def _bridged_model(bridge: Path, files: Mapping[str, tuple[Path, Path]]) -> str:
    """Return the name of the model to estimate. Raises UserError where its own published score would help to do so."""
    model = read_answer_file("alpaca_eval2", bridge).model
    others = (read_answer_file("alpaca_eval2", outputs).model for _, outputs in files.values())
    if model in files or model in others:
        raise UserError(
            f"{bridge}: outputs of {model}, which is among the models to calibrate on; leave it out of --models"
            " (by default they are all that have verdicts and outputs)"
        )
    return model


def _model(path: Path) -> str:
    """Return the model that a table's file is named after."""
    return next(path.name.removesuffix(ending) for ending in reversed(_TABLES) if path.name.endswith(ending))

"""From a checkpoint, or stored outputs, to evaluations: promises of rows and scores, which `evaluate` has made."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from evals.answer_files import read_answer_file
from evals.base import Benchmark, Setting
from evals.judged_pairs import JudgedPairs, PairSetting
from evals.mt_bench.benchmark import MtBench
from evals.mt_bench.files import holds_two_turns, read_answers
from evals.official_steps import stored_outputs
from evals.own_items import OwnItems
from harness.engine.artifacts import Artifact, labels
from harness.errors import UserError
from harness.experiments.revisions import revisions
from harness.models.references import located
from harness.recipes.benches import (
    BenchChoice,
    choose_baselines,
    choose_bench,
    choose_graded,
    choose_own_items,
    choose_unjudged,
    judged_pairs,
    or_passed,
    revision_prompt,
)
from harness.recipes.registries import load_benchmark
from harness.steps.data import model as model_artifact


@dataclass(frozen=True)
class Source:
    """The subject of an evaluation: a checkpoint, or outputs that are stored in a file.

    Perplexity takes both, and the edit distance of stored outputs counts the tokens of a checkpoint, if one is given.
    """

    model: str | None = None
    outputs: Path | None = None
    revisions: int | None = None
    """How often the checkpoint revises its answers, each revision scored; None for its answers alone."""

    @cached_property
    def name(self) -> str:
        """The name in official files: the model that stored outputs name themselves."""
        if self.outputs and holds_two_turns(self.outputs):
            return read_answers(self.outputs)[0].model
        if self.outputs:
            return read_answer_file("pairwise", self.outputs).model
        return str(self.model).rstrip("/").rpartition("/")[2]

    @property
    def places(self) -> list[Path]:
        """The files and folders that are named."""
        named = [self.outputs, Path(self.model) if self.model else None]
        return [path for path in named if path and path.exists()]

    def checkpoint(self) -> Artifact:
        """Return the model. Raises UserError where none is given, or it is no checkpoint."""
        if self.model is None:
            raise UserError("this evaluation needs a checkpoint: pass --model")
        return model_artifact(located(self.model))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation, as promises: the `outputs` that it is of, unless they are read with the rows; rows; result.

    `revision` counts how often the outputs were revised, where revisions are asked for.
    """

    name: str
    benchmark: Benchmark[Any]
    setting: Any
    rows: Artifact
    result: Artifact
    outputs: Artifact | None = None
    revision: int | None = None

    @property
    def title(self) -> str:
        """What messages call it."""
        return self.name if self.revision is None else f"{self.name}, revision {self.revision}"


def build_evaluations(name: str, source: Source, choice: BenchChoice) -> list[Evaluation]:
    """Return the evaluations of `source` on one bench: of its answers, and of each revision that is asked for.

    Raises UserError as `evaluate` does.
    """
    benchmark = load_benchmark(name)
    if source.outputs and source.model and benchmark.asks_judge:
        raise UserError(f"{name} judges a model's answers or those in a file: give --model or --outputs, not both")
    with labels(f"{source.name} {name}"):
        if isinstance(benchmark, JudgedPairs):
            return _judged(name, benchmark, source, choice)
        if isinstance(benchmark, MtBench):
            return [_graded(name, benchmark, source, choice)]
        if isinstance(benchmark, OwnItems):
            return [_own_items(name, benchmark, source, choice)]
        return _measured(name, benchmark, source, choice)


def _own_items(name: str, benchmark: OwnItems, source: Source, choice: BenchChoice) -> Evaluation:
    """Build scores, or a summary, of a checkpoint, or of stored outputs, on the items that the benchmark has."""
    if source.outputs and source.model:
        raise UserError(f"{name} is of a model's answers or of those in a file: give --model or --outputs, not both")
    setting = choose_own_items(name, benchmark, choice)
    if source.outputs:
        rows = benchmark.stored(setting, source.outputs)
    else:
        rows = benchmark.run(setting, source.checkpoint(), 0)
    result = benchmark.summarise(rows) or benchmark.score(setting, [rows], source.name)
    return Evaluation(name, benchmark, setting, rows, result)


def _judged(name: str, benchmark: JudgedPairs, source: Source, choice: BenchChoice) -> list[Evaluation]:
    setting = choose_bench(name, choice)
    stored = stored_outputs(name, source.outputs, setting.baselines) if source.outputs else None
    answers = {None: stored} if stored else _answers(benchmark, setting, source, choice)
    evaluations = []
    for revision, outputs in answers.items():
        rows = benchmark.rows(setting, outputs=outputs)
        with or_passed("--lc-calibration FILE"):
            result = benchmark.score(setting, [rows], _official_name(source, revision))
        evaluations.append(Evaluation(name, benchmark, setting, rows, result, outputs, revision))
    return evaluations


def _graded(name: str, benchmark: MtBench, source: Source, choice: BenchChoice) -> Evaluation:
    """Build grades of the checkpoint's answers, or of stored ones, to both turns of each question."""
    setting = choose_graded(choice)
    with or_passed("--data FOLDER"):
        if source.outputs:
            outputs = benchmark.stored(setting, source.outputs)
        else:
            outputs = benchmark.answers(setting, source.checkpoint(), 0)
    rows = benchmark.rows(setting, outputs=outputs)
    return Evaluation(name, benchmark, setting, rows, benchmark.score(setting, [rows], source.name), outputs)


def _answers(
    benchmark: JudgedPairs, setting: PairSetting, source: Source, choice: BenchChoice
) -> dict[int | None, Artifact]:
    """Return the checkpoint's answers, by how often they were revised, where that is asked for."""
    model = source.checkpoint()
    first = benchmark.answers(setting, model, 0)
    if source.revisions is None:
        return {None: first}
    template, sampling = revision_prompt(choice), benchmark.sampling(setting.sampling)
    return dict(
        enumerate(revisions(model, first, template=template, sampling=sampling, seed=0, count=source.revisions))
    )


def _official_name(source: Source, revision: int | None) -> str:
    """Return the name in official files, which tell revisions apart."""
    return f"{source.name}-rev{revision}" if revision else source.name


def _measured(name: str, benchmark: Benchmark[Setting], source: Source, choice: BenchChoice) -> list[Evaluation]:
    """Build scores, or a summary, of what the benchmark needs of the checkpoint, the outputs and the baseline's
    answers."""
    given = {}
    if "model" in benchmark.needs:
        given["model"] = source.checkpoint()
    if "baselines" in benchmark.needs:
        given["baselines"] = choose_baselines("pairwise", choice)
    if benchmark.counts_tokens and source.outputs and source.model:
        given["tokenizer"] = source.checkpoint()
    if "outputs" not in benchmark.needs:
        return [_measurement(name, benchmark, source, choice, given, None)]
    outputs = _outputs_to_measure(source, choice, alone="baselines" not in benchmark.needs)
    return [
        _measurement(name, benchmark, source, choice, {**given, "outputs": each}, revision)
        for revision, each in outputs.items()
    ]


def _measurement(
    name: str,
    benchmark: Benchmark[Setting],
    source: Source,
    choice: BenchChoice,
    given: Mapping[str, Artifact],
    revision: int | None,
) -> Evaluation:
    setting = choose_unjudged(name, choice)
    rows = benchmark.rows(setting, **given)
    if not isinstance(rows, Artifact):
        raise UserError(
            f"the evaluation {name} does not keep to its contract: its rows returned a {type(rows).__name__};"
            " return what calling a step gives"
        )
    result = benchmark.summarise(rows) or benchmark.score(setting, [rows], _official_name(source, revision))
    return Evaluation(name, benchmark, setting, rows, result, revision=revision)


def _outputs_to_measure(source: Source, choice: BenchChoice, *, alone: bool) -> dict[int | None, Artifact]:
    """Build stored outputs, joined to the baseline's prompts unless they are measured `alone`; else the model's
    answers."""
    if source.outputs and alone:
        stored = choose_baselines("pairwise", replace(choice, baseline=str(source.outputs)))
        return {None: stored.with_label(source.outputs.name)}
    if source.outputs:
        return {None: stored_outputs("pairwise", source.outputs, choose_baselines("pairwise", choice))}
    return _answers(judged_pairs("pairwise"), choose_bench("pairwise", choice), source, choice)

"""An experiment is a table of a paper: the cells it needs on a scale, and the tests of the paper's claims about it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evals.bench import Bench, Evaluation
from harness.benches import bench_on
from harness.core.artifacts import Artifact, labels
from harness.core.config import CONFIGS
from harness.core.errors import unknown
from harness.core.papers import PaperTable, load_paper_table
from harness.mini.identity import world_digest
from harness.registries import EVALS, METHODS
from harness.scales import Scale
from harness.steps.gold import gold_quality
from methods.ingredients import Method

Checkpoints = dict[tuple[str, str, int], Artifact]
"""What each (model, method, seed) ends with."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One method on one base model and one bench, over all seeds: all metrics of that bench."""

    model: str
    method: str
    bench: str
    judgments: tuple[Artifact, ...]
    score: Artifact
    gold: tuple[Artifact, ...]
    """The outputs' gold quality, one artifact a seed; empty where the truth is not known."""


@dataclass(frozen=True, slots=True)
class Test:
    """The paired test between two cells of the same model and bench."""

    model: str
    better: str
    worse: str
    bench: str
    result: Artifact


@dataclass(frozen=True, slots=True)
class Experiment:
    """A table on a scale, as promises."""

    table: PaperTable
    scale: Scale
    seeds: tuple[int, ...]
    models: tuple[str, ...]
    methods: tuple[str, ...]
    checkpoints: Checkpoints
    cells: tuple[Cell, ...]
    tests: tuple[Test, ...]
    fingerprints: dict[str, str]
    """What identifies the judge of each bench."""

    def targets(self) -> list[Artifact]:
        """Everything the report reads or points to."""
        judged = [artifact for cell in self.cells for artifact in (*cell.judgments, *cell.gold)]
        answers = [parent for artifact in judged for parent in artifact.parents() if parent.step == "respond"]
        scores = [*(cell.score for cell in self.cells), *(test.result for test in self.tests)]
        return [*self.checkpoints.values(), *answers, *judged, *scores]


def experiment_names() -> dict[str, str]:
    """Each experiment's name with the paper it belongs to."""
    return {path.stem: path.parent.name for path in sorted(CONFIGS.glob("papers/*/*.yaml"))}


def build_experiment(
    name: str,
    scale: Scale,
    *,
    seeds: Sequence[int],
    models: Sequence[str] = (),
    methods: Sequence[str] = (),
) -> Experiment:
    """The experiment `name` on `scale`; `models` and `methods` select, by default all of the table's.

    A method that the table does not have becomes an added row.

    Raises UserError for unknown names, each with the nearest known one.
    """
    names = experiment_names()
    if name not in names:
        raise unknown("experiment", name, names)
    published = load_paper_table(names[name], name)
    default_models = scale.fast.models if scale.is_reduced else ()
    chosen_models = _select("model", models or default_models, [m for m in published.models if m in scale.models])
    chosen_methods = _select("method", methods, [row.method for row in published.rows], METHODS.names())
    table = published.with_rows({method: METHODS.load(method).card.summary for method in chosen_methods})
    benches = {bench: (EVALS.load(bench), bench_on(scale, bench)) for bench in _benches(table)}
    checkpoints = _checkpoints(scale, chosen_models, chosen_methods, seeds)
    cells = tuple(
        cell
        for model_name in chosen_models
        for method in chosen_methods
        for cell in _cells(scale, benches, checkpoints, model_name, method)
    )
    return Experiment(
        table=table,
        scale=scale,
        seeds=tuple(seeds),
        models=chosen_models,
        methods=chosen_methods,
        checkpoints=checkpoints,
        cells=cells,
        tests=tuple(_tests(table, benches, cells)),
        fingerprints={bench: evaluation.fingerprint(setting) for bench, (evaluation, setting) in benches.items()},
    )


def _select(kind: str, wanted: Sequence[str], own: Sequence[str], others: Sequence[str] = ()) -> tuple[str, ...]:
    """The wanted names in the table's order, then those of `others`; all of the table's `own` when none is wanted.

    Raises UserError for a name that is in neither.
    """
    known = tuple(dict.fromkeys((*own, *others)))
    for name in wanted:
        if name not in known:
            raise unknown(kind, name, known)
    return tuple(name for name in known if name in (wanted or own))


def _benches(table: PaperTable) -> list[str]:
    return list(dict.fromkeys(column.bench for column in table.columns))


def _checkpoints(scale: Scale, models: Sequence[str], methods: Sequence[str], seeds: Sequence[int]) -> Checkpoints:
    checkpoints = {}
    for model_name in models:
        for method_name in methods:
            method: Method = METHODS.load(method_name)
            for seed in seeds:
                with labels(f"{model_name} {method_name} seed {seed}"):
                    made = method.build(scale.ingredients(model_name, seed))
                checkpoints[model_name, method_name, seed] = made
    return checkpoints


def _cells(
    scale: Scale,
    benches: dict[str, tuple[Evaluation, Bench]],
    checkpoints: Checkpoints,
    model_name: str,
    method_name: str,
) -> Iterable[Cell]:
    place = (model_name, method_name)
    by_seed = {seed: made for (*made_for, seed), made in checkpoints.items() if tuple(made_for) == place}
    for bench, (evaluation, setting) in benches.items():
        judgments, gold = [], []
        for seed, checkpoint in by_seed.items():
            with labels(f"{model_name} {method_name} seed {seed} {bench}"):
                judgments.append(evaluation.judgments(setting, evaluation.answers(setting, checkpoint, seed)))
                if scale.truth_is_known:
                    gold.append(gold_quality(judgments=judgments[-1], world=world_digest()))
        with labels(f"{model_name} {method_name} {bench}"):
            score = evaluation.score(setting, judgments, f"{model_name}-{method_name}")
        yield Cell(model_name, method_name, bench, tuple(judgments), score, tuple(gold))


def _tests(table: PaperTable, benches: dict[str, tuple[Evaluation, Bench]], cells: Sequence[Cell]) -> Iterable[Test]:
    """One test for each pair that a claim compares, whichever of the bench's metrics it is about."""
    by_place = {(cell.model, cell.method, cell.bench): cell for cell in cells}
    wanted = {
        (model_name, comparison.better, comparison.worse, comparison.bench): None
        for claim in table.claims
        for comparison in claim.comparisons
        for model_name in comparison.models
    }
    for model_name, better, worse, bench in wanted:
        pair = [by_place.get((model_name, method, bench)) for method in (better, worse)]
        if pair[0] and pair[1]:
            evaluation, setting = benches[bench]
            with labels(f"{model_name} {better} against {worse} {bench}"):
                result = evaluation.compare(setting, pair[0].judgments, pair[1].judgments)
            yield Test(model_name, better, worse, bench, result)

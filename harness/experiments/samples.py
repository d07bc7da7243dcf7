"""Examples of responses side by side, rows drawn by seed (in the manner of Tables 8 to 12)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.engine.artifacts import Artifact, labels
from harness.engine.store import Store
from harness.experiments.interface import Checkpoints, Experiment, Request
from harness.experiments.response_sets import DRAW_SEED, responses_of
from harness.papers.samples import SampleGroup, SampleTable
from harness.recipes.benches import judged_pairs, pairs_on
from harness.recipes.recipe import Recipe
from harness.records import Response
from harness.results.exhibits import Sample, SampleSet, SamplesResult
from harness.steps.draw import drawn


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one group: label -> `Response` rows; `number` is its place among the exhibit's groups."""

    number: int
    group: SampleGroup
    responses: Mapping[str, Artifact]


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplesExperiment(Experiment):
    """Examples of responses on a scale, as promises."""

    exhibit: SampleTable
    groups: tuple[Columns, ...]

    def targets(self) -> list[Artifact]:
        """List checkpoints and their answers, sets of responses."""
        responses = [artifact for columns in self.groups for artifact in columns.responses.values()]
        return [*self.checkpoints.values(), *responses]

    def result(self, store: Store) -> SamplesResult:
        """Read the samples."""
        groups = tuple(SampleSet(each.number, _samples(each, store)) for each in self.groups)
        return SamplesResult(exhibit=self.exhibit, models=self.models, groups=groups)


def samples(exhibit: SampleTable, request: Request) -> SamplesExperiment:
    """Return the samples of the first training seed on the request's scale, of the groups whose base model is
    selected."""
    models, seed = request.models_of(exhibit), request.seeds[0]
    groups = [(number, each) for number, each in enumerate(exhibit.groups) if each.model in models]
    columns = dict.fromkeys((group.model, method) for _, group in groups for method in group.methods.values())
    checkpoints = {(*column, seed): request.checkpoint(*column, seed) for column in columns}
    return SamplesExperiment(
        exhibit=exhibit,
        models=models,
        checkpoints=checkpoints,
        groups=tuple(
            Columns(number, group, _responses(exhibit, group, request.recipe, seed, checkpoints))
            for number, group in groups
        ),
    )


def _responses(
    exhibit: SampleTable, group: SampleGroup, recipe: Recipe, seed: int, checkpoints: Checkpoints
) -> dict[str, Artifact]:
    """Return the sets of responses to training prompts, or the answers that the score tables judge."""
    with labels(f"{group.model} seed {seed}"):
        if group.responses:
            sets = responses_of(recipe, group.model, seed, exhibit.method)
            return {label: sets.all(group.data, name) for label, name in group.responses.items()}
        benchmark, bench = judged_pairs(group.bench), pairs_on(recipe, group.bench)
        return {
            label: benchmark.answers(bench, checkpoints[group.model, method, seed], seed)
            for label, method in group.methods.items()
        }


def _samples(columns: Columns, store: Store) -> tuple[Sample, ...]:
    """Draw prompts from those that every column answers."""
    by_prompt = {
        label: {row.prompt.id: row for row in store.bind(artifact).rows(Response)}
        for label, artifact in columns.responses.items()
    }
    answered: Sequence[Mapping[str, Response]] = list(by_prompt.values())
    shared = [id for id in answered[0] if all(id in rows for rows in answered)]
    return tuple(
        Sample(id, answered[0][id].prompt.text, {label: rows[id].text for label, rows in by_prompt.items()})
        for id in drawn(shared, columns.group.rows, DRAW_SEED)
    )

"""Histograms of edit distances and perplexities of the paper's sets of responses, with the tests of their claims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evals.measures import measured_less
from harness.engine.artifacts import Artifact, labels
from harness.engine.store import Store
from harness.errors import UserError
from harness.experiments.interface import Experiment, Request, Tests, stated, test_place
from harness.experiments.response_sets import MethodResponses, responses_of
from harness.papers.histograms import HistogramFigure, ValueSet
from harness.records import Response
from harness.results.exhibits import FilterCount, HistogramsResult, SetValues
from harness.steps.edit_distance import EditDistance, edit_distance
from harness.steps.perplexity import Perplexity, perplexity
from harness.steps.perplexity import measured as with_likelihood

UNITS = {"edit_distance": "tokens", "perplexity": ""}
"""What values are counted in: tokens of the base model, as training does; a perplexity has no unit."""


@dataclass(frozen=True, slots=True)
class MeasuredSet:
    """One set of values on one base model, over all seeds."""

    model: str
    panel: int
    set: ValueSet
    measurements: tuple[Artifact, ...]
    """`EditDistance` or `Perplexity` rows, one artifact a training seed."""
    filtered: Artifact | None
    """What the filter keeps, of the first training seed; None for a whole set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramsExperiment(Experiment):
    """A figure of histograms on a scale, as promises."""

    exhibit: HistogramFigure
    sets: tuple[MeasuredSet, ...]
    filters: Mapping[str, tuple[Artifact, ...]]
    """By model, what the filter keeps of each set that the improver learns from; empty where none is shown filtered."""

    def targets(self) -> list[Artifact]:
        """List measurements, filters, tests."""
        measurements = [artifact for each in self.sets for artifact in each.measurements]
        filters = [artifact for each in self.filters.values() for artifact in each]
        return [*measurements, *filters, *self.tests.values()]

    def result(self, store: Store) -> HistogramsResult:
        """Read the values of the first training seed, and how many improver examples its filter kept."""
        return HistogramsResult(
            exhibit=self.exhibit,
            models=self.models,
            unit=UNITS[self.exhibit.quantity],
            values=tuple(self._values(each, store) for each in self.sets),
            kept=tuple(_filter_count(model, filters, store) for model, filters in self.filters.items()),
        )

    def _values(self, measured: MeasuredSet, store: Store) -> SetValues:
        values = _read(store.bind(measured.measurements[0]), self.exhibit.quantity)
        if measured.filtered:
            inside = {row.prompt.id for row in store.bind(measured.filtered).rows(Response)}
            values = {id: value for id, value in values.items() if id in inside}
        return SetValues(measured.model, measured.panel, measured.set.id, tuple(values.values()))


def histograms(exhibit: HistogramFigure, request: Request) -> HistogramsExperiment:
    """Return the figure on the request's scale. Raises UserError for a set of values or a test that there is not."""
    models = request.models_of(exhibit)
    of_seeds = {model: [responses_of(request.recipe, model, seed) for seed in request.seeds] for model in models}
    sets = tuple(
        _measured(exhibit, model, number, each, of_seeds[model])
        for model in models
        for number, panel in enumerate(exhibit.panels)
        for each in panel.sets
    )
    has_filtered = any(each.set.filtered for each in sets)
    return HistogramsExperiment(
        exhibit=exhibit,
        models=models,
        sets=sets,
        filters={model: of_seeds[model][0].all_filtered(exhibit.data) for model in models} if has_filtered else {},
        tests=_tests(exhibit, sets),
    )


def _measured(
    exhibit: HistogramFigure, model: str, panel: int, value_set: ValueSet, of_seeds: Sequence[MethodResponses]
) -> MeasuredSet:
    measurements = []
    for sets in of_seeds:
        with labels(f"{model} seed {sets.inputs.seed}"):
            measurements.append(_measurement(exhibit, sets, value_set.responses))
    filtered = of_seeds[0].filtered(exhibit.data, value_set.responses) if value_set.filtered else None
    return MeasuredSet(model, panel, value_set, tuple(measurements), filtered)


def _measurement(exhibit: HistogramFigure, sets: MethodResponses, name: str) -> Artifact:
    """Return the figure's quantity of the responses to the drawn prompts."""
    responses = sets.drawn(exhibit.data, name, exhibit.prompts)
    if exhibit.quantity == "edit_distance":
        origin = sets.drawn(exhibit.data, exhibit.distance_from or "", exhibit.prompts)
        return edit_distance(outputs=responses, baselines=origin, tokenizer=sets.inputs.base).append_label(name)
    return perplexity(model=sets.inputs.checkpoint(exhibit.under or ""), responses=responses).append_label(name)


def _tests(exhibit: HistogramFigure, sets: Sequence[MeasuredSet]) -> Tests:
    by_place = {(each.model, each.set.id): each for each in sets}
    tests = {}
    for model, comparison in stated(exhibit, {each.model for each in sets}):
        better, worse = by_place[model, comparison.better], by_place[model, comparison.worse]
        if filtered := next((each.set.id for each in (better, worse) if each.filtered), None):
            raise UserError(f"{exhibit.name}: a claim compares whole sets, not the filtered {filtered!r}")
        with labels(f"{model} {comparison.better} against {comparison.worse}"):
            test = measured_less(metric=comparison.metric, better=better.measurements, worse=worse.measurements)
        tests[test_place(model, comparison)] = test
    return tests


def _filter_count(model: str, filters: Sequence[Artifact], store: Store) -> FilterCount:
    """Count the examples that the filter kept, of all sets together."""
    counts = [store.record(each)["counts"] for each in filters]
    passed = sum(each["rows"] for each in counts)
    return FilterCount(model, passed, passed + sum(each["outliers"] for each in counts))


def _read(measured: Artifact, quantity: str) -> dict[str, float]:
    """Return the value of each prompt's response: the distance in tokens, or the perplexity."""
    if quantity == "edit_distance":
        return {row.prompt_id: row.tokens for row in measured.rows(EditDistance)}
    return {id: row.value for id, row in with_likelihood(measured.rows(Perplexity)).items()}

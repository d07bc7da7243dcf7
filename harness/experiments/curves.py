"""Win rates over the number of revisions or over a setting of the method, with the tests of their claims."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from statistics import fmean
from typing import Any

from evals.judged_pairs import PairSetting
from evals.pairwise.bands import BAND, band_pairwise
from evals.pairwise.benchmark import Pairwise
from harness.engine.artifacts import Artifact, labels
from harness.engine.store import Store, place
from harness.errors import UserError
from harness.experiments.interface import (
    Checkpoints,
    Experiment,
    Request,
    TestPlace,
    Tests,
    metric_fields,
    stated,
    test_place,
)
from harness.experiments.revisions import revisions
from harness.mini.identity import world_digest
from harness.papers.claims import EVEN, Comparison
from harness.papers.curves import METRIC, CurveFigure, CurveLine, CurvePrompts, PrintedMargin, point_id
from harness.recipes.benches import baselines_on, pairs_on
from harness.recipes.recipe import Recipe, RecipeInputs
from harness.recipes.registries import load_benchmark
from harness.results.exhibits import BootstrapBand, CurveMargin, CurvePoint, CurvesResult
from harness.steps.data import model
from harness.steps.gold import gold_quality
from harness.steps.respond import respond
from harness.steps.revise import WITHOUT_ROOM

BASELINE_SEED = 0
"""Of answers that a model role gives for win rates to be against: the same for all training seeds."""

AnswersOf = Mapping[tuple[str, str, str, int], list[Artifact]]
"""By base model, panel, method with its changed settings, and training seed: answers by their number of revisions."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel on a base model: what judges which prompts, and the prompt of a revision."""

    prompts: CurvePrompts
    benchmark: Pairwise
    setting: PairSetting
    template: str

    def answers(self, checkpoint: Artifact, seed: int, count: int) -> list[Artifact]:
        """Return a checkpoint's answers, and `count` revisions of them."""
        first = self.benchmark.answers(self.setting, checkpoint, seed)
        sampling = self.benchmark.sampling(self.setting.sampling)
        return revisions(checkpoint, first, template=self.template, sampling=sampling, seed=seed, count=count)

    def against(self, answers: Artifact, name: str) -> "Panel":
        """Return the panel with other answers for win rates to be against."""
        return replace(self, setting=replace(self.setting, baselines=answers, baseline_name=name))


Panels = Mapping[tuple[str, str], Panel]
"""By base model, and the panel's id."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a line on one base model, over all training seeds: one artifact of answers and verdicts a seed.

    `row` is the method with its changed settings. `gold` is empty where the truth is not known.
    """

    model: str
    panel: str
    line: CurveLine
    x: float
    row: str
    answers: tuple[Artifact, ...]
    judgments: tuple[Artifact, ...]
    score: Artifact
    band: Artifact | None
    gold: tuple[Artifact, ...]

    @property
    def name(self) -> str:
        """The name among the scores of its exhibit."""
        return f"{self.model}-{self.panel}-{self.line.id}-{self.x:g}"

    def is_of_the_checkpoints_of(self, other: "Point") -> bool:
        """Tell whether both are answers of the same checkpoints, against answers of the same ones."""
        return (self.row, self.line.against) == (other.row, other.line.against)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvesExperiment(Experiment):
    """Curves on a scale, as promises."""

    exhibit: CurveFigure
    points: tuple[Point, ...]

    def targets(self) -> list[Artifact]:
        """List checkpoints, answers, verdicts, scores, tests."""
        of_points = [
            artifact
            for point in self.points
            for artifact in (*point.answers, *point.judgments, *point.gold, point.score, *filter(None, [point.band]))
        ]
        return [*self.checkpoints.values(), *of_points, *self.tests.values()]

    def scores(self) -> Mapping[str, Artifact]:
        """Return the score of each point: `<exhibit>-<model>-<panel>-<line>-<x>`."""
        return {f"{self.exhibit.name}-{point.name}": point.score for point in self.points}

    def result(self, store: Store) -> CurvesResult:
        """Read the win rates, and the differences that the paper prints."""
        margins = [
            _margin(store, model_name, number, self.test(model_name, margin_test(margin)))
            for model_name in self.models
            for number, margin in enumerate(self.exhibit.margins)
        ]
        return CurvesResult(
            exhibit=self.exhibit,
            models=self.models,
            points=tuple(self._point(point, store) for point in self.points),
            margins=tuple(margins),
        )

    def _point(self, point: Point, store: Store) -> CurvePoint:
        scores = store.bind(point.score).json("scores.json")
        band = store.bind(point.band).json(BAND) if point.band else None
        counts = [store.record(each)["counts"] for each in point.answers]
        return CurvePoint(
            model=point.model,
            panel=point.panel,
            line=point.line.id,
            x=point.x,
            **metric_fields(scores, METRIC),
            **_gold(point, store),
            n=scores["n_asked"] // scores["n_training_seeds"],
            band=BootstrapBand(**band) if band else None,
            answers=sum(each["rows"] for each in counts),
            unrevised=sum(each.get(WITHOUT_ROOM, 0) for each in counts),
            judge=self.fingerprints[self.exhibit.panel(point.panel).bench],
            artifact=place(point.score),
            judgments=tuple(place(judged) for judged in point.judgments),
        )


def margin_test(margin: PrintedMargin) -> Comparison:
    """Return the ordering whose difference a printed margin is."""
    return Comparison(margin.better, margin.worse, margin.panel, METRIC)


def _margin(store: Store, model_name: str, number: int, test: Artifact | None) -> CurveMargin:
    assert test is not None, "a margin is between two points of its exhibit, which are always run"
    result = store.bind(test).json("comparison.json")[METRIC]
    if "withheld" in result:
        return CurveMargin(model=model_name, margin=number, difference=None, note=f"withheld: {result['withheld']}")
    low, high = result["ci95"]
    return CurveMargin(model=model_name, margin=number, difference=result["difference"], ci95=(low, high))


def _gold(point: Point, store: Store) -> dict[str, Any]:
    """Return the fields of a `CurvePoint` that take the truth."""
    counts = [store.record(each)["counts"] for each in point.gold]
    if not counts:
        return {}
    return {
        "gold_quality": fmean(each["mean_quality"] for each in counts),
        "mean_words": fmean(each["mean_words"] for each in counts),
    }


def curves(exhibit: CurveFigure, request: Request) -> CurvesExperiment:
    """Return the exhibit on the request's scale. Raises UserError for what the scale does not have."""
    models, recipe = request.models_of(exhibit), request.recipe
    panels = {
        (model_name, each.id): _panel(recipe, exhibit, each, model_name)
        for model_name, each in product(models, exhibit.panels)
    }
    needed = _needed_revisions(exhibit)
    checkpoints = {place: request.checkpoint(*place) for place in product(models, needed, request.seeds)}
    answers = dict(_answers(panels, checkpoints, needed))
    points = tuple(
        _point(exhibit, request, panel, model_name, line, x, answers)
        for (model_name, _), panel in panels.items()
        for line, x in exhibit.places()
    )
    return CurvesExperiment(
        exhibit=exhibit,
        models=models,
        checkpoints=checkpoints,
        points=points,
        tests=_tests(exhibit, panels, points),
        fingerprints={each.prompts.bench: each.benchmark.fingerprint(each.setting) for each in panels.values()},
    )


def _panel(recipe: Recipe, exhibit: CurveFigure, prompts: CurvePrompts, model_name: str) -> Panel:
    benchmark = load_benchmark(prompts.bench)
    if not isinstance(benchmark, Pairwise):
        raise UserError(f"{exhibit.name}: panel {prompts.id!r} needs a bench of pairs in both orders, such as pairwise")
    inputs = recipe.inputs(model_name, BASELINE_SEED)
    rows, name, setting = _prompts(inputs, prompts.data), prompts.data, pairs_on(recipe, prompts.bench)
    if prompts.baseline and prompts.baseline in recipe.models:
        role, name = model(recipe.models[prompts.baseline]), recipe.models[prompts.baseline]
        rows = respond(model=role, prompts=rows, sampling=setting.sampling, seed=BASELINE_SEED).with_label(name)
    return Panel(prompts, benchmark, replace(setting, baselines=rows, baseline_name=name), inputs.prompt("revision"))


def _prompts(inputs: RecipeInputs, name: str) -> Artifact:
    """Return the answered prompts that a panel names: a data role, or a bench whose instructions they are."""
    recipe = inputs.recipe
    return baselines_on(recipe, name) if name in recipe.benches and name not in recipe.data else inputs.data(name)


def _needed_revisions(exhibit: CurveFigure) -> dict[str, int]:
    """Return how many revisions are needed of each method's answers, by its name with its changed settings."""
    needed: dict[str, int] = {}
    for line, x in exhibit.places():
        for row in filter(None, (exhibit.row(line, x), line.against)):
            needed[row] = max(needed.get(row, 0), exhibit.revisions(line, x))
    return needed


def _answers(
    panels: Panels, checkpoints: Checkpoints, needed: Mapping[str, int]
) -> Iterator[tuple[tuple[str, str, str, int], list[Artifact]]]:
    """Yield what `AnswersOf` holds."""
    for (model_name, id), panel in panels.items():
        of_model = {place[1:]: checkpoint for place, checkpoint in checkpoints.items() if place[0] == model_name}
        for (row, seed), checkpoint in of_model.items():
            with labels(f"{model_name} {row} seed {seed} {id}"):
                yield (model_name, id, row, seed), panel.answers(checkpoint, seed, needed[row])


def _point(
    exhibit: CurveFigure,
    request: Request,
    panel: Panel,
    model_name: str,
    line: CurveLine,
    x: float,
    answers: AnswersOf,
) -> Point:
    """Return a point: its answers judged, scored, and, where the truth is known, measured."""
    row, number, id = exhibit.row(line, x), exhibit.revisions(line, x), panel.prompts.id
    outputs = tuple(answers[model_name, id, row, seed][number] for seed in request.seeds)
    judgments: list[Artifact] = []
    for seed, output in zip(request.seeds, outputs, strict=True):
        of_seed = panel
        if line.against:
            of_seed = panel.against(answers[model_name, id, line.against, seed][number], line.against)
        with labels(f"{model_name} {point_id(line.id, x)} seed {seed} {id}"):
            judgments.append(panel.benchmark.rows(of_seed.setting, outputs=output))
    with labels(f"{model_name} {point_id(line.id, x)} {id}"):
        return Point(
            model_name,
            id,
            line,
            x,
            row,
            outputs,
            tuple(judgments),
            score=panel.benchmark.score(panel.setting, judgments, f"{model_name}-{point_id(line.id, x)}"),
            band=_band(exhibit, judgments),
            gold=_golds(request.recipe, judgments),
        )


def _band(exhibit: CurveFigure, judgments: list[Artifact]) -> Artifact | None:
    drawn = exhibit.bootstrap
    if drawn is None:
        return None
    return band_pairwise(judgments=judgments, resamples=drawn.resamples, size=drawn.size, prompts=drawn.prompts)


def _golds(recipe: Recipe, judgments: list[Artifact]) -> tuple[Artifact, ...]:
    if not recipe.truth_is_known:
        return ()
    return tuple(gold_quality(judgments=each, world=world_digest()) for each in judgments)


def _tests(exhibit: CurveFigure, panels: Panels, points: Iterable[Point]) -> Tests:
    """Test each ordering that a claim states, and each difference that the paper prints."""
    by_place = {(each.model, each.panel, point_id(each.line.id, each.x)): each for each in points}
    models = dict.fromkeys(each.model for each in by_place.values())
    printed = ((model_name, margin_test(margin)) for model_name in models for margin in exhibit.margins)
    tests: dict[TestPlace, Artifact] = {}
    for model_name, comparison in (*stated(exhibit, models), *printed):
        name = test_place(model_name, comparison)
        if name not in tests:
            sides = [by_place[model_name, comparison.bench, id] for id in name[1:3] if id != EVEN]
            with labels(f"{model_name} {comparison.better} against {comparison.worse} {comparison.bench}"):
                tests[name] = _test(panels[model_name, comparison.bench], sides)
    return tests


def _test(panel: Panel, sides: list[Point]) -> Artifact:
    """Test a point against an even win rate, or two points: within each training seed where they are of the same
    checkpoints."""
    benchmark, setting = panel.benchmark, panel.setting
    if len(sides) == 1:
        return benchmark.compare_with_even(setting, sides[0].judgments)
    better, worse = sides
    compare: Any = benchmark.compare_within_seeds if better.is_of_the_checkpoints_of(worse) else benchmark.compare
    tested: Artifact = compare(setting, better.judgments, worse.judgments)
    return tested

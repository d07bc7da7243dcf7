"""The sweep that learning rates of preference stages are chosen from (docs/rates.md), as promises.

It looks at what the trained policies do on held-out training prompts. `sensitivity`, which the choice never reads,
scores them at multiples of the chosen rates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.config.learning_rates import Sensitivity, Trial, allowed_tokens, grid, held_out, rate_text
from harness.engine.artifacts import Artifact, ancestry, labels
from harness.engine.store import Store
from harness.errors import UserError
from harness.papers.curves import CurveFigure
from harness.papers.loading import load_exhibits
from harness.papers.scores import ScoreTable
from harness.recipes.benches import bench_on
from harness.recipes.changes import split_row
from harness.recipes.recipe import Recipe, RecipeInputs
from harness.recipes.registries import load_benchmark
from harness.steps.data import chosen_responses
from harness.steps.held_out import FIGURES, held_out_figures, pairs_between
from harness.steps.respond import respond
from harness.steps.train import reference_log_probabilities
from methods.base import PreferenceMethod

STAGE = "train_preferences"
"""The step of a preference stage."""
MULTIPLES = (0.5, 1.0, 2.0)
"""Of the chosen rate: where `sensitivity` looks."""
SCORES = {"alpaca_eval2": ("length_controlled_winrate", "win_rate"), "arena_hard": ("score",)}
"""The benches that it looks at, and the metrics of each."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One method on one base model at one rate, as a promise of its ``figures.json``."""

    model: str
    method: str
    rate: float
    figures: Artifact

    def trial(self, store: Store) -> Trial:
        """Return the measurements, rounded as the table has it, so that the choice can be repeated from the table."""
        found = store.bind(self.figures).json(FIGURES)
        shortest, longest = allowed_tokens(found["chosen_tokens"], found["rejected_tokens"])
        return Trial(
            rate=self.rate,
            cut_off=round(found["cut_off"], 4),
            tokens=round(found["tokens"], 3),
            allowed=(round(shortest, 3), round(longest, 3)),
            log_probability=round(found["log_probability"], 4),
        )


@dataclass(frozen=True, slots=True)
class ScoredRate:
    """One method on one base model at a multiple of its rate, as promises of its scores by bench."""

    model: str
    method: str
    times: float
    rate: float
    scores: Mapping[str, Artifact]

    def sensitivity(self, store: Store) -> Sensitivity:
        """Return the scores in per cent; None for one that was withheld."""
        found = {
            f"{bench}/{metric}": store.bind(artifact).json("scores.json")["mean"][metric]
            for bench, artifact in self.scores.items()
            for metric in SCORES[bench]
        }
        rounded = {name: None if value is None else round(value, 2) for name, value in found.items()}
        return Sensitivity(self.times, self.rate, rounded)


def swept(recipe: Recipe, models: Sequence[str] = (), methods: Sequence[str] = ()) -> dict[str, tuple[str, ...]]:
    """Return the methods whose rate is chosen by base model: rows of published tables, and lines of curves, that have a
    preference stage of their own, and, of these, `models` and `methods` where any are named.

    Raises UserError for one that is not among them.
    """
    found: dict[str, tuple[str, ...]] = {}
    for exhibit in load_exhibits(recipe.paper):
        for model in exhibit.models if isinstance(exhibit, ScoreTable | CurveFigure) else ():
            if isinstance(exhibit, ScoreTable | CurveFigure) and model in recipe.base_models:
                own = [method for method in _methods_of(exhibit) if _stage(recipe, model, method)]
                found[model] = tuple(dict.fromkeys((*found.get(model, ()), *own)))
    for kind, asked, known in (
        ("base model", models, set(found)),
        ("method", methods, {method for of in found.values() for method in of}),
    ):
        if stray := next((name for name in asked if name not in known), None):
            raise UserError(
                f"no rate is chosen for the {kind} {stray!r} on the scale {recipe.name}, but for"
                f" {', '.join(sorted(known))}"
            )
    chosen = {
        model: tuple(method for method in of if not methods or method in methods)
        for model, of in found.items()
        if not models or model in models
    }
    return {model: of for model, of in chosen.items() if of}


def _methods_of(exhibit: ScoreTable | CurveFigure) -> list[str]:
    """Return the methods of an exhibit. A line's settings change nothing of a rate, which is its method's."""
    lines = exhibit.rows if isinstance(exhibit, ScoreTable) else exhibit.lines
    return [split_row(each.method)[0] for each in lines]


def _stage(recipe: Recipe, model: str, method: str) -> Artifact | None:
    """Return the method's preference stage; None where it has none, or starts from another one, whose rate it
    shares."""
    if not isinstance(recipe.method(model, method), PreferenceMethod):
        return None
    last = recipe.inputs(model, 0).checkpoint(method)
    stages = [each for each in ancestry([last]) if each.step == STAGE]
    return last if stages == [last] else None


def _grid(recipe: Recipe, model: str, method: str) -> tuple[float, ...]:
    """Return the rates to try, from that of supervised fine-tuning, also where a method starts from the base model."""
    inputs = recipe.inputs(model, 0)
    trainings = [each for each in ancestry([inputs.checkpoint(method)]) if each.step == "train_sft"]
    first = trainings[0] if trainings else inputs.checkpoint("sft")
    return grid(first.arguments["settings"].learning_rate)


def sweep(recipe: Recipe, methods: Mapping[str, Sequence[str]], seed: int) -> list[Tried]:
    """Return all rates of the grid for each method of each base model."""
    return [
        _tried(recipe, model, method, rate, seed)
        for model, of in methods.items()
        for method in of
        for rate in _grid(recipe, model, method)
    ]


def _tried(recipe: Recipe, model: str, method: str, rate: float, seed: int) -> Tried:
    inputs = recipe.inputs(model, seed)
    with labels(f"{model} {method} held out"):
        role, prompts = _rows(inputs, method, held=True)
        stage = replace(inputs, replaced={role: prompts}).checkpoint(method)
        pairs, training = stage.inputs["pairs"], stage.arguments["settings"]
        assert isinstance(pairs, Artifact)
    policy = trained_at(recipe, model, method, rate, seed)
    with labels(f"{model} {method} rate {rate_text(rate)}"):
        figures = held_out_figures(
            model=policy,
            answers=respond(
                model=policy,
                prompts=chosen_responses(preference_data=prompts),
                sampling=inputs.sampling,
                seed=seed,
            ),
            pairs=pairs,
            log_probabilities=reference_log_probabilities(
                model=policy, pairs=pairs, max_length=training.max_length, precision=training.precision
            ),
        )
    return Tried(model, method, rate, figures)


def trained_at(recipe: Recipe, model: str, method: str, rate: float, seed: int) -> Artifact:
    """Return the checkpoint of a method whose preference stage is trained at `rate`, on all rows but the held-out
    ones."""
    inputs, own = recipe.inputs(model, seed), recipe.method(model, method)
    assert isinstance(own, PreferenceMethod)  # no other ends with a preference stage of its own
    with labels(f"{model} {method} rate {rate_text(rate)}"):
        role, rows = _rows(inputs, method, held=False)
        at_rate = replace(own, training=replace(own.training, learning_rate=rate))
        return at_rate.build(replace(inputs, replaced={role: rows}))


def _rows(inputs: RecipeInputs, method: str, *, held: bool) -> tuple[str, Artifact]:
    """Return the role of the method's pairs, and those that are held out or before these.

    Raises UserError for too few.
    """
    needed = {name: inputs.data_role(name) for name in inputs.recipe.method(inputs.base_model, method).needs.data}
    role, size = next((name, filling.size) for name, filling in needed.items() if filling.kind == "pairs")
    middle = size - held_out(size)
    if middle == size:
        raise UserError(f"{size} rows of preference data leave none to hold out; give 4 at least")
    start, stop = (middle, size) if held else (0, middle)
    rows = pairs_between(preference_data=inputs.data(role), start=start, stop=stop)
    return role, rows.with_label("held-out pairs" if held else "pairs before the held-out ones")


def sensitivity(recipe: Recipe, chosen: Mapping[str, Mapping[str, float]], seed: int) -> list[ScoredRate]:
    """Return the scores at multiples of the chosen rates (base model -> method -> rate)."""
    return [
        _scored(recipe, model, method, times, rate, seed)
        for model, of in chosen.items()
        for method, rate in of.items()
        for times in MULTIPLES
    ]


def _scored(recipe: Recipe, model: str, method: str, times: float, rate: float, seed: int) -> ScoredRate:
    policy, scores = trained_at(recipe, model, method, times * rate, seed), {}
    for name in (bench for bench in SCORES if bench in recipe.benches):
        benchmark, bench = load_benchmark(name), bench_on(recipe, name)
        with labels(f"{model} {method} rate {rate_text(times * rate)} {name}"):
            rows = benchmark.run(bench, policy, seed)
            scores[name] = benchmark.score(bench, [rows], f"{model}-{method}-{times:g}")
    return ScoredRate(model, method, times, times * rate, scores)

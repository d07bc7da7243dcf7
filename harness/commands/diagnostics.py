"""Diagnostics of the mini world: what it was sized on, before any two methods were compared.

They look at what ``configs/papers/<paper>/diagnostics.yaml`` names.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import fmean, median

from harness.commands.bounds import BoundedValue, Bounds
from harness.config.yaml_files import load_yaml
from harness.engine.artifacts import Artifact, labels
from harness.engine.store import Store
from harness.errors import unknown
from harness.experiments.response_sets import responses_of
from harness.mini.identity import world_digest
from harness.papers.folders import paper_file
from harness.recipes.benches import baseline_roles
from harness.recipes.recipe import Recipe
from harness.records import Judgment
from harness.steps.edit_distance import EditDistance, edit_distance
from harness.steps.gold import GoldQuality, response_gold_quality
from harness.steps.judge import judge_pairs
from harness.steps.perplexity import Perplexity, measured, perplexity
from harness.steps.respond import respond

BENCH = "alpaca_eval2"
"""The bench whose judge compares pairs."""


@dataclass(frozen=True, slots=True)
class ResponseSet:
    """A set of responses that a method declares, by default the paper's own."""

    data: str
    set: str
    method: str = ""


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """Two sets of responses that are compared, and the bounds of the first one's win rate, in %."""

    outputs: str
    baselines: str
    least: float
    most: float

    @property
    def name(self) -> str:
        """The name of the figure."""
        return f"{self.outputs}, against {self.baselines}"


@dataclass(frozen=True, slots=True)
class Figures:
    """The subjects of the diagnostics: responses by name, pairs of these, and some under the checkpoint `policy`.

    The sets `in_order` are of rising median perplexity, and of rising edit distance from the first of them.
    """

    policy: str
    responses: dict[str, ResponseSet]
    judged: tuple[JudgedPair, ...]
    in_order: tuple[str, ...]
    quality_bounds: dict[str, Bounds] = field(default_factory=dict)


@dataclass(frozen=True)
class DiagnosticArtifacts:
    """Artifacts by the name of the figure each one holds."""

    figures: Figures
    gold: dict[str, Artifact]
    judged: dict[str, Artifact]
    perplexities: dict[str, Artifact]
    edit_distances: dict[str, Artifact]

    def targets(self) -> list[Artifact]:
        """Return all artifacts that the figures are read from."""
        return [
            *self.gold.values(),
            *self.judged.values(),
            *self.perplexities.values(),
            *self.edit_distances.values(),
        ]


def diagnostics(recipe: Recipe, model_name: str, seed: int) -> DiagnosticArtifacts:
    """Return the diagnostics of one base model, as promises."""
    figures = load_yaml(paper_file(recipe.paper, "diagnostics.yaml"), Figures)
    with labels(f"{model_name} diagnostics"):
        policy = recipe.inputs(model_name, seed).checkpoint(figures.policy)
        responses = {
            name: responses_of(recipe, model_name, seed, each.method).all(each.data, each.set)
            for name, each in figures.responses.items()
        } | _bench_answers(recipe, policy, seed)
        for name in figures.quality_bounds:
            if name not in responses:
                raise unknown("set of responses in quality_bounds", name, responses)
        judged = {
            pair.name: judge_pairs(
                judge=recipe.judge.reference(),
                prompt=recipe.prompt_set().judge_prompt(BENCH),
                protocol="alpaca_eval2",
                outputs=responses[pair.outputs],
                baselines=responses[pair.baselines],
            )
            for pair in figures.judged
        }
        perplexities = {name: perplexity(model=policy, responses=responses[name]) for name in figures.in_order}
        first, *others = figures.in_order
        edit_distances = {
            name: edit_distance(outputs=responses[name], baselines=responses[first], tokenizer=None) for name in others
        }
    gold = {
        name: response_gold_quality(responses=rows, world=world_digest()).with_label(f"{model_name} {name}")
        for name, rows in responses.items()
    }
    return DiagnosticArtifacts(figures, gold, judged, perplexities, edit_distances)


def _bench_answers(recipe: Recipe, policy: Artifact, seed: int) -> dict[str, Artifact]:
    """Return the policy's answers on each bench, and the baseline's."""
    found = {}
    for bench, role in baseline_roles(recipe).items():
        baselines = role.artifact()
        found[f"policy on {bench}"] = respond(model=policy, prompts=baselines, sampling=recipe.sampling, seed=seed)
        found[f"baseline of {bench}"] = baselines
    return found


def findings(found: DiagnosticArtifacts, store: Store) -> Iterator[BoundedValue]:
    """Yield the figures. All targets must be in the store."""
    for name, artifact in found.gold.items():
        rows = store.bind(artifact).rows(GoldQuality)
        quality, words = fmean(row.quality for row in rows), fmean(row.words for row in rows)
        bounds = found.figures.quality_bounds.get(name)
        yield BoundedValue(f"gold quality, {words:.1f} words: {name}", quality, bounds=bounds)
    for pair in found.figures.judged:
        judgments = store.bind(found.judged[pair.name]).rows(Judgment)
        preferences = [row.preference for row in judgments if row.preference is not None]
        win_rate = 100 * fmean(preference > 0.5 for preference in preferences)
        yield BoundedValue(f"win rate: {pair.name}", win_rate, " %", Bounds(pair.least, pair.most))
    medians = {
        name: median(row.value for row in measured(store.bind(artifact).rows(Perplexity)).values())
        for name, artifact in found.perplexities.items()
    }
    yield from _rising("median perplexity under SFT", medians)
    distances = {
        name: fmean(row.tokens for row in store.bind(artifact).rows(EditDistance))
        for name, artifact in found.edit_distances.items()
    }
    yield from _rising("mean edit distance in words", distances)


def _rising(of: str, values: dict[str, float]) -> Iterator[BoundedValue]:
    """Yield figures each of which has to be above the one before."""
    before = 0.0
    for name, value in values.items():
        yield BoundedValue(f"{of}: {name}", value, bounds=Bounds(before, math.inf))
        before = value

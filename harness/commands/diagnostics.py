"""Diagnostics of the mini world: what it was sized on, before any two methods were compared.

They look at what ``configs/papers/<paper>/diagnostics.yaml`` names.
"""

from dataclasses import dataclass
from statistics import fmean

from harness.config.yaml_files import load_yaml
from harness.engine.artifacts import Artifact, labels
from harness.engine.store import Store
from harness.experiments.response_sets import responses_of
from harness.mini.identity import world_digest
from harness.papers.folders import paper_file
from harness.recipes.benches import baseline_roles
from harness.recipes.recipe import Recipe
from harness.records import Judgment
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
class Figures:
    """The subjects of the diagnostics: responses by name, pairs of these, and some under the checkpoint `policy`."""

    policy: str
    responses: dict[str, ResponseSet]
    judged: tuple[tuple[str, str], ...]
    perplexities: tuple[str, ...]


@dataclass(frozen=True)
class DiagnosticArtifacts:
    """Artifacts by the name of the figure each one holds."""

    gold: dict[str, Artifact]
    judged: dict[str, Artifact]
    perplexities: dict[str, Artifact]

    def targets(self) -> list[Artifact]:
        """Return all artifacts that the figures are read from."""
        return [*self.gold.values(), *self.judged.values(), *self.perplexities.values()]


def diagnostics(recipe: Recipe, model_name: str, seed: int) -> DiagnosticArtifacts:
    """Return the diagnostics of one base model, as promises."""
    figures = load_yaml(paper_file(recipe.paper, "diagnostics.yaml"), Figures)
    with labels(f"{model_name} diagnostics"):
        policy = recipe.inputs(model_name, seed).checkpoint(figures.policy)
        responses = _responses(recipe, model_name, seed, figures) | _bench_answers(recipe, policy, seed)
        judged = {
            f"{outputs}, against {baselines}": judge_pairs(
                judge=recipe.judge.reference(),
                prompt=recipe.prompt_set().judge_prompt(BENCH),
                protocol="alpaca_eval2",
                outputs=responses[outputs],
                baselines=responses[baselines],
            )
            for outputs, baselines in figures.judged
        }
        perplexities = {name: perplexity(model=policy, responses=responses[name]) for name in figures.perplexities}
    gold = {
        name: response_gold_quality(responses=rows, world=world_digest()).with_label(f"{model_name} {name}")
        for name, rows in responses.items()
    }
    return DiagnosticArtifacts(gold, judged, perplexities)


def _responses(recipe: Recipe, model_name: str, seed: int, figures: Figures) -> dict[str, Artifact]:
    return {
        name: responses_of(recipe, model_name, seed, each.method).all(each.data, each.set)
        for name, each in figures.responses.items()
    }


def _bench_answers(recipe: Recipe, policy: Artifact, seed: int) -> dict[str, Artifact]:
    """Return the policy's answers on each bench, and the baseline's."""
    found = {}
    for bench, role in baseline_roles(recipe).items():
        baselines = role.artifact()
        found[f"policy on {bench}"] = respond(model=policy, prompts=baselines, sampling=recipe.sampling, seed=seed)
        found[f"baseline of {bench}"] = baselines
    return found


def report(found: DiagnosticArtifacts, store: Store) -> list[str]:
    """Return the figures, one line each. All targets must be in the store."""
    lines = []
    for name, artifact in found.gold.items():
        rows = store.bind(artifact).rows(GoldQuality)
        quality, words = fmean(row.quality for row in rows), fmean(row.words for row in rows)
        lines.append(f"gold quality {quality:.3f}, {words:5.1f} words  {name}")
    for name, artifact in found.judged.items():
        preferences = [row.preference for row in store.bind(artifact).rows(Judgment) if row.preference is not None]
        lines.append(f"win rate {100 * fmean(p > 0.5 for p in preferences):.1f} %  {name}")
    for name, artifact in found.perplexities.items():
        values = sorted(row.value for row in measured(store.bind(artifact).rows(Perplexity)).values())
        lines.append(f"median perplexity under SFT {values[len(values) // 2]:.2f}  {name}")
    return lines

"""Diagnostics of the mini world: what it was sized on, before any two methods were compared.

They look at the initial policy, the teacher and the improver only, never at which preference method wins.
"""

from dataclasses import dataclass
from statistics import fmean

from harness.engine.artifacts import Artifact, labels
from harness.engine.store import Store
from harness.experiments.response_sets import response_set
from harness.mini.identity import world_digest
from harness.recipes.benches import baseline_roles
from harness.recipes.scales import Scale
from harness.records import Judgment
from harness.steps.gold import GoldQuality, response_gold_quality
from harness.steps.judge import judge_pairs
from harness.steps.perplexity import Perplexity, measured, perplexity
from harness.steps.respond import respond
from methods.ingredients import Ingredients
from methods.sft import sft
from methods.sgpo import Variant

DATA: dict[str, str] = {"improver data": "improver_data", "preference data": "preference_data"}


@dataclass(frozen=True)
class Diagnostics:
    """Artifacts by the name of the figure each one holds."""

    gold: dict[str, Artifact]
    judged: dict[str, Artifact]
    perplexities: dict[str, Artifact]

    def targets(self) -> list[Artifact]:
        """All artifacts that the figures are read from."""
        return [*self.gold.values(), *self.judged.values(), *self.perplexities.values()]


def diagnostics(scale: Scale, model_name: str, seed: int) -> Diagnostics:
    """The diagnostics of one base model, as promises."""
    given = scale.ingredients(model_name, seed)
    with labels(f"{model_name} diagnostics"):
        policy = sft(given)
        responses = _responses(given)
        for bench, role in baseline_roles(scale).items():
            responses[f"SFT on {bench}"] = respond(
                model=policy, prompts=role.artifact(), sampling=given.sampling, seed=seed
            )
            responses[f"baseline of {bench}"] = role.artifact()
        judged = {
            f"teacher's improvement against {other}, {name}": judge_pairs(
                judge=scale.judge.reference(),
                prompt=scale.prompt_set().judge["alpaca_eval2"],
                protocol="alpaca_eval2",
                outputs=responses[f"teacher's improvement, {name}"],
                baselines=responses[f"{other}, {name}"],
            )
            for name in DATA
            for other in ("SFT's draft", "reference")
        }
        perplexities = {
            name: perplexity(model=policy, responses=responses[f"{name}, improver data"])
            for name in ("SFT's draft", "teacher's improvement", "reference")
        }
    return Diagnostics(
        {
            name: response_gold_quality(responses=rows, world=world_digest()).with_label(f"{model_name} {name}")
            for name, rows in responses.items()
        },
        judged,
        perplexities,
    )


def _responses(given: Ingredients) -> dict[str, Artifact]:
    """The sets of responses to the training prompts, by the names of their figures."""
    sets = {}
    for name, data in DATA.items():
        sets[f"reference, {name}"] = response_set(given, data, "reference")
        sets[f"SFT's draft, {name}"] = response_set(given, data, "draft")
        sets[f"teacher's improvement, {name}"] = response_set(given, data, "teacher_improvement")
    sets["θ*'s draft"] = response_set(given, "preference_data", "policy_answer")
    for writer in ("θ*", "SFT"):
        for name in ("with", "without"):
            variant = Variant(reference_in_refining=name == "with")
            sets[f"{writer}'s improvement of θ*'s draft, {name} reference"] = response_set(
                given, "preference_data", "self_improvement" if writer == "θ*" else "initial_improvement", variant
            )
    return sets


def report(found: Diagnostics, store: Store) -> list[str]:
    """The figures, one line each. All targets must be in the store."""
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

"""SGPO: self-generated preference optimization with a self-improver (arXiv 2507.20181, Algorithm 1), with variants."""

from functools import partial

from harness.core.artifacts import Artifact
from harness.steps.data import chosen_responses, preference_pairs
from harness.steps.filter import iqr_filter
from harness.steps.perplexity import perplexity
from harness.steps.respond import refine, respond
from harness.steps.train import improver_examples, train_dpo, train_sft
from methods.ingredients import Card, Ingredients, Method
from methods.sft import sft


def sgpo(given: Ingredients, *, share_parameters: bool = True, improved_targets: bool = True) -> Artifact:
    """π_θ**, by both steps of Algorithm 1.

    Without `share_parameters` the improver stays a model of its own and the policy starts from π_θ0 (SGPO†); without
    `improved_targets` the improver learns from the teacher's direct answers only (SGPO‡ together with the former).
    """
    improver = train_improver(given, improved_targets=improved_targets)  # π_θ*
    policy = improver if share_parameters else sft(given)
    return optimize_preferences(given, policy=policy, improver=improver)


def train_improver(given: Ingredients, *, improved_targets: bool = True) -> Artifact:
    """Step 1: π_θ*, the initial policy trained to improve its own drafts."""
    policy = sft(given)  # π_θ0
    drafts = respond(model=policy, prompts=given.improver_data, sampling=given.sampling, seed=given.seed).labelled(
        "drafts"
    )  # ŷ_θ0
    answers = respond(
        model=given.teacher, prompts=given.improver_data, sampling=given.sampling, seed=given.seed
    ).labelled("teacher's answers")  # ŷ_φ
    targets = [answers]
    if improved_targets:
        improved = refine(
            model=given.teacher,
            template=given.prompts.target,
            references=given.improver_data,
            drafts=drafts,
            sampling=given.sampling,
            seed=given.seed,
        ).labelled("teacher's improvements")  # ỹ_φ, Eq. 2
        targets = [improved, answers]
    kept = [iqr_filter(responses=t, perplexities=perplexity(model=policy, responses=t)) for t in targets]  # Eq. 3
    examples = improver_examples(template=given.prompts.training, drafts=drafts, targets=kept)  # D_R
    return train_sft(model=policy, examples=examples, settings=given.settings.improver, seed=given.seed).labelled(
        "improver"
    )  # Eq. 4


def optimize_preferences(given: Ingredients, *, policy: Artifact, improver: Artifact) -> Artifact:
    """Step 2: the policy trained to prefer the improver's version of its answers to the answers themselves."""
    references = chosen_responses(preference_data=given.preference_data)  # S_P
    answers = respond(model=policy, prompts=references, sampling=given.sampling, seed=given.seed).labelled(
        "policy's answers"
    )  # ŷ, Eq. 5
    improved = refine(
        model=improver,
        template=given.prompts.refining,
        references=references,
        drafts=answers,
        sampling=given.sampling,
        seed=given.seed,
    ).labelled("self-improvements")  # ỹ, Eq. 5
    pairs = preference_pairs(chosen=improved, rejected=answers)  # D_P
    return train_dpo(
        policy=policy, reference=policy, pairs=pairs, settings=given.settings.sgpo, seed=given.seed
    ).labelled("preference stage")  # Eq. 6


_HYPERPARAMETERS = {
    "improver": "3 epochs, otherwise as in supervised fine-tuning (section 4.2.2)",
    "filter": "1.5 interquartile ranges on perplexity (section 3.1.2)",
    "sampling": "temperature 0.7, top-p 0.9 (section 4.1)",
    "beta": "0.5 (section 4.2.2)",
    "learning_rate": "5e-7 (section 4.2.2)",
    "epochs": "1 (section 4.2.2)",
}


def _card(summary: str, section: str, equations: str) -> Card:
    return Card(summary, "SGPO, arXiv 2507.20181", section, equations, _HYPERPARAMETERS)


METHOD = Method(_card("self-generated preferences of a policy that is its own improver", "3", "Eq. 1-6"), sgpo)
UNSHARED = Method(
    _card("SGPO†: improver and policy are separate models", "4.2.3", "Eq. 1-6"), partial(sgpo, share_parameters=False)
)
TEACHER_ONLY = Method(
    _card("SGPO‡: as SGPO†, and the improver learns from the teacher's direct answers only", "4.2.3", "Eq. 1-6"),
    partial(sgpo, share_parameters=False, improved_targets=False),
)
IMPROVER = Method(
    _card("θ*: the improver-policy after step 1, before any preference step", "3.1", "Eq. 2-4"), train_improver
)

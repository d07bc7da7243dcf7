"""SGPO: self-generated preference optimization with a self-improver (arXiv 2507.20181, Algorithm 1), with variants."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from harness.engine.artifacts import Artifact
from harness.steps.data import chosen_responses, preference_pairs
from harness.steps.filter import iqr_filter
from harness.steps.perplexity import perplexity
from harness.steps.respond import refine, respond
from harness.steps.train import direct_preference_optimization, improver_examples, train_sft
from methods.ingredients import Card, Ingredients, Method
from methods.sft import sft

MAX_ROUNDS = 100


@dataclass(frozen=True, slots=True)
class Variant:
    """What the paper's ablations change. The defaults are SGPO itself."""

    share_parameters: bool = True
    """Whether one model is policy and improver; else the improver stays apart and the policy starts from π_θ0."""
    improved_targets: bool = True
    """Whether the improver learns from the teacher's improvements ỹ_φ too, or from its direct answers ŷ_φ alone."""
    reference_in_training: bool = False
    """Whether the prompt that the improver is trained on shows the reference (Table 7)."""
    reference_in_refining: bool = True
    """Whether the prompt that the improver refines with shows it (Table 7)."""
    chosen: Literal["improvement", "reference"] = "improvement"
    """The preferred side of the pairs: the improver's version of an answer, or the reference (Table 4)."""
    rounds: int = 1
    """How often step 2 is done, each from the policy of the one before, without training the improver again."""

    def __post_init__(self) -> None:
        # Without a round θ*, or supervised fine-tuning alone, would go by this name; each round deepens the graph.
        if not 1 <= self.rounds <= MAX_ROUNDS:
            raise ValueError(f"rounds must be 1 to {MAX_ROUNDS}, not {self.rounds}")


SGPO = Variant()


def sgpo(given: Ingredients, variant: Variant = SGPO) -> Artifact:
    """π_θ**, by both steps of Algorithm 1."""
    improver = train_improver(given, variant)  # π_θ*
    policy = improver if variant.share_parameters else sft(given)
    for _ in range(variant.rounds):
        policy = optimize_preferences(given, variant, policy, improver)
        if variant.share_parameters:
            improver = policy  # "+ Step 2" of Table 6: the optimised policy refines its own answers
    return policy


def train_improver(given: Ingredients, variant: Variant = SGPO) -> Artifact:
    """Step 1: π_θ*, the initial policy trained to improve its own drafts."""
    policy = sft(given)  # π_θ0
    responses = improver_responses(given)
    targets = [responses.answers]
    if variant.improved_targets:
        targets = [responses.improved, responses.answers]
    kept = [iqr_filter(responses=each, perplexities=perplexity(model=policy, responses=each)) for each in targets]
    examples = improver_examples(
        template=given.prompts.refining if variant.reference_in_training else given.prompts.training,
        drafts=responses.drafts,
        targets=kept,
        references=given.improver_data if variant.reference_in_training else None,
    )  # D_R, Eq. 3
    return train_sft(model=policy, examples=examples, settings=given.settings.improver, seed=given.seed).append_label(
        "improver"
    )  # Eq. 4


@dataclass(frozen=True, slots=True)
class ImproverResponses:
    """What step 1 learns from: the initial policy's drafts ŷ_θ0, the teacher's versions of them, its own answers."""

    drafts: Artifact
    improved: Artifact
    answers: Artifact


def improver_responses(given: Ingredients) -> ImproverResponses:
    """The responses to the improver's prompts, before any filter."""
    drafts = respond(model=sft(given), prompts=given.improver_data, sampling=given.sampling, seed=given.seed)  # ŷ_θ0
    return ImproverResponses(
        drafts=drafts.append_label("drafts"),
        improved=teacher_improvements(given, references=given.improver_data, drafts=drafts),
        answers=respond(
            model=given.teacher, prompts=given.improver_data, sampling=given.sampling, seed=given.seed
        ).append_label("teacher's answers"),  # ŷ_φ
    )


def teacher_improvements(given: Ingredients, *, references: Artifact, drafts: Artifact) -> Artifact:
    """ỹ_φ: the teacher's versions of the drafts, close to them and no better than the references (Eq. 2)."""
    return refine(
        model=given.teacher,
        template=given.prompts.target,
        references=references,
        drafts=drafts,
        sampling=given.sampling,
        seed=given.seed,
    ).append_label("teacher's improvements")


def optimize_preferences(given: Ingredients, variant: Variant, policy: Artifact, improver: Artifact) -> Artifact:
    """Step 2: the policy trained to prefer the improver's version of its answers to the answers themselves."""
    references = chosen_responses(preference_data=given.preference_data)  # S_P
    answers = policy_answers(given, policy)  # ŷ, Eq. 5
    if variant.chosen == "reference":
        chosen = references
    else:
        chosen = improvements(given, variant, improver, answers).append_label("self-improvements")  # ỹ, Eq. 5
    pairs = preference_pairs(chosen=chosen, rejected=answers)  # D_P
    return direct_preference_optimization(
        policy=policy, reference=policy, pairs=pairs, settings=given.settings.sgpo, seed=given.seed
    ).append_label("preference stage")  # Eq. 6


def policy_answers(given: Ingredients, policy: Artifact) -> Artifact:
    """ŷ: the policy's answers to the prompts of the preference data (Eq. 5)."""
    references = chosen_responses(preference_data=given.preference_data)
    return respond(model=policy, prompts=references, sampling=given.sampling, seed=given.seed).append_label(
        "policy's answers"
    )


def improvements(given: Ingredients, variant: Variant, improver: Artifact, answers: Artifact) -> Artifact:
    """ỹ: `improver`'s versions of `answers` to the prompts of the preference data (Eq. 5)."""
    return refine(
        model=improver,
        template=given.prompts.refining if variant.reference_in_refining else given.prompts.training,
        references=chosen_responses(preference_data=given.preference_data),
        drafts=answers,
        sampling=given.sampling,
        seed=given.seed,
    )


_HYPERPARAMETERS = {
    "improver": "3 epochs, otherwise as in supervised fine-tuning (section 4.2.2)",
    "filter": "1.5 interquartile ranges on perplexity (section 3.1.2)",
    "sampling": "temperature 0.7, top-p 0.9 (section 4.1)",
    "beta": "0.5 (section 4.2.2)",
    "learning_rate": "5e-7 (section 4.2.2)",
    "epochs": "1 (section 4.2.2)",
}


def _method(variant: Variant, summary: str, section: str, equations: str = "Eq. 1-6") -> Method:
    card = Card(summary, "SGPO, arXiv 2507.20181", section, equations, _HYPERPARAMETERS)
    return Method(card, partial(sgpo, variant=variant), variant)


METHOD = _method(SGPO, "self-generated preferences of a policy that is its own improver", "3")
UNSHARED = _method(Variant(share_parameters=False), "SGPO†, SGPO-v3: improver and policy are separate models", "4.2.3")
TEACHER_ONLY = _method(
    Variant(share_parameters=False, improved_targets=False),
    "SGPO‡, SGPO-v1: as SGPO†, and the improver learns from the teacher's direct answers only",
    "4.2.3",
)
TEACHER_ONLY_SHARED = _method(
    Variant(improved_targets=False),
    "SGPO-v2: the improver learns from the teacher's direct answers only, policy and improver are one",
    "4.4.3, Table 5",
)
REFERENCE_CHOSEN = _method(
    Variant(chosen="reference"), "SGPO◦: reference chosen, the improver-policy's own answer rejected", "4.4.3, Table 4"
)
TWO_ROUNDS = _method(
    Variant(rounds=2), "SGPO + Step 2: step 2 once more, from SGPO's policy", "4.4.3, Table 6", "Eq. 1-7"
)
ALL_REF = _method(
    Variant(reference_in_training=True), "SGPO (All Ref): the training prompt shows the reference too", "4.4.3, Table 7"
)
NO_REF = _method(
    Variant(reference_in_refining=False), "SGPO (No Ref): the refining prompt does not show it either", "4.4.3, Table 7"
)
IMPROVER = Method(
    Card(
        "θ*: the improver-policy after step 1, before any preference step",
        "SGPO, arXiv 2507.20181",
        "3.1",
        "Eq. 2-4",
        _HYPERPARAMETERS,
    ),
    train_improver,
)

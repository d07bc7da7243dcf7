"""SGPO: self-generated preference optimization with a self-improver (arXiv 2507.20181, Algorithm 1), with variants."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from harness.engine.artifacts import Artifact
from harness.steps.data import chosen_responses, preference_pairs
from harness.steps.filter import iqr_filter
from harness.steps.perplexity import perplexity
from harness.steps.respond import refine, respond
from harness.steps.train import improver_examples, train_sft
from harness.training.settings import TrainingSettings
from methods.base import Card, Inputs, Needs, PreferenceMethod, ResponseSets

MAX_ROUNDS = 100


@dataclass(frozen=True, kw_only=True)
class SGPO(PreferenceMethod):
    """Self-generated preference optimization. The paper's ablations change what has a default, which is SGPO itself.

    `training` and `beta` are of step 2.
    """

    improver: TrainingSettings
    """Of step 1."""
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
    result: Literal["policy", "improver"] = "policy"
    """What training ends with: π_θ**, or π_θ*, before any preference step."""

    card: ClassVar = Card(
        summary="self-generated preferences of a policy that is its own improver",
        paper="SGPO, arXiv 2507.20181",
        section="3",
        equations="Eq. 1-6",
        hyperparameters={
            "improver": "3 epochs, otherwise as in supervised fine-tuning (section 4.2.2)",
            "filter": "1.5 interquartile ranges on perplexity (section 3.1.2)",
            "sampling": "temperature 0.7, top-p 0.9 (section 4.1)",
            "beta": "0.5 (section 4.2.2)",
            "learning_rate": "5e-7 (section 4.2.2)",
            "epochs": "1 (section 4.2.2)",
        },
    )
    needs: ClassVar = Needs(
        data=("improver_data", "preference_data"), models=("teacher",), prompts=("target", "training", "refining")
    )

    def __post_init__(self) -> None:
        """Raise ValueError for a number of rounds that there cannot be; each round deepens the graph."""
        if not 1 <= self.rounds <= MAX_ROUNDS:
            raise ValueError(f"rounds must be 1 to {MAX_ROUNDS}, not {self.rounds}")

    def build(self, inputs: Inputs) -> Artifact:
        """Return π_θ**, by both steps of Algorithm 1."""
        improver = self.train_improver(inputs)  # π_θ*
        if self.result == "improver":
            return improver
        policy = improver if self.share_parameters else inputs.checkpoint("sft")
        for _ in range(self.rounds):
            policy = self.optimize_preferences(inputs, policy, improver)
            if self.share_parameters:
                improver = policy  # "+ Step 2" of Table 6: the optimised policy refines its own answers
        return policy

    def train_improver(self, inputs: Inputs) -> Artifact:
        """Train step 1: π_θ*, the initial policy trained to improve its own drafts."""
        responses = improver_responses(inputs)
        targets = [responses.answers]
        if self.improved_targets:
            targets = [responses.improved, responses.answers]
        examples = improver_examples(
            template=inputs.prompt("refining" if self.reference_in_training else "training"),
            drafts=responses.drafts,
            targets=[filtered(inputs, each) for each in targets],
            references=inputs.data("improver_data") if self.reference_in_training else None,
        )  # D_R, Eq. 3
        return train_sft(
            model=inputs.checkpoint("sft"), examples=examples, settings=self.improver, seed=inputs.seed
        ).append_label("improver")  # Eq. 4

    def optimize_preferences(self, inputs: Inputs, policy: Artifact, improver: Artifact) -> Artifact:
        """Train step 2: the policy trained to prefer the improver's version of its answers to the answers."""
        answers = policy_answers(inputs, policy)  # ŷ, Eq. 5
        if self.chosen == "reference":
            chosen = references(inputs)
        else:
            chosen = self.improvements(inputs, improver, answers).append_label("self-improvements")  # ỹ, Eq. 5
        pairs = preference_pairs(chosen=chosen, rejected=answers)  # D_P
        return self.preference_stage(inputs, policy, pairs).append_label("preference stage")  # Eq. 6

    def improvements(self, inputs: Inputs, improver: Artifact, answers: Artifact) -> Artifact:
        """Return ỹ: `improver`'s versions of `answers` to the prompts of the preference data (Eq. 5)."""
        return refine(
            model=improver,
            template=inputs.prompt("refining" if self.reference_in_refining else "training"),
            references=references(inputs),
            drafts=answers,
            sampling=inputs.sampling,
            seed=inputs.seed,
        )

    def improver_answers(self, inputs: Inputs) -> Artifact:
        """Return ŷ_θ*: the self-improver's own answers."""
        return policy_answers(inputs, self.train_improver(inputs))

    def self_improvements(self, inputs: Inputs) -> Artifact:
        """Return ỹ_θ*: the self-improver's versions of its own answers (Eq. 5)."""
        improver, answers = self.train_improver(inputs), self.improver_answers(inputs)
        return self.improvements(inputs, improver, answers).append_label("self-improvements")

    def initial_improvements(self, inputs: Inputs) -> Artifact:
        """Return ỹ_θ0: the initial policy's versions of the self-improver's answers (section 4.4.2)."""
        refined = self.improvements(inputs, inputs.checkpoint("sft"), self.improver_answers(inputs))
        return refined.append_label("initial policy's improvements")

    response_sets: ClassVar[ResponseSets] = {
        "improver_data": {
            "reference": lambda self, inputs: inputs.data("improver_data"),
            "draft": lambda self, inputs: improver_responses(inputs).drafts,
            "teacher_improvement": lambda self, inputs: improver_responses(inputs).improved,
            "teacher_answer": lambda self, inputs: improver_responses(inputs).answers,
        },
        "preference_data": {
            "reference": lambda self, inputs: references(inputs),
            "draft": lambda self, inputs: initial_answers(inputs),
            "teacher_improvement": lambda self, inputs: teacher_improvements(
                inputs, references=references(inputs), drafts=initial_answers(inputs)
            ),  # of which no method learns (Table 1)
            "policy_answer": improver_answers,
            "self_improvement": self_improvements,
            "initial_improvement": initial_improvements,
        },
    }
    filtered_sets: ClassVar[ResponseSets] = {
        "improver_data": {
            "teacher_improvement": lambda self, inputs: filtered(inputs, improver_responses(inputs).improved),
            "teacher_answer": lambda self, inputs: filtered(inputs, improver_responses(inputs).answers),
        }
    }
    """What the filter leaves of the sets that the improver learns from (section 3.1.2)."""


@dataclass(frozen=True, slots=True)
class ImproverResponses:
    """The responses that step 1 learns from: the initial policy's drafts ŷ_θ0, the teacher's versions of them, its own
    answers."""

    drafts: Artifact
    improved: Artifact
    answers: Artifact


def improver_responses(inputs: Inputs) -> ImproverResponses:
    """Return the responses to the improver's prompts, before any filter."""
    prompts, policy, teacher = inputs.data("improver_data"), inputs.checkpoint("sft"), inputs.model("teacher")
    drafts = respond(model=policy, prompts=prompts, sampling=inputs.sampling, seed=inputs.seed)  # ŷ_θ0
    answers = respond(model=teacher, prompts=prompts, sampling=inputs.sampling, seed=inputs.seed)  # ŷ_φ
    return ImproverResponses(
        drafts=drafts.append_label("drafts"),
        improved=teacher_improvements(inputs, references=prompts, drafts=drafts),
        answers=answers.append_label("teacher's answers"),
    )


def teacher_improvements(inputs: Inputs, *, references: Artifact, drafts: Artifact) -> Artifact:
    """Return ỹ_φ: the teacher's versions of the drafts, close to them and no better than the references (Eq. 2)."""
    return refine(
        model=inputs.model("teacher"),
        template=inputs.prompt("target"),
        references=references,
        drafts=drafts,
        sampling=inputs.sampling,
        seed=inputs.seed,
    ).append_label("teacher's improvements")


def filtered(inputs: Inputs, responses: Artifact) -> Artifact:
    """Return the responses whose perplexity under the initial policy is no outlier (section 3.1.2)."""
    policy = inputs.checkpoint("sft")
    return iqr_filter(responses=responses, perplexities=perplexity(model=policy, responses=responses))


def references(inputs: Inputs) -> Artifact:
    """Return S_P: the prompts of the preference data with its chosen answers."""
    return chosen_responses(preference_data=inputs.data("preference_data"))


def policy_answers(inputs: Inputs, policy: Artifact) -> Artifact:
    """Return ŷ: the policy's answers to the prompts of the preference data (Eq. 5)."""
    return respond(model=policy, prompts=references(inputs), sampling=inputs.sampling, seed=inputs.seed).append_label(
        "policy's answers"
    )


def initial_answers(inputs: Inputs) -> Artifact:
    """Return ŷ_θ0 on the preference data."""
    return policy_answers(inputs, inputs.checkpoint("sft"))

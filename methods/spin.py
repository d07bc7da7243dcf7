"""SPIN: self-play fine-tuning (Chen et al. 2024; SGPO's baseline, section 4.2.1), one iteration."""

from dataclasses import dataclass
from typing import ClassVar

from harness.engine.artifacts import Artifact
from harness.steps.data import chosen_responses, preference_pairs
from harness.steps.respond import respond
from methods.base import Card, Inputs, Needs, PreferenceMethod


@dataclass(frozen=True, kw_only=True)
class SPIN(PreferenceMethod):
    """Self-play fine-tuning."""

    card: ClassVar = Card(
        summary="reference answer chosen, the initial policy's own answer rejected",
        paper="Chen et al. 2024, as run in SGPO, arXiv 2507.20181",
        section="4.2.1",
        equations="Eq. 6 with the initial policy as reference",
        hyperparameters={
            "beta": "0.5 (section 4.2.1)",
            "learning_rate": "3e-7 for Qwen2.5-Base (7B), 5e-7 for Llama3-Base (8B) (section 4.2.1)",
            "epochs": "not stated; 1, as for the others",
        },
    )
    needs: ClassVar = Needs(data=("preference_data",))

    def build(self, inputs: Inputs) -> Artifact:
        """Return the initial policy trained to prefer the reference answer to its own."""
        policy = inputs.checkpoint("sft")
        references = chosen_responses(preference_data=inputs.data("preference_data"))
        answers = respond(model=policy, prompts=references, sampling=inputs.sampling, seed=inputs.seed)
        pairs = preference_pairs(chosen=references, rejected=answers.append_label("SFT's answers"))
        return self.preference_stage(inputs, policy, pairs).append_label("SPIN")

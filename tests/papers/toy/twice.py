"""Twice: a second supervised fine-tuning, on chosen answers (arXiv 0000.00000, section 3)."""

from dataclasses import dataclass
from typing import ClassVar

from harness.engine.artifacts import Artifact
from harness.steps.data import chosen_responses
from harness.steps.train import train_sft
from harness.training.settings import TrainingSettings
from methods.base import Card, Inputs, Needs


@dataclass(frozen=True, kw_only=True)
class Twice:
    """Supervised fine-tuning in two stages."""

    training: TrainingSettings
    rounds: int = 1
    """How often the second stage is done, each from the one before."""

    card: ClassVar = Card(
        summary="a second supervised fine-tuning, on chosen answers",
        paper="Twice, arXiv 0000.00000",
        section="3",
        hyperparameters={"epochs": "3 (section 4)", "rounds": "1 (section 3); more are ours"},
    )
    needs: ClassVar = Needs(data=("second_stage",))

    def __post_init__(self) -> None:
        """Raise ValueError for a number of rounds that there cannot be."""
        if self.rounds < 1:
            raise ValueError(f"rounds must be 1 or more, not {self.rounds}")

    def build(self, inputs: Inputs) -> Artifact:
        """Return the policy of supervised fine-tuning, trained once more in each round."""
        policy = inputs.checkpoint("sft")
        chosen = chosen_responses(preference_data=inputs.data("second_stage"))
        for _ in range(self.rounds):
            policy = train_sft(model=policy, examples=chosen, settings=self.training, seed=inputs.seed)
        return policy.append_label("second stage")

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

    card: ClassVar = Card(
        summary="a second supervised fine-tuning, on chosen answers",
        paper="Twice, arXiv 0000.00000",
        section="3",
        hyperparameters={"epochs": "3 (section 4)"},
    )
    needs: ClassVar = Needs(data=("second_stage",))

    def build(self, inputs: Inputs) -> Artifact:
        """Return the policy of supervised fine-tuning, trained once more."""
        chosen = chosen_responses(preference_data=inputs.data("second_stage"))
        second = train_sft(model=inputs.checkpoint("sft"), examples=chosen, settings=self.training, seed=inputs.seed)
        return second.append_label("second stage")

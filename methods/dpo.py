"""Direct preference optimization on given preference data (Rafailov et al. 2023; SGPO's baseline, section 4.2.1)."""

from dataclasses import dataclass
from typing import ClassVar

from harness.engine.artifacts import Artifact
from methods.base import Card, Inputs, Needs, TrainedPolicy


@dataclass(frozen=True, kw_only=True)
class DPO(TrainedPolicy):
    """Direct preference optimization."""

    card: ClassVar = Card(
        summary="DPO on the chosen and rejected answers of the preference data",
        paper="Rafailov et al. 2023, as run in SGPO, arXiv 2507.20181",
        section="4.2.1",
        equations="Eq. 6 with the initial policy as reference",
        hyperparameters={
            "beta": "0.01 (section 4.2.1)",
            "learning_rate": "5e-7 (section 4.2.1)",
            "epochs": "1 (section 4.2.1)",
        },
    )
    needs: ClassVar = Needs(data=("preference_data",))

    def build(self, inputs: Inputs) -> Artifact:
        """Return the initial policy trained to prefer the data's chosen answers to its rejected ones."""
        policy, pairs = self.initial_policy(inputs), inputs.data("preference_data")
        return self.preference_stage(inputs, policy, pairs).append_label(self.loss.kind.upper())

"""SAPO: self-augmented preference optimization (arXiv 2405.20830, Algorithm 1)."""

from dataclasses import dataclass
from typing import ClassVar

from harness.engine.artifacts import Artifact
from harness.steps.data import chosen_responses
from harness.steps.train import train_online
from harness.training.settings import OnlineSettings
from methods.base import Card, Inputs, Needs, TrainedPolicy


@dataclass(frozen=True, kw_only=True)
class SAPO(TrainedPolicy):
    """Self-augmented preference optimization: of the data it takes the chosen answers alone. While the policy trains,
    its moving average rewrites a segment of each into the rejected one."""

    online: OnlineSettings

    card: ClassVar = Card(
        summary="demonstrations against answers of which the policy's moving average has drawn a segment anew",
        paper="SAPO, arXiv 2405.20830; not the method of the same name in arXiv 2511.20347",
        section="3",
        equations="Eqs. 4 to 6, with the losses of Eq. 1 (DPO) or Eq. 3 (ORPO)",
        hyperparameters={
            "online.segment": "256 (section 5.1)",
            "online.buffer": "2,000 pairs (section 5.1)",
            "online.ema": "0.5, every two steps (section 5.1); its code: every step",
            "online.temperature": "not stated; its code: 0.7, with top-p 0.95 and top-k 50",
            "online.keep_tail": "always (Eq. 5); its code: unless the segment ends the answer",
            "epochs": "4 (section 5.1)",
        },
    )
    needs: ClassVar = Needs(data=("preference_data",))

    def build(self, inputs: Inputs) -> Artifact:
        """Return π_θ, trained on (x, y⁺, y⁻) that Algorithm 1 samples, keeps in a replay buffer and draws."""
        demonstrations = chosen_responses(preference_data=inputs.data("preference_data"))
        return train_online(
            policy=self.initial_policy(inputs),
            demonstrations=demonstrations,
            loss=self.loss,
            settings=self.training,
            online=self.online,
            seed=inputs.seed,
        ).append_label("SAPO")

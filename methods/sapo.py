"""SAPO: self-augmented preference optimization (arXiv 2405.20830, Algorithm 1)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from harness.engine.artifacts import Artifact
from harness.steps.train import train_online
from harness.training.settings import OnlineSettings
from methods.base import Card, Inputs, Needs, PreferenceMethod


@dataclass(frozen=True, kw_only=True)
class SAPO(PreferenceMethod):
    """Self-augmented preference optimization: the chosen answers are demonstrations, and a moving average of the policy
    rewrites a segment of each into the rejected one, while the policy trains."""

    online: OnlineSettings
    start: Literal["base", "sft"] = "sft"
    """What the policy starts from; with the ORPO loss, which imitates as well, that may be the base model."""

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
    needs: ClassVar = Needs(data=("demonstrations",))

    def build(self, inputs: Inputs) -> Artifact:
        """Return π_θ, trained on (x, y⁺, y⁻) that Algorithm 1 samples, keeps in a replay buffer and draws."""
        policy = inputs.base if self.start == "base" else inputs.checkpoint("sft")
        return train_online(
            policy=policy,
            demonstrations=inputs.data("demonstrations"),
            loss=self.loss,
            settings=self.training,
            online=self.online,
            seed=inputs.seed,
        ).append_label("SAPO")

"""SRPO: self-improving robust preference optimization (arXiv 2406.01660, Algorithm 1)."""

from dataclasses import dataclass
from typing import ClassVar

from harness.engine.artifacts import Artifact
from harness.training.losses import Srpo
from methods.base import Card, Inputs, Needs, PreferenceMethod


@dataclass(frozen=True, kw_only=True)
class SRPO(PreferenceMethod):
    """Self-improving robust preference optimization: one model learns to answer, and to revise an answer that it is
    shown."""

    card: ClassVar = Card(
        summary="one model that answers and revises, trained by regression on the preference data",
        paper="SRPO, arXiv 2406.01660",
        section="4",
        equations="Eqs. 15 to 17 with the initial policy as reference",
        hyperparameters={
            "alpha": "not stated; 0, 0.25, 0.5, 0.75 and 1 in figure 4",
            "beta": "0.01 on TL;DR (section 6), 1.3 on UltraFeedback (appendix D)",
            "average": "not stated on TL;DR; log-probabilities averaged on UltraFeedback (appendix D)",
            "learning_rate": "2e-6 on TL;DR (section 6), 1.25e-6 on UltraFeedback (appendix D)",
            "epochs": "5 on TL;DR (section 6), 1 on UltraFeedback (appendix D)",
        },
    )
    needs: ClassVar = Needs(data=("preference_data",), prompts=("revision",))

    def __post_init__(self) -> None:
        """Raise ValueError for another loss, which would make it another method."""
        if not isinstance(self.loss, Srpo):
            raise ValueError(f"loss must be of the kind {Srpo.kind}, not {self.loss.kind}")

    def build(self, inputs: Inputs) -> Artifact:
        """Return π_θ, which starts as π_ref, trained on (x, y_w, y_l) with the loss of Equation 17.

        It sees y_w and y_l after x, and after x with either of them in context: π_†(y'|y, x) is π_θ with the revision
        prompt of appendix C.1.
        """
        reference, pairs = inputs.checkpoint("sft"), inputs.data("preference_data")
        return self.preference_stage(inputs, reference, pairs).append_label("SRPO")

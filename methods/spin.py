"""SPIN: self-play fine-tuning (Chen et al. 2024), one iteration as in SGPO, or more as in SAPO."""

from dataclasses import dataclass, replace
from typing import ClassVar

from harness.engine.artifacts import Artifact
from harness.steps.data import chosen_responses, preference_pairs
from harness.steps.respond import respond
from methods.base import Card, Inputs, Needs, TrainedPolicy


@dataclass(frozen=True, kw_only=True)
class SPIN(TrainedPolicy):
    """Self-play fine-tuning: in each iteration the policy learns to prefer the reference answers to its own."""

    iterations: int = 1
    rate_factors: tuple[float, ...] = ()
    """What the learning rate is multiplied by in each iteration; 1 where nothing is said."""
    last_beta: float | None = None
    """β of the last iteration, where it is another one."""

    card: ClassVar = Card(
        summary="reference answer chosen, the policy's own answer rejected",
        paper="Chen et al. 2024, as run in SGPO, arXiv 2507.20181, and in SAPO, arXiv 2405.20830",
        section="4.2.1; SAPO 5.1",
        equations="Eq. 6 of SGPO with the policy of the iteration before as reference",
        hyperparameters={
            "beta": "0.5 (section 4.2.1)",
            "last_beta": "5.0 (section 5.1 of SAPO)",
            "iterations": "one (section 4.2.1); four, of three epochs each (section 5.1 of SAPO)",
            "learning_rate": "3e-7 for Qwen2.5-Base (7B), 5e-7 for Llama3-Base (8B) (section 4.2.1)",
            "rate_factors": "5e-7 twice, then 1e-7 twice (section 5.1 of SAPO)",
            "epochs": "not stated; 1, as for the others",
        },
    )
    needs: ClassVar = Needs(data=("preference_data",))

    def __post_init__(self) -> None:
        """Raise ValueError for settings that do not go together."""
        if self.iterations < 1:
            raise ValueError(f"iterations must be 1 or more, not {self.iterations}")
        if len(self.rate_factors) > self.iterations:
            raise ValueError(f"rate_factors has {len(self.rate_factors)} numbers for {self.iterations} iterations")
        if self.last_beta is not None and not hasattr(self.loss, "beta"):
            raise ValueError(f"last_beta: the loss {self.loss.kind} has no beta")

    def build(self, inputs: Inputs) -> Artifact:
        """Return the policy of the last iteration."""
        policy = self.initial_policy(inputs)
        references = chosen_responses(preference_data=inputs.data("preference_data"))
        for number in range(self.iterations):
            policy = self._iteration(inputs, policy, references, number)
        return policy

    def _iteration(self, inputs: Inputs, policy: Artifact, references: Artifact, number: int) -> Artifact:
        """Return `policy`, which is its own reference, trained to prefer the reference answers to its own."""
        whose = "SFT's answers" if number == 0 else f"answers after iteration {number}"
        answers = respond(model=policy, prompts=references, sampling=inputs.sampling, seed=inputs.seed)
        pairs = preference_pairs(chosen=references, rejected=answers.append_label(whose))
        name = "SPIN" if self.iterations == 1 else f"SPIN iteration {number + 1}"
        return self._settings_of(number).preference_stage(inputs, policy, pairs).append_label(name)

    def _settings_of(self, number: int) -> "SPIN":
        """Return the settings with loss and rate of one iteration, from 0."""
        factor = self.rate_factors[number] if number < len(self.rate_factors) else 1.0
        changed = replace(self, training=replace(self.training, learning_rate=factor * self.training.learning_rate))
        if self.last_beta is None or number + 1 < self.iterations:
            return changed
        return replace(changed, loss=replace(self.loss, beta=self.last_beta))  # type: ignore[arg-type]

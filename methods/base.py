"""The interface of a method: a frozen dataclass of settings that names its needs, and builds its checkpoint of
steps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, Protocol

from harness.engine.artifacts import Artifact
from harness.errors import UserError
from harness.models.generator import Sampling
from harness.steps.train import optimize_preferences
from harness.training.losses import PreferenceLoss, shows_drafts
from harness.training.settings import TrainingSettings


@dataclass(frozen=True, slots=True)
class Card:
    """The source of a method, and of each of its hyper-parameters."""

    summary: str
    paper: str
    section: str
    equations: str = ""
    hyperparameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Needs:
    """The roles of a recipe that a method asks its inputs for; what it starts from has needs of its own."""

    data: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()


class Inputs(Protocol):
    """The inputs that a recipe hands to a method, for one base model and training seed."""

    @property
    def base(self) -> Artifact:
        """The base model."""

    @property
    def sampling(self) -> Sampling:
        """The sampling of completions to train on."""

    @property
    def seed(self) -> int:
        """The training seed."""

    def data(self, role: str) -> Artifact:
        """Return the rows of a data role: `Response` rows, or `PreferencePair` rows where its kind is "pairs"."""

    def model(self, role: str) -> Artifact:
        """Return the model in a role, such as "teacher"."""

    def prompt(self, name: str) -> str:
        """Return a prompt's template."""

    def checkpoint(self, method: str) -> Artifact:
        """Return what another method of the same recipe ends with, on the same base model and with the same seed."""


class Method(Protocol):
    """A method: a frozen dataclass whose fields are its settings."""

    card: ClassVar[Card]
    needs: ClassVar[Needs]

    def build(self, inputs: Inputs) -> Artifact:
        """Return the method's checkpoint, as a promise."""


@dataclass(frozen=True, kw_only=True)
class PreferenceMethod:
    """The settings of a method that ends with a preference loss: it is this stage whose rate `harness rates` chooses.

    A base class for such methods; a chosen rate takes the place of `training.learning_rate`.
    """

    loss: PreferenceLoss
    training: TrainingSettings

    def preference_stage(self, inputs: Inputs, policy: Artifact, pairs: Artifact) -> Artifact:
        """Return `policy` trained on `pairs` with the loss, with its start as the reference where one is needed."""
        return optimize_preferences(
            policy=policy,
            reference=policy,
            pairs=pairs,
            loss=self.loss,
            settings=self.training,
            seed=inputs.seed,
            revision_prompt=self._revision_prompt(inputs) if shows_drafts(self.loss.sequences) else "",
        )

    def _revision_prompt(self, inputs: Inputs) -> str:
        """Return the recipe's prompt that shows a draft. Raises UserError if there is none."""
        try:
            return inputs.prompt("revision")
        except UserError as error:
            raise UserError(
                f"{error}: the loss {self.loss.kind} shows an answer as a draft to revise, and needs a prompt called"
                " revision in the recipe's prompts, with the fields {request} and {example}"
            ) from None


@dataclass(frozen=True, kw_only=True)
class TrainedPolicy(PreferenceMethod):
    """The settings of a preference method whose policy may start from the base model: with a loss that imitates as well
    (ORPO), supervised fine-tuning can be left out."""

    start: Literal["sft", "base"] = "sft"
    """What the policy starts from."""

    def initial_policy(self, inputs: Inputs) -> Artifact:
        """Return the checkpoint of supervised fine-tuning, or the base model."""
        return inputs.base if self.start == "base" else inputs.checkpoint("sft")


ResponseSets = Mapping[str, Mapping[str, Callable[[Any, Inputs], Artifact]]]
"""By data role and name, the sets of `Response` rows that a method makes on its way, of its settings and inputs."""


def training_settings(method: Method) -> dict[str, TrainingSettings]:
    """Return the settings of a method's training stages, by the name of their field."""
    named = {each.name: getattr(method, each.name) for each in fields(method)}  # type: ignore[arg-type]
    return {name: value for name, value in named.items() if isinstance(value, TrainingSettings)}

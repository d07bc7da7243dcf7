"""What every method starts from, and what every method says of itself."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from typing import Any

from harness.config.yaml_files import from_mapping
from harness.engine.artifacts import Artifact
from harness.errors import UserError
from harness.models.generator import Sampling
from harness.training.settings import PreferenceSettings, TrainingSettings


@dataclass(frozen=True, slots=True)
class RefinePrompts:
    """The prompt r of the paper in its three uses; fields {request}, {draft} and, where shown, {reference}."""

    target: str
    """Figure 2: asks the teacher for improved responses."""
    training: str
    """Figure 6: what the improver is trained on, without the reference."""
    refining: str
    """Figure 7: what the improver refines with, reference included."""


PREFERENCE_STAGES = ("dpo", "spin", "sgpo")
"""The fields of `MethodSettings` that are preference stages."""


@dataclass(frozen=True, slots=True)
class MethodSettings:
    """Settings of each training stage (sections 4.2, 4.2.1 and 4.2.2)."""

    sft: TrainingSettings
    improver: TrainingSettings
    dpo: PreferenceSettings
    spin: PreferenceSettings
    sgpo: PreferenceSettings

    def __post_init__(self) -> None:
        """Raises ValueError for a stage that would train nothing."""
        for name, stage in ((each.name, getattr(self, each.name)) for each in fields(self)):
            training = stage.training if isinstance(stage, PreferenceSettings) else stage
            if not training.learning_rate:
                raise ValueError(f"{name}: learning_rate must be above 0")

    def with_preference_rates(self, rates: Mapping[str, float]) -> "MethodSettings":
        """The settings with another learning rate in each preference stage that `rates` names."""
        stages: dict[str, PreferenceSettings] = {name: getattr(self, name) for name in rates}
        changed: dict[str, Any] = {
            name: replace(stage, training=replace(stage.training, learning_rate=rates[name]))
            for name, stage in stages.items()
        }
        return replace(self, **changed)


@dataclass(frozen=True, slots=True)
class Ingredients:
    """One base model, the data roles, the teacher and the settings: all a method composes its steps from."""

    base: Artifact
    teacher: Artifact
    demonstrations: Artifact
    """`Response` rows for supervised fine-tuning (UltraChat in the paper)."""
    improver_data: Artifact
    """S_R: `Response` rows, prompts with good references (DPO-Mix-7K)."""
    preference_data: Artifact
    """`PreferencePair` rows; the chosen responses are the references of S_P (UltraFeedback)."""
    prompts: RefinePrompts
    sampling: Sampling
    settings: MethodSettings
    seed: int


@dataclass(frozen=True, slots=True)
class Card:
    """Where a method comes from, and where each of its hyper-parameters does."""

    summary: str
    paper: str
    section: str
    equations: str = ""
    hyperparameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Method:
    """A method as the registry knows it: `build` composes the steps that lead to its checkpoint."""

    card: Card
    build: Callable[..., Artifact]
    variant: Any = None
    """The settings that make it one of several of a kind: a frozen dataclass that `build` takes as `variant`, too."""

    def with_settings(self, settings: Mapping[str, Any], where: str) -> "Method":
        """The method with some fields of its `variant` replaced. Raises UserError for a field that it does not have."""
        if self.variant is None:
            raise UserError(f"{where}: this method has no settings to change")
        variant = from_mapping(type(self.variant), {**asdict(self.variant), **settings}, where)
        changed = ", ".join(f"{name} = {value}" for name, value in settings.items())
        card = replace(self.card, summary=f"{self.card.summary}; with {changed}")
        return Method(card, partial(self.build, variant=variant), variant)

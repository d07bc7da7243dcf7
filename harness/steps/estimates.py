"""Assumptions about data and models that are not at hand: configs/estimates.yaml."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from harness.config.yaml_files import config_path, load_yaml
from harness.errors import UserError
from harness.models.memory import ModelShape, shape_in, shape_of
from harness.models.references import checkpoint_folder


@dataclass(frozen=True, slots=True)
class PlanNote:
    """One sentence of a forecast, such as an assumption with its source. `about` names its subject, for programs."""

    about: str
    text: str


@dataclass(frozen=True, slots=True)
class DataEstimate:
    """Mean tokens of a data set's rows; `spread` is how far off they may be, as a share."""

    reference: str
    prompt: float
    answer: float
    spread: float
    source: str
    download_mb: float = 0.0

    def assumption(self, reference: str) -> PlanNote:
        """Say what is assumed of the data set `reference`."""
        name = reference.partition("@")[0]
        lengths = f"{self.prompt:g} tokens of prompt and {self.answer:g} of answer a row, ±{self.spread:.0%}"
        return PlanNote(f"data: {name}", f"{name}: {lengths}. {self.source}")


@dataclass(frozen=True, slots=True)
class NumberEstimate:
    """A number with the share `spread` that it may be off; `text` says it in words, with fields for both."""

    about: str
    value: float
    text: str
    source: str
    spread: float = 0.0

    @property
    def assumption(self) -> PlanNote:
        """The sentence, with the source."""
        return PlanNote(self.about, f"{self.text.format(value=self.value, spread=self.spread)}: {self.source}")


@dataclass(frozen=True, slots=True)
class ReplyTime:
    """Seconds until an endpoint replies: with one token, and with an explanation."""

    short_seconds: float
    long_seconds: float
    source: str


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model's config.json, as far as its size follows from it."""

    source: str
    config: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Estimates:
    """configs/estimates.yaml."""

    data: tuple[DataEstimate, ...]
    unknown_data: DataEstimate
    policy_answer: NumberEstimate
    """The length of a model's answer as a share of the reference answer's to the same prompt."""
    teacher_answer: NumberEstimate
    """The length of a teacher's answer in tokens."""
    improvement: NumberEstimate
    """The length of an improvement as a share of its draft's."""
    revision: NumberEstimate
    """The length of a revision as a share of the answer's before it."""
    kept_by_filter: NumberEstimate
    """The share of rows that the filter keeps."""
    asking: ReplyTime
    models: dict[str, KnownModel]

    def of_data(self, reference: str) -> DataEstimate:
        """Find what is assumed of a data set: the entry with the longest name that its reference begins with."""
        known = [each for each in self.data if reference.startswith(each.reference)]
        return max(known, key=lambda each: len(each.reference), default=self.unknown_data)


@cache
def load_estimates() -> Estimates:
    """Read the package's estimates."""
    return load_yaml(config_path("estimates.yaml"), Estimates)


@cache
def model_shape(reference: str) -> ModelShape | None:
    """Return the shape of the model `reference`: of its files, or as stated; None where neither is known."""
    try:
        return shape_in(checkpoint_folder(reference))
    except UserError:
        stated = load_estimates().models.get(reference) or load_estimates().models.get(reference.partition("@")[0])
        return shape_of(stated.config) if stated else None

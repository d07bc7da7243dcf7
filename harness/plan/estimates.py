"""What is supposed of data and models that are not at hand: configs/estimates.yaml."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from harness.config.yaml_files import config_path, load_yaml
from harness.errors import UserError
from harness.models.memory import ModelShape, shape_in, shape_of
from harness.models.references import checkpoint_folder


@dataclass(frozen=True, slots=True)
class DataEstimate:
    """Mean tokens of a data set's rows; `spread` is how far off they may be, as a share."""

    reference: str
    prompt: float
    answer: float
    spread: float
    source: str
    download_mb: float = 0.0


@dataclass(frozen=True, slots=True)
class Relative:
    """A length as a share of another."""

    spread: float
    source: str
    of_reference: float = 1.0
    of_draft: float = 1.0


@dataclass(frozen=True, slots=True)
class Absolute:
    """A length in tokens."""

    tokens: float
    spread: float
    source: str


@dataclass(frozen=True, slots=True)
class Kept:
    """The share of rows that the filter keeps."""

    share: float
    low: float
    source: str


@dataclass(frozen=True, slots=True)
class Asking:
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
    policy_answer: Relative
    teacher_answer: Absolute
    improvement: Relative
    kept_by_filter: Kept
    asking: Asking
    models: dict[str, KnownModel]

    def of_data(self, reference: str) -> DataEstimate:
        """What is supposed of a data set: the entry with the longest name that its reference begins with."""
        known = [each for each in self.data if reference.startswith(each.reference)]
        return max(known, key=lambda each: len(each.reference), default=self.unknown_data)


@cache
def load_estimates() -> Estimates:
    """What the package supposes."""
    return load_yaml(config_path("estimates.yaml"), Estimates)


@cache
def model_shape(reference: str) -> ModelShape | None:
    """The shape of the model that `reference` stands for: of its files, or as stated; None where neither is known."""
    try:
        return shape_in(checkpoint_folder(reference))
    except UserError:
        stated = load_estimates().models.get(reference) or load_estimates().models.get(without_revision(reference))
        return shape_of(stated.config) if stated else None


def without_revision(reference: str) -> str:
    """The reference up to its revision."""
    return reference.partition("@")[0]

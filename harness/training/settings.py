"""Optimisation settings of a training stage."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

Precision = Literal["float32", "bfloat16"]
Optimizer = Literal["adamw", "rmsprop"]
LearningRateSchedule = Literal["cosine", "linear"]


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Optimisation settings (section 4.2). `global_batch_size` is the effective one, whatever it is spread over.

    `precision` is that of the forward and backward passes; weights and optimizer are kept in float32. The optimizers
    are torch's AdamW without weight decay and RMSprop without momentum; `schedule` is how the learning rate goes to
    zero after `warmup_share` of the steps.
    """

    learning_rate: float
    epochs: int
    global_batch_size: int
    max_length: int
    warmup_share: float
    precision: Precision = "float32"
    optimizer: Optimizer = "adamw"
    schedule: LearningRateSchedule = "cosine"

    def __post_init__(self) -> None:
        """Raise ValueError for settings that no training can have. A rate of 0 is allowed, and changes nothing.

        The trainer would read a share of 1 or more as a number of steps.
        """
        for name in ("epochs", "global_batch_size", "max_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)}")
        if self.learning_rate < 0:
            raise ValueError(f"learning_rate must not be negative, but is {self.learning_rate:g}")
        if not 0 <= self.warmup_share < 1:
            raise ValueError(f"warmup_share is a share of all steps, from 0 to below 1, not {self.warmup_share:g}")


@dataclass(frozen=True, slots=True)
class PreferenceSettings:
    """Settings of a DPO stage: `beta` is Eq. 6's."""

    beta: float
    training: TrainingSettings

    def __post_init__(self) -> None:
        """Raise ValueError for a β that makes the loss a constant, or turns it round."""
        if not self.beta > 0:
            raise ValueError(f"beta must be above 0, not {self.beta:g}")


def autocast(precision: Precision, device: str) -> AbstractContextManager[Any]:
    """Return the context for forward passes of training, and of the reference that it is measured against.

    Weights that are rounded for a layer are not kept for the next one: of a model in shards, that would gather it.
    """
    import torch

    if precision == "float32":
        return nullcontext()
    return torch.autocast(device, torch.bfloat16, cache_enabled=False)

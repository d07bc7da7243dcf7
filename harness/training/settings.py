"""Optimisation settings of a training stage."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

Precision = Literal["float32", "bfloat16"]
Optimizer = Literal["adamw", "rmsprop", "adamw_8bit"]
LearningRateSchedule = Literal["cosine", "linear", "constant", "inverse_sqrt"]
KeepTail = Literal["unless_ended", "always"]
MovingReference = Literal["policy", "ema"]


@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank adapters (Hu et al. 2021): trained in the place of the weights, and merged into them at the end.

    The defaults are those of TRL's scripts. Without `target_modules`, peft chooses by architecture: the query and value
    projections of Llama, Qwen2 and Mistral.
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05
    target_modules: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for settings that no adapter can have."""
        for name in ("rank", "alpha"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} of lora must be 1 or more, not {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout of lora must be from 0 to below 1, not {self.dropout:g}")
        if self.target_modules == ():
            raise ValueError("target_modules of lora must name a module; leave it out for those of the architecture")


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Optimisation settings (section 4.2). `global_batch_size` is the effective one, whatever it is spread over.

    `precision` is that of the forward and backward passes; weights and optimizer are kept in float32. The optimizers
    are torch's AdamW, RMSprop without momentum, and AdamW of bitsandbytes with moments in 8 bits. The learning rate
    rises over `warmup_share` of the steps, or over `warmup_steps`; then `schedule` says how it falls: by a cosine to
    `final_rate_share` of the learning rate, by a line to 0, not at all, or with the inverse square root of the steps.
    No prompt may have more than `max_prompt_length` tokens.
    """

    learning_rate: float
    epochs: int
    global_batch_size: int
    max_length: int
    warmup_share: float = 0.0
    precision: Precision = "float32"
    optimizer: Optimizer = "adamw"
    schedule: LearningRateSchedule = "cosine"
    warmup_steps: int = 0
    final_rate_share: float = 0.0
    weight_decay: float = 0.0
    max_prompt_length: int | None = None
    lora: Lora | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for settings that no training can have. A rate of 0 is allowed, and changes nothing."""
        for name in ("epochs", "global_batch_size", "max_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)}")
        for name in ("learning_rate", "weight_decay", "warmup_steps"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, but is {getattr(self, name):g}")
        if not 0 <= self.warmup_share < 1:
            raise ValueError(f"warmup_share is a share of all steps, from 0 to below 1, not {self.warmup_share:g}")
        if self.warmup_share and self.warmup_steps:
            raise ValueError("give warmup_share or warmup_steps, not both")
        if not 0 <= self.final_rate_share <= 1:
            raise ValueError(f"final_rate_share is a share of the learning rate, not {self.final_rate_share:g}")
        if self.final_rate_share and self.schedule != "cosine":
            raise ValueError(f"final_rate_share is where a cosine ends; the schedule is {self.schedule}")
        if self.max_prompt_length is not None and not 1 <= self.max_prompt_length < self.max_length:
            raise ValueError(
                f"max_prompt_length must be from 1 to below max_length, {self.max_length}: not {self.max_prompt_length}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineSettings:
    """The way rejected answers are made while a policy trains (SAPO, arXiv 2405.20830, section 3 and Algorithm 1).

    At every `sample_every`-th step the EMA model draws a segment of `segment` tokens of each answer of the batch anew,
    at a random place, `responses` times; None draws whole answers. `keep_tail` says whether what comes after the
    segment also stays where the drawn one ends the answer: Equation 5 has "always", the authors' code "unless_ended".
    The pairs go into a replay buffer of the latest `buffer`, which a step's batch is drawn from; without a buffer it
    trains on those that it has made.
    The EMA model is θ_EMA ← `ema` θ_EMA + (1 − `ema`) θ (Eq. 6) after every `ema_every`-th step; for 0, the policy.
    The reference is what the training starts from; or, from `reference` "policy" or "ema", a copy of that model which
    is made anew every `reference_every` steps.
    """

    segment: int | None
    buffer: int | None
    ema: float
    ema_every: int = 1
    reference: MovingReference | None = None
    reference_every: int | None = None
    responses: int = 1
    sample_every: int = 1
    keep_tail: KeepTail = "unless_ended"
    temperature: float = 0.7
    top_p: float = 0.95

    def __post_init__(self) -> None:
        """Raise ValueError for settings that no training can have."""
        for name in ("segment", "buffer", "ema_every", "reference_every", "responses", "sample_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be 1 or more, not {value}")
        if not 0 <= self.ema <= 1:
            raise ValueError(f"ema is a coefficient from 0, the policy itself, to 1, no change: not {self.ema:g}")
        if (self.reference is None) != (self.reference_every is None):
            raise ValueError("give both or neither: reference, policy or ema, and reference_every, a number of steps")
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, not {self.temperature:g}: greedy answers teach one thing")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, not {self.top_p:g}")
        if self.buffer is None and (self.responses > 1 or self.sample_every > 1):
            raise ValueError("without a buffer a step trains on what it has made: responses and sample_every must be 1")

    def require_room(self, global_batch_size: int) -> None:
        """Raise ValueError where the buffer has no room for a batch."""
        if self.buffer is not None and self.buffer < global_batch_size:
            raise ValueError(
                f"buffer must be at least the global batch size, {global_batch_size}, not {self.buffer}: pairs would"
                " leave before they could be drawn"
            )


def autocast(precision: Precision, device: str) -> AbstractContextManager[Any]:
    """Return the context for forward passes of training, and of the reference that it is measured against.

    Weights that are rounded for a layer are not kept for the next one: of a model in shards, that would gather it.
    """
    import torch

    if precision == "float32":
        return nullcontext()
    return torch.autocast(device, torch.bfloat16, cache_enabled=False)

"""The resources that a machine gives to steps: no part of any key, since they change results by rounding alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

ExecutorKind = Literal["local", "ray"]
"""Where steps run: in processes of this machine, or on the nodes of a Ray cluster."""

TrackerKind = Literal["tensorboard", "wandb", "trackio"]
"""What the curves of trainings can be handed on to, by transformers' name and that of its package."""

Work = Literal["light", "asking", "likelihood", "generation", "training"]
"""What a step mostly does: little; waits for an endpoint; or runs a model, which wants an accelerator."""


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources that one step occupies while it runs; `memory_gb` is main memory, in GiB."""

    gpus: int = 0
    cpus: int = 1
    memory_gb: float = 0.0


@dataclass(frozen=True, slots=True)
class Tracking:
    """The tracker that a training's curves are handed on to, under the name `run`, and the `folder` it writes to."""

    tracker: TrackerKind
    run: str
    folder: str


@dataclass(frozen=True, slots=True)
class Compute:
    """The way models are trained and asked on the machine at hand.

    `accelerate` names a file of configs/accelerate. `micro_batch_size` is what one process takes at once; by default
    its whole share of the global batch. `save_every` counts optimizer steps between checkpoints of a running training.
    """

    accelerate: str = "single"
    processes: int = 1
    micro_batch_size: int | None = None
    gradient_checkpointing: bool = False
    save_every: int | None = None
    resources: Mapping[str, Resources] = field(default_factory=dict)
    """By kind of work; a step of any other kind occupies one processor."""
    executor: ExecutorKind = "local"
    ray_address: str | None = None
    """The cluster, as ``ray start --head`` says it; by default RAY_ADDRESS, else one that runs here, else a new one."""
    store: str | None = None
    """A URL that fsspec knows, where machines without a common file system share artifacts."""
    track: TrackerKind | None = None
    """What the curves of trainings are handed on to while these run."""

    def __post_init__(self) -> None:
        if stray := next((kind for kind in self.resources if kind not in get_args(Work)), None):
            raise ValueError(f"resources are by kind of work ({', '.join(get_args(Work))}), not {stray!r}")

    def needs(self, work: Work) -> Resources:
        """Return the resources that a step of this kind occupies."""
        return self.resources.get(work, Resources())

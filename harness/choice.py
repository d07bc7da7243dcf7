"""What a user chooses of a run, and the request that it comes to."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.experiments import Request
from harness.scales import JudgeRole, Scale, load_scale


@dataclass(frozen=True, slots=True)
class Choice:
    """A scale, training seeds, a selection of models and methods (empty for all), and what replaces the scale's own.

    `limit` bounds the rows of each data set, evaluation sets included. `compute` holds the fields of `Compute` that
    this machine has otherwise.
    """

    scale: str
    fast: bool = False
    limit: int | None = None
    seeds: tuple[int, ...] = (0,)
    models: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    judge: JudgeRole | None = None
    teacher: str | None = None
    compute: Mapping[str, Any] = field(default_factory=dict)

    def request(self) -> Request:
        """What is run. Raises UserError for an unknown scale, and for compute settings that there are not."""
        return Request(self._scale(), self.seeds, self.models, self.methods)

    def _scale(self) -> Scale:
        scale = load_scale(self.scale, fast=self.fast)
        scale = scale.at_most(self.limit) if self.limit else scale
        return replace(
            scale,
            judge=self.judge or scale.judge,
            teacher=self.teacher or scale.teacher,
            compute=replace(scale.compute, **self.compute),
        )

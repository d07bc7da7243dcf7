"""What a user chooses of a run, and the request that it comes to."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from harness.backends.judges import JudgeReference
from harness.experiments import Request
from harness.scales import JudgeRole, Scale, load_scale


@dataclass(frozen=True, slots=True)
class Choice:
    """A scale, training seeds, a selection of models and methods (empty for all), and what replaces the scale's own.

    `limit` bounds the rows of each data set, evaluation sets included. With `allow_missing`, or on a scale that has it,
    scores are shown that rest on part of the verdicts. `compute` holds the fields of `Compute` that this machine has
    otherwise.
    """

    scale: str
    fast: bool = False
    limit: int | None = None
    seeds: tuple[int, ...] = (0,)
    models: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    judge: JudgeRole | None = None
    teacher: str | None = None
    allow_missing: bool = False
    compute: Mapping[str, Any] = field(default_factory=dict)

    def judged_by(self, judge: JudgeReference | None, *, allow_missing: bool = False) -> "Choice":
        """The same choice with another judge, or with the scale's for None."""
        return replace(self, judge=JudgeRole.of(judge) if judge else None, allow_missing=allow_missing)

    def request(self) -> Request:
        """What is run. Raises UserError for an unknown scale, and for compute settings that there are not."""
        return Request(self._scale(), self.seeds, self.models, self.methods, asked=asdict(self))

    def _scale(self) -> Scale:
        scale = load_scale(self.scale, fast=self.fast)
        scale = scale.at_most(self.limit) if self.limit else scale
        return replace(
            scale,
            judge=self.judge or scale.judge,
            teacher=self.teacher or scale.teacher,
            allow_missing=self.allow_missing or scale.allow_missing,
            compute=replace(scale.compute, **self.compute),
        )

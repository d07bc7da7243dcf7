"""Tables of examples: responses side by side."""

from dataclasses import dataclass, field

from harness.errors import UserError, unknown
from harness.papers.exhibit import Exhibit


@dataclass(frozen=True, slots=True)
class SampleGroup:
    """Responses side by side to a few prompts: a method's sets of responses to training prompts, or methods' answers.

    `of` is the paper's table in whose manner they are shown. Changed words are marked against the first column.
    """

    of: str
    title: str
    model: str
    rows: int
    responses: dict[str, str] = field(default_factory=dict)
    """Column label -> set that `method` makes, on the data role `data`."""
    method: str = ""
    data: str = ""
    bench: str = ""
    methods: dict[str, str] = field(default_factory=dict)
    """Column label -> method, on `bench`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleTable(Exhibit):
    """Examples of responses, drawn by seed."""

    groups: tuple[SampleGroup, ...]

    def check(self) -> None:
        """Raises UserError where a group has neither sets of responses nor methods, or a model it cannot have."""
        for group in self.groups:
            if group.model not in self.models:
                raise unknown(f"model of {self.name}", group.model, self.models)
            if bool(group.responses and group.method and group.data) == bool(group.bench and group.methods):
                raise UserError(f"{group.title!r} needs either responses, method and data, or a bench with methods")

"""Tables of examples: responses side by side."""

from dataclasses import dataclass, field

from harness.errors import UserError
from harness.papers.exhibit import Exhibit


@dataclass(frozen=True, slots=True)
class SampleGroup:
    """Responses side by side to a few prompts: sets of responses to training prompts, or methods' answers on a bench.

    `of` is the paper's table in whose manner they are shown. Changed words are marked against the first column.
    """

    of: str
    title: str
    model: str
    rows: int
    data: str = ""
    responses: dict[str, str] = field(default_factory=dict)
    """Column label -> set of responses to the data role `data`."""
    bench: str = ""
    methods: dict[str, str] = field(default_factory=dict)
    """Column label -> method, on `bench`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleTable(Exhibit):
    """Examples of responses, drawn by seed. `method` makes the sets of responses, and names them."""

    method: str = ""
    groups: tuple[SampleGroup, ...]

    def check(self) -> None:
        """Raise UserError where a group has neither sets of responses nor methods, or a model it cannot have."""
        self.require_models(group.model for group in self.groups)
        for group in self.groups:
            if bool(group.responses) == bool(group.bench and group.methods):
                raise UserError(f"{group.title!r} needs either responses, or a bench with methods")
            if group.responses and not (group.data and self.method):
                raise UserError(f"{group.title!r} needs a data role, and its table the method of its responses")

"""A table or figure of a paper (an exhibit) as it is printed: what all kinds of them have."""

from collections.abc import Iterable
from dataclasses import dataclass

from harness.errors import UserError, unknown
from harness.papers.claims import Claim
from harness.papers.paper import Number, Paper


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """A table or figure of a paper, on some of its base models."""

    name: str
    paper: Paper
    label: str
    """The paper's, such as "Table 3"."""
    caption: str
    where: str
    models: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()

    seeds: int = 1
    """The number of training seeds of a run in which none is asked for."""

    @property
    def is_own_size(self) -> bool:
        """Whether it is reproduced as large as in the paper on every scale."""
        return False

    @property
    def less_is_better(self) -> bool:
        """Whether a claim's `better` is the lower one."""
        return False

    def subject(self, id: str) -> str:
        """Return the paper's label of what a claim compares. Raises UserError for an unknown one."""
        raise UserError(f"{self.name} has nothing that a claim could compare, such as {id!r}")

    def measure(self, bench: str, metric: str) -> str:
        """Return the column that a claim compares by, in the paper's words. Raises UserError for an unknown one."""
        raise UserError(f"{self.name} has nothing that a claim could compare by, such as {bench}/{metric}")

    def numbers(self) -> dict[str, Number]:
        """Return the printed numbers, by their place in the exhibit."""
        return {}

    def number(self, model: str, id: str, bench: str, metric: str) -> Number | None:
        """Return the printed number of what a claim compares, or None where nothing is printed."""
        return None

    def require_models(self, models: Iterable[str]) -> None:
        """Raise UserError for a model that is none of the exhibit's."""
        for model in models:
            if model not in self.models:
                raise unknown(f"model of {self.name}", model, self.models)

    def check(self) -> None:
        """Raise UserError where the exhibit contradicts itself."""


def require_distinct(kind: str, ids: Iterable[str]) -> None:
    """Raise UserError that names the first id which is there twice."""
    seen: set[str] = set()
    for id in ids:
        if id in seen:
            raise UserError(f"{kind} {id!r} is there twice; give each its own")
        seen.add(id)

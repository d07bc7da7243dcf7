"""Figures of a bandit: the action probabilities that methods learn from preferences between a few completions.

There is no model, no prompt and no judge in them. A policy is a table of logits, so that such a figure is reproduced at
the paper's own size, on every scale.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from harness.errors import UserError, named
from harness.papers.exhibit import Exhibit, require_distinct


@dataclass(frozen=True, slots=True)
class Behavior:
    """A behavior policy, which both completions of a pair are drawn from; `weights` of the actions need not sum to
    1."""

    id: str
    label: str
    weights: tuple[float, ...]

    @property
    def probabilities(self) -> tuple[float, ...]:
        """The probability of each action."""
        return tuple(weight / sum(self.weights) for weight in self.weights)


@dataclass(frozen=True, slots=True)
class BanditMethod:
    """A method by its preference `loss`, as a recipe writes one.

    `added` says what it is where the paper does not have it; `note` is what a reader of its numbers should know.
    """

    id: str
    label: str
    loss: dict[str, Any]
    added: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class BanditTraining:
    """Adam on a table of logits: its other settings are PyTorch's. Without a `batch_size` each step has all pairs.

    Logits start at 0, the uniform policy, or are drawn from N(0, 1).
    """

    steps: int
    learning_rate: float
    batch_size: int | None = None
    start: Literal["uniform", "normal"] = "uniform"


@dataclass(frozen=True, slots=True)
class OtherTraining:
    """The same on the side, trained otherwise."""

    id: str
    label: str
    training: BanditTraining


@dataclass(frozen=True, slots=True, kw_only=True)
class BanditFigure(Exhibit):
    """Learned action probabilities. `preferences` [row][column] is the probability that row is preferred to column.

    A training seed draws its own data set of `pairs` from each behavior. `others` show what the start and mini-batches
    change.
    """

    actions: tuple[str, ...]
    preferences: tuple[tuple[float, ...], ...]
    pairs: int
    behaviors: tuple[Behavior, ...]
    methods: tuple[BanditMethod, ...]
    training: BanditTraining
    others: tuple[OtherTraining, ...] = ()

    @property
    def is_own_size(self) -> bool:
        """A bandit is run as large as the paper has it, whatever the scale."""
        return True

    def method(self, id: str) -> BanditMethod:
        """Return a method. Raises UserError with the nearest id."""
        return named(f"method of {self.paper.name} {self.name}", id, {each.id: each for each in self.methods})

    def behavior(self, id: str) -> Behavior:
        """Return a behavior policy. Raises UserError with the nearest id."""
        return named(f"behavior of {self.paper.name} {self.name}", id, {each.id: each for each in self.behaviors})

    def subject(self, id: str) -> str:
        """Return what a claim calls ``srpo/y2``, a method's probability of an action: ``SRPO y2``."""
        return named(f"method and action of {self.paper.name} {self.name}", id, self._subjects())

    def _subjects(self) -> dict[str, str]:
        pairs = ((method, action) for method in self.methods for action in self.actions)
        return {f"{method.id}/{action}": f"{method.label} {action}" for method, action in pairs}

    def place(self, subject: str) -> tuple[str, int]:
        """Return the method and the number of the action of what a claim compares."""
        method, _, action = subject.rpartition("/")
        return method, self.actions.index(action)

    def measure(self, bench: str, metric: str) -> str:
        """Return ``probability, uniform µ0``: the behavior stands in the place of a bench."""
        measures = {f"{each.id}/probability": f"probability, {each.label}" for each in self.behaviors}
        return named(f"measure of {self.paper.name} {self.name}", f"{bench}/{metric}", measures)

    def check(self) -> None:
        """Raise UserError where sizes do not fit, or what should sum to 1 does not, or an id is there twice."""
        for kind, ids in (
            ("action", self.actions),
            ("behavior", [each.id for each in self.behaviors]),
            ("method", [each.id for each in self.methods]),
            ("training", [each.id for each in self.others]),
        ):
            require_distinct(kind, ids)
        for problem in self._problems():
            raise UserError(problem)

    def _problems(self) -> Iterator[str]:
        n = len(self.actions)
        if [len(row) for row in self.preferences] != [n] * n:
            yield f"preferences need {n} rows of {n} numbers, for {n} actions"
        elif any(abs(self.preferences[i][j] + self.preferences[j][i] - 1) > 1e-9 for i in range(n) for j in range(n)):
            yield "preferences of two actions over each other must sum to 1"
        for each in self.behaviors:
            if len(each.weights) != n or min(each.weights) <= 0:
                yield f"behavior {each.id!r} needs {n} weights above 0"
        for training in (self.training, *(each.training for each in self.others)):
            if min(training.steps, training.learning_rate, training.batch_size or 1) <= 0:
                yield "steps, learning_rate and batch_size must be above 0"
        if self.pairs < 1:
            yield "pairs must be 1 or more"

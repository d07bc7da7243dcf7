"""Figures of histograms: what is measured of sets of responses."""

from dataclasses import dataclass, field
from typing import Literal

from harness.errors import UserError, named
from harness.papers.exhibit import Exhibit, require_distinct
from harness.papers.paper import Number


@dataclass(frozen=True, slots=True)
class ValueSet:
    """One of the overlaid sets of a histogram. `filtered` sets are those that the IQR rule keeps (section 3.1.2)."""

    id: str
    label: str
    responses: str
    filtered: bool = False


@dataclass(frozen=True, slots=True)
class HistogramPanel:
    """One histogram of a figure."""

    title: str
    sets: tuple[ValueSet, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramFigure(Exhibit):
    """Histograms of a measure of responses to `prompts` randomly drawn prompts (all where None) of a data role.

    `method` makes the sets of responses and names them; `distance_from` is the set that edit distances are measured
    from; perplexities are under the checkpoint of the method `under`.
    """

    quantity: Literal["edit_distance", "perplexity"]
    data: str
    method: str
    prompts: int | None = None
    distance_from: str | None = None
    under: str | None = None
    log_scale: bool = False
    x: str
    y: str
    panels: tuple[HistogramPanel, ...]
    kept: dict[str, int] = field(default_factory=dict)
    """Published number of improver examples that the filter keeps, by base model (section 4.1.1)."""
    kept_of: int | None = None
    """Of how many, where that is known."""

    @property
    def less_is_better(self) -> bool:
        """Distances and perplexities."""
        return True

    def subject(self, id: str) -> str:
        """Return the label of one set of values. Raises UserError with the nearest id."""
        sets = {each.id: each.label for panel in self.panels for each in panel.sets}
        return named(f"set of {self.paper.name} {self.name}", id, sets)

    def measure(self, bench: str, metric: str) -> str:
        """Name the panel, ``edit distance`` or ``log-perplexity``, both better when less."""
        names = {"edit_distance/tokens": "edit distance", "perplexity/log_perplexity": "log-perplexity"}
        own = {name: label for name, label in names.items() if name.startswith(self.quantity)}
        return named(f"measure of {self.paper.name} {self.name}", f"{bench}/{metric}", own)

    def numbers(self) -> dict[str, Number]:
        """Return the published number of kept examples, by base model."""
        return {
            model: Number(count, 0, (self.name, model), f"examples kept for {self.paper.model(model)}")
            for model, count in self.kept.items()
        }

    def check(self) -> None:
        """Raise UserError where the figure lacks what its quantity is measured from or under, or repeats an id."""
        needed = "distance_from" if self.quantity == "edit_distance" else "under"
        if getattr(self, needed) is None:
            raise UserError(f"a figure of {self.quantity} needs {needed!r}")
        self.require_models(self.kept)
        require_distinct("set", (each.id for panel in self.panels for each in panel.sets))

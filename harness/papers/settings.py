"""Tables of how each benchmark is evaluated."""

from dataclasses import dataclass

from harness.papers.exhibit import Exhibit
from harness.papers.paper import Number


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """The paper's settings of one benchmark (its Table 2): `metrics` by our names, and in its words."""

    bench: str
    label: str
    examples: int
    baseline: str
    judge: str
    scoring: str
    metrics: tuple[str, ...]
    metrics_label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsTable(Exhibit):
    """The settings of each benchmark's evaluation."""

    benches: tuple[BenchSettings, ...]

    def numbers(self) -> dict[str, Number]:
        """Return the number of examples, by bench."""
        return {
            each.bench: Number(each.examples, 0, (self.name, each.bench), f"{self.label}: {each.label}, # Exs.")
            for each in self.benches
        }

"""Tables of how each benchmark is evaluated."""

from dataclasses import dataclass

from harness.papers.exhibit import Exhibit
from harness.papers.paper import Number


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """What the paper's Table 2 says of one benchmark: its `metrics` by our names, and in its words."""

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
    """How each benchmark is evaluated."""

    benches: tuple[BenchSettings, ...]

    def numbers(self) -> dict[str, Number]:
        """The number of examples, by bench."""
        return {
            each.bench: Number(each.examples, 0, (self.name, each.bench), f"{self.label}: {each.label}, # Exs.")
            for each in self.benches
        }

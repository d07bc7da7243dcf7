"""The ranges that diagnostics of the embedded world have to be in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """The range of a figure: set before it was looked at."""

    least: float = 0.0
    most: float = 1.0

    def __contains__(self, value: float) -> bool:
        return self.least <= value <= self.most


@dataclass(frozen=True, slots=True)
class BoundedValue:
    """One figure, and whether it is as it should be; None where nothing was set."""

    name: str
    value: float
    unit: str = ""
    bounds: Bounds | None = None

    @property
    def is_missed(self) -> bool:
        """Whether it is outside its bounds."""
        return self.bounds is not None and self.value not in self.bounds

    def __str__(self) -> str:
        set_beforehand = f"{self.bounds.least:g} to {self.bounds.most:g}" if self.bounds else ""
        return f"{self.value:8.3f}{self.unit:2} {set_beforehand:13} {'MISSED' if self.is_missed else '':6}  {self.name}"

"""Numbers that are not known exactly."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Range:
    """What a number is expected to be, and between which bounds it may well lie."""

    low: float
    expected: float
    high: float

    def __add__(self, other: "Range") -> "Range":
        return Range(self.low + other.low, self.expected + other.expected, self.high + other.high)

    def times(self, factor: float) -> "Range":
        """The same number in another unit, or so many times."""
        return Range(self.low * factor, self.expected * factor, self.high * factor)

    def over(self, divisor: "Range") -> "Range":
        """The quotient: low over high, expected over expected, high over low."""
        return Range(self.low / divisor.high, self.expected / divisor.expected, self.high / divisor.low)


NOTHING = Range(0.0, 0.0, 0.0)


def about(value: float, spread: float) -> Range:
    """`value`, give or take the share `spread`."""
    return Range(value * max(0.0, 1 - spread), value, value * (1 + spread))


def total(ranges: Iterable[Range]) -> Range:
    """The sum, bounds included: as if all errors went the same way, which a wrong assumption makes them do."""
    summed = NOTHING
    for each in ranges:
        summed = summed + each
    return summed

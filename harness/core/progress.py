"""What a running step tells, and how it is shown."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Advance:
    """A running step has done `done` of `total` `unit`s (rows, steps, ...), `rate` a second."""

    done: int
    total: int
    unit: str
    rate: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """A step waits for another process that is making the same artifact."""


Event = Advance | Waiting
Report = Callable[[Event], None]


def silent(event: Event) -> None:
    """A `Report` that tells nobody."""

"""Types of command-line values."""

import math
from typing import Any

import click


class FiniteFloat(click.FloatRange):
    """A number within a range. "nan" and "inf" are none: they compare as they like, and bound nothing."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number. Raises click.BadParameter for text that is none, or one outside the range."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number

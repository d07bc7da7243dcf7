"""Several tests at once: Holm's step-down procedure (Holm 1979, "A Simple Sequentially Rejective Multiple Test
Procedure").
"""

from collections.abc import Iterable, Sequence

import numpy as np

from evals.stats.power import SIGNIFICANCE


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of a family of tests, in the order given.

    With m tests, the k-th smallest p-value is multiplied by m - k + 1, raised to the largest of the products before it,
    and cut at 1. Calling "different" whatever has an adjusted p-value below 0.05 makes one false call or more in the
    whole family with probability 0.05 at most, however the tests depend on each other.
    Raises ValueError for a p-value outside [0, 1].
    """
    values = np.asarray(p_values, dtype=np.float64)
    if not np.all((values >= 0) & (values <= 1)):
        raise ValueError(f"p-values must lie in [0, 1]: {list(p_values)}")
    order = np.argsort(values)
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(stepped, 1)
    return [float(value) for value in adjusted]


def level_left(adjusted: Iterable[float]) -> float:
    """The level that Holm's method leaves to the first of the undecided tests, given all its adjusted p-values: 5 %
    over how many of these are undecided."""
    n_undecided = sum(p_value >= SIGNIFICANCE for p_value in adjusted)
    return SIGNIFICANCE / max(1, n_undecided)

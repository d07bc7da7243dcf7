"""Several tests at once: Holm's procedure (Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure"), and
partial conjunctions (Benjamini and Heller 2008, "Screening for Partial Conjunction Hypotheses").
"""

from collections.abc import Iterable, Sequence

import numpy as np

SIGNIFICANCE = 0.05


def holm(p_values: Sequence[float], family_size: int | None = None) -> list[float]:
    """Adjust the p-values of a family of tests; in the order given.

    With m tests, the k-th smallest p-value is multiplied by m - k + 1, raised to the largest of the products before it,
    and cut at 1. Calling "different" whatever has an adjusted p-value below 0.05 makes one false call or more in the
    whole family with probability 0.05 at most, however the tests depend on each other.

    With a `family_size` n above m the tests are a part of a larger family, whose parts share the 5 % by their sizes:
    products are multiplied by n / m as well. What a test of one part is called then does not depend on the others'.
    Raises ValueError for a p-value outside [0, 1].
    """
    values = np.asarray(p_values, dtype=np.float64)
    if not np.all((values >= 0) & (values <= 1)):
        raise ValueError(f"p-values must lie in [0, 1]: {list(p_values)}")
    share = max(1.0, (family_size or 0) / max(1, len(values)))
    order = np.argsort(values)
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1) * share)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(stepped, 1)
    return [float(value) for value in adjusted]


def level_left(adjusted: Sequence[float], family_size: int | None = None) -> float:
    """Return the level that Holm's method leaves to the first of the undecided tests, given all its adjusted p-values:
    5 %, or the share of a part of a larger family, over how many of these are undecided."""
    n_undecided = sum(p_value >= SIGNIFICANCE for p_value in adjusted)
    share = max(1.0, (family_size or 0) / max(1, len(adjusted)))
    return SIGNIFICANCE / share / max(1, n_undecided)


def partial_conjunction(p_values: Iterable[float], at_least: int) -> float:
    """Return the p-value of "at least so many of these n alternatives are true", from the p-value of each.

    (n - u + 1) times the u-th smallest, for u = `at_least`: with u = n the largest (an intersection-union test; Berger
    1982), with u = 1 Bonferroni's n times the smallest. It holds however the tests depend on each other.
    Raises ValueError for a number that n tests cannot reach.
    """
    ordered = sorted(p_values)
    if not 1 <= at_least <= len(ordered):
        raise ValueError(f"{at_least} of {len(ordered)} tests")
    return min(1.0, (len(ordered) - at_least + 1) * ordered[at_least - 1])


def evidence(p_values: Sequence[float], are_found: Sequence[bool], at_least: int) -> tuple[float, float]:
    """Return the p-values of "at least so many of these orderings hold" and of "they do not": so many are reversed.

    `p_values` are of two-sided tests, `are_found` whether each ordering is the one observed, `at_least` how many must
    hold. Both are partial conjunctions; with all required, the first is the largest p-value of the orderings found, the
    second Bonferroni's of those reversed.
    """
    found = [p if is_found else 1.0 for p, is_found in zip(p_values, are_found, strict=True)]
    against = [1.0 if is_found else p for p, is_found in zip(p_values, are_found, strict=True)]
    return partial_conjunction(found, at_least), partial_conjunction(against, len(against) - at_least + 1)

"""Paired tests of rows of a run that no claim of the paper is about, and what a setting was swept over."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RowComparison:
    """The test of one row of a table of scores against another, on one base model, by one metric.

    `difference`, with its own `ci95`, is the first minus the second in `unit`, or the second minus the first where less
    is better: above 0 where the first is better. `verdict` ("better", "worse" or "undecided", of the first) goes by
    `p_holm`, over all of these tests of the run; it is `on` "methods", or on these "checkpoints" with too few training
    seeds. An undecided one has its `minimum_detectable_effect` and what would decide it. One that is "withheld" has a
    `note` that says why.
    """

    model: str
    first: str
    second: str
    bench: str
    metric: str
    verdict: str
    on: str = ""
    difference: float | None = None
    ci95: tuple[float, float] | None = None
    p_value: float | None = None
    p_holm: float | None = None
    minimum_detectable_effect: float | None = None
    prompts_needed: int | None = None
    seeds_needed: int | None = None
    needed: str = ""
    n_prompts: int | None = None
    unit: str = "points"
    note: str = ""


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """A row with one value of the setting that is swept; `line` is the row without that setting.

    `value` is None for a setting that is no number.
    """

    row: str
    line: str
    value: float | None


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep over the values of one setting, such as ``beta``, with the rows that have it."""

    setting: str
    points: tuple[SweepPoint, ...]

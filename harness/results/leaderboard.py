"""The typed result of `harness leaderboard`: many models by what one judge said of them on the same prompts."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class RankedModel:
    """One model in a ranking: its score with a 95 % interval, and its rank with one that holds for all at once."""

    model: str
    score: float
    ci95: tuple[float, float]
    rank: int
    rank_ci95: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Ranking:
    """The models by one metric, the best first.

    `groups` are the longest runs of places in which no two models can be told apart, as first and last place from 1.
    `n_apart` of the `n_pairs` pairs of models are told apart.
    """

    metric: str
    unit: str
    places: tuple[RankedModel, ...]
    groups: tuple[tuple[int, int], ...]
    n_apart: int
    n_pairs: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that has no place, and why."""

    model: str
    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class ComparedPair:
    """A paired test of two models by one metric, `first` minus `second` in points; all None where it is `withheld`.

    The verdict is on the first, by the p-value that Holm's method adjusts over all pairs and metrics.
    """

    first: str
    second: str
    metric: str
    n_prompts: int
    difference: float | None = None
    ci95: tuple[float, float] | None = None
    p_value: float | None = None
    p_holm: float | None = None
    verdict: Literal["better", "worse", "undecided", "withheld"] = "withheld"
    withheld: str = ""


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """Rankings by one metric or more, the first leading; `judge` and `baseline` are "" where no file names one."""

    folder: str
    bench: str
    judge: str
    baseline: str
    n_prompts: int
    resamples: int
    rankings: tuple[Ranking, ...]
    left_out: tuple[LeftOut, ...] = ()
    pairs: tuple[ComparedPair, ...] = ()
    notes: tuple[str, ...] = ()

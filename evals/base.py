"""The interface of a benchmark: rows about a checkpoint, and metrics as statistics of them on shared items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Self, TypeVar, get_args

from evals.withholding import is_whole
from harness.endpoints.reference import EndpointReference
from harness.engine.artifacts import Artifact
from harness.models.generator import Sampling
from harness.records import Judgment
from harness.steps.data import DataRole
from harness.steps.judge_prompt import OFFICIAL_JUDGE

if TYPE_CHECKING:
    from evals.stats.bootstrap import Statistic

RESAMPLES = 1000
"""Of an interval, and of the variance of a difference."""

RowInput = Literal["model", "outputs", "baselines"]
NEEDS: tuple[RowInput, ...] = get_args(RowInput)
"""What rows can be made of: a checkpoint, its answers, and the answers of a baseline."""


# Metrics


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a benchmark. A share of the items is in "%", and its differences in points."""

    name: str
    unit: str = "%"
    higher_is_better: bool = True

    @property
    def is_share(self) -> bool:
        """Whether it lies between 0 and 100 %."""
        return self.unit == "%"


class ItemResults(ABC):
    """The results of one checkpoint on a benchmark's items, such as prompts, read from its rows; `metrics` are what
    they can give."""

    metrics: Sequence[Metric]

    @property
    @abstractmethod
    def items(self) -> Sequence[Any]:
        """The items with a result, each once."""

    @property
    def n_results(self) -> int:
        """The number of results that are there: one an item, unless a benchmark asks for more."""
        return len(self.items)

    @abstractmethod
    def statistic(self, metric: str, items: Sequence[Any]) -> Statistic:
        """Return the metric on `items` as prompt axis. Results on other items are left out."""

    def quick_statistic(self, metric: str, items: Sequence[Any]) -> Statistic:
        """Return `statistic`, or, where its resamples take long, a close approximation: for many checkpoints at
        once."""
        return self.statistic(metric, items)

    def withheld(self, metric: str, items: Sequence[Any], *, allow_missing: bool) -> str | None:
        """Return why there is no such metric on `items`, though there are enough of them; None where there is one."""
        return None


@dataclass(frozen=True, slots=True)
class PublishedMetric:
    """A published metric: what a score must rest on to bear its name."""

    title: str
    n_items: int
    items: str
    """What the items are called, such as "questions"."""
    baseline: str
    judges: tuple[str, ...]
    """The names of the judge that it is defined with, the one that its own tool writes first."""
    asked_judge: str = OFFICIAL_JUDGE
    """The model that is asked as this judge."""

    def departure(self, reasons: Iterable[str | None]) -> str | None:
        """Describe what keeps a score from being this metric, as one line; None where there is no reason."""
        known = [reason for reason in reasons if reason]
        return f"not {self.title}: {'; '.join(known)}" if known else None

    def departure_of_file(self, there: int, judge: str, baseline: str, *others: str | None) -> str | None:
        """Return the same of verdicts on `there` items; judge and baseline are "" where the file does not say."""
        part = None if is_whole(there, self.n_items) else f"on {there} of {self.n_items} {self.items}"
        by = f"judged by {judge}, not {self.judges[0]}" if judge and judge not in self.judges else None
        against = f"against {baseline}, not {self.baseline}" if baseline not in ("", self.baseline) else None
        return self.departure((part, *others, by, against))


# What a benchmark is run with


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a benchmark in a recipe; each benchmark has a class of its own.

    Data sets in it can be made smaller.
    """

    @property
    def size(self) -> int:
        """The number of items: rows of the first data set."""
        return self._data()[0].size

    def resized(self, size: int) -> Self:
        """Return the same with `size` rows of each data set."""
        changed: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, DataRole):
                changed[field.name] = replace(value, size=size)
            elif isinstance(value, tuple):
                changed[field.name] = tuple(replace(role, size=size) for role in value)
        return replace(self, **changed)

    def _data(self) -> list[DataRole]:
        return [value for field in fields(self) if isinstance(value := getattr(self, field.name), DataRole)]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineOptions(Options):
    """The options of a benchmark on instructions that a baseline answers."""

    baselines: DataRole


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The setting that a benchmark is run with: its own options, and those that all benchmarks have alike."""

    options: Any
    """An instance of the benchmark's `Options`."""
    judge: EndpointReference
    sampling: Sampling
    judge_repeats: int = 1
    """How often a judge is asked the same: more than once measures its own noise."""
    allow_missing: bool = False
    """Whether scores are shown that rest on less than 99 % of the results."""


S = TypeVar("S", bound=Setting)


@dataclass(frozen=True, slots=True)
class Scored:
    """Rows that were scored, one artifact a training seed, and the other inputs of their score, by name."""

    rows: Sequence[Artifact]
    score_input: Callable[[str], Artifact | None]


class Benchmark(ABC, Generic[S]):
    """A benchmark as the registry knows it: functions that compose steps.

    `metrics` are the columns that reports show. `Options` is the class of what a recipe says of it.
    """

    summary: ClassVar[str]
    source: ClassVar[str]
    metrics: ClassVar[tuple[Metric, ...]]
    needs: ClassVar[tuple[RowInput, ...]] = ("outputs",)
    """What `rows` is called with, beside the setting."""
    asks_judge: ClassVar[bool] = False
    """Whether a judge is asked."""
    verdict_type: ClassVar[type[Any]] = Judgment
    """The class of its rows, where a judge is asked."""
    counts_tokens: ClassVar[bool] = False
    """Whether `rows` also takes a checkpoint as `tokenizer`, where a user gives one beside stored outputs."""
    Options: ClassVar[Any] = BaselineOptions
    published: ClassVar[PublishedMetric | None] = None
    verdict_files: ClassVar[type[VerdictFiles] | None] = None
    """How stored verdicts in its official format are read, where it has one."""

    @abstractmethod
    def rows(self, setting: S, **given: Artifact) -> Artifact:
        """Return the rows about what `needs` names: `model`, a checkpoint; `outputs` and `baselines`, `Response`
        rows."""

    @abstractmethod
    def run(self, setting: S, checkpoint: Artifact, seed: int) -> Artifact:
        """Return the rows about a checkpoint, whose answers are sampled with `seed`."""

    @abstractmethod
    def score(self, setting: S, rows: Sequence[Artifact], name: str) -> Artifact:
        """Build `scores.json` of one method, one artifact of rows a training seed, as `evals.scoring.score` gives it.

        `seed-<n>/scores.json` is that of each: each of `metrics` (a number, or null where it is withheld), `ci95` (by
        metric: ``[low, high]`` or null), `n_asked`, `n_missing` and `withheld` (why no score is shown, or null). Files
        in the benchmark's official formats, where it has some, are beside it; `name` is the method's in them.
        """

    @abstractmethod
    def compare(self, setting: S, better: Sequence[Artifact], worse: Sequence[Artifact]) -> Artifact:
        """Build `comparison.json` of two methods, rows of both: by metric, what `evals.scoring.compare` gives."""

    @abstractmethod
    def results(self, scored: Sequence[Scored]) -> list[ItemResults]:
        """Return the results of all rows, to be compared. Raises UserError where they were not scored alike."""

    def summarise(self, rows: Artifact) -> Artifact | None:
        """Build `summary.json` of rows, which `harness eval` shows in the place of scores: counts, and objects with
        `value` and `ci95`; None where scores say it all."""
        return None

    def fingerprint(self, setting: S) -> str:
        """Return the identity of judge, judging prompt and parser; empty without a judge."""
        return ""


# Stored verdicts


@dataclass(frozen=True, slots=True)
class FileOptions:
    """The user's options for files of verdicts, beside their paths."""

    calibration: Path | None = None
    reference_outputs: Path | None = None
    allow_missing: bool = False


@dataclass(frozen=True, slots=True)
class StoredVerdicts:
    """The content of one file of verdicts; `judge`, `baseline` and `prompts`, the name of the set of prompts, are ""
    where it does not say."""

    path: Path
    model: str
    judge: str
    results: ItemResults
    baseline: str = ""
    prompts: str = ""
    note: str = ""
    """One line on what in the file the user should know of; empty for nothing."""


class VerdictFiles(ABC):
    """A reader of one benchmark's stored verdicts, for the options of a user."""

    takes: ClassVar[tuple[str, ...]] = ()
    """The options of the command line that matter to it, but for those that matter to all."""
    slow: ClassVar[str] = ""
    """The metric that takes long enough to be said."""

    def __init__(self, options: FileOptions) -> None:
        self._options = options

    @property
    @abstractmethod
    def metrics(self) -> Sequence[Metric]:
        """The metrics that the verdicts can give with these options."""

    @abstractmethod
    def read(self, path: Path) -> StoredVerdicts:
        """Return the verdicts in a file. Raises UserError for a file that is wrong."""

    @abstractmethod
    def score(self, path: Path) -> Mapping[str, Any]:
        """Return the scores of the verdicts in a file, and what they are of.

        Raises UserError for a file that is wrong.
        """

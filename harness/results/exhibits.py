"""Results of the exhibits of a paper: a class for each kind, with the exhibit as published beside what a run found."""

from dataclasses import dataclass
from typing import ClassVar

from harness.papers.bandit import BanditFigure
from harness.papers.curves import CurveFigure, point_id
from harness.papers.histograms import HistogramFigure
from harness.papers.kinds import AnyExhibit
from harness.papers.samples import SampleTable
from harness.papers.scores import ScoreTable
from harness.papers.settings import SettingsTable
from harness.papers.win_rates import WinRateTable


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Standard errors of a score in points, by what they come from; None where a part cannot be told apart."""

    prompts: float
    judge: float | None
    training_seeds: float | None
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number of ours on one base model, in per cent. `value` is None when it was withheld; `note` says why.

    `n` is the number of prompts; `n_asked` verdicts were asked for over all training seeds, of which `n_missing` are
    not there. `uncertainty` is None with one training seed and one verdict a pair.
    """

    model: str
    value: float | None
    ci95: tuple[float, float] | None = None
    per_seed: tuple[float, ...] | None = None
    """The value of each training seed."""
    n: int | None = None
    n_asked: int | None = None
    n_missing: int = 0
    uncertainty: Uncertainty | None = None
    judge: str = ""
    note: str = ""
    artifact: str = ""
    """Where the score lies in the store, and in the run's folder below `harness.results.verdicts.ARTIFACTS`."""
    judgments: tuple[str, ...] = ()
    """Where the verdicts, or the rows of a bench without a judge, lie there: one place a training seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score(Estimate):
    """The score of a method by one metric of a bench."""

    method: str
    bench: str
    metric: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WinRate(Estimate):
    """The judge's win rate of one match; each prompt is judged in both orders.

    `wins`, `draws` and `losses` count prompts, over all training seeds. `consistency` is the share of prompts, in per
    cent, on which both orders agree.
    """

    match: str
    wins: int | None = None
    draws: int | None = None
    losses: int | None = None
    consistency: float | None = None


@dataclass(frozen=True, slots=True)
class RateMove:
    """The points by which a score moves at half and at twice a learning rate; None where that is not known."""

    bench: str
    metric: str
    half: float | None
    twice: float | None


@dataclass(frozen=True, slots=True)
class RowRate:
    """The learning rate of a method's preference stage on one base model, and what chose it, in words."""

    model: str
    method: str
    rate: float
    chosen: str
    moves: tuple[RateMove, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostics:
    """The properties of a method's answers on a bench that the judge cannot see, over all training seeds.

    Mean gold quality in [0, 1] and mean length in words, None where the truth is not known; answers, and those of them
    that the token limit cut off; rows of all trainings behind them of which an answer had been cut off, so that its end
    was not learnt.
    """

    model: str
    method: str
    bench: str
    gold_quality: float | None = None
    mean_words: float | None = None
    cut_off: int
    answers: int
    unclosed_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExhibitResult:
    """An exhibit as published, and the base models that were run; none where it is the same for all.

    `seeds` are its training seeds where they are not the run's.
    """

    exhibit: AnyExhibit
    models: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoresResult(ExhibitResult):
    """A table of benchmark scores, with the rows that were run. Rows of ours are in the exhibit too."""

    kind: ClassVar[str] = "scores"
    exhibit: ScoreTable
    rows: tuple[str, ...]
    cells: tuple[Score, ...]
    diagnostics: tuple[Diagnostics, ...] = ()
    learning_rates: tuple[RowRate, ...] = ()
    """Of the rows that end with a preference stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WinRatesResult(ExhibitResult):
    """Judge win rates between sets of responses."""

    kind: ClassVar[str] = "win_rates"
    exhibit: WinRateTable
    cells: tuple[WinRate, ...]


@dataclass(frozen=True, slots=True)
class SetValues:
    """The values of one set of responses on one base model, one for each response."""

    model: str
    panel: int
    set: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class FilterCount:
    """The number of improver examples that the filter kept, and of how many, on one base model."""

    model: str
    kept: int
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramsResult(ExhibitResult):
    """Histograms, of the first training seed."""

    kind: ClassVar[str] = "histograms"
    exhibit: HistogramFigure
    unit: str
    """What the values are counted in, such as words."""
    values: tuple[SetValues, ...]
    kept: tuple[FilterCount, ...] = ()


@dataclass(frozen=True, slots=True)
class EvaluationSetting:
    """The evaluation of one benchmark in this run, in the terms of `harness.papers.BenchSettings`.

    `orders` says in how many orders the judge is shown a pair.
    """

    bench: str
    examples: int
    baseline: str
    judge: str
    scoring: str
    orders: str
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsResult(ExhibitResult):
    """Evaluation details."""

    kind: ClassVar[str] = "settings"
    exhibit: SettingsTable
    benches: tuple[EvaluationSetting, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """The responses to one prompt: column label -> text."""

    prompt_id: str
    prompt: str
    responses: dict[str, str]


@dataclass(frozen=True, slots=True)
class SampleSet:
    """The samples of one group: its place among the groups of `harness.papers.SampleTable`."""

    group: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplesResult(ExhibitResult):
    """Examples of responses, of the first training seed."""

    kind: ClassVar[str] = "samples"
    exhibit: SampleTable
    groups: tuple[SampleSet, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionProbability:
    """The probability that a method learns for an action, numbered from 0: mean and standard deviation over training
    seeds, and what an analytic solution has.

    `training` is the id of another training of the exhibit; empty for its own. `sd` is None with one training seed.
    """

    training: str
    behavior: str
    method: str
    action: int
    probability: float
    sd: float | None
    analytic: float | None


@dataclass(frozen=True, slots=True)
class MostLikely:
    """In how many training seeds each action is the most likely one, and the mean loss on all pairs."""

    training: str
    behavior: str
    method: str
    counts: tuple[int, ...]
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BanditResult(ExhibitResult):
    """Learned action probabilities of a bandit."""

    kind: ClassVar[str] = "bandit"
    exhibit: BanditFigure
    probabilities: tuple[ActionProbability, ...]
    most_likely: tuple[MostLikely, ...]


@dataclass(frozen=True, slots=True)
class BootstrapBand:
    """The paper's band: mean and standard deviation, in per cent, of bootstrap win rates, each on `size` of `n_prompts`
    prompts."""

    mean: float
    sd: float
    size: int
    n_prompts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint(Estimate):
    """The win rate of a line of a curve, at a place `x` on its axis, in a panel.

    Of the `answers`, over all training seeds, `unrevised` are those before the last revision, whose prompt had no room
    in the model. `gold_quality`, in [0, 1], and `mean_words` are None where the truth is not known.
    """

    panel: str
    line: str
    x: float
    band: BootstrapBand | None = None
    answers: int = 0
    unrevised: int = 0
    gold_quality: float | None = None
    mean_words: float | None = None

    @property
    def id(self) -> str:
        """The name of the point in its exhibit: ``srpo/3``."""
        return point_id(self.line, self.x)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveMargin:
    """The difference of two points that the paper's text prints: its place among the exhibit's, and what it is here, in
    percentage points. `difference` is None where it is withheld; `note` says why."""

    model: str
    margin: int
    difference: float | None
    ci95: tuple[float, float] | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvesResult(ExhibitResult):
    """Win rates over the number of revisions, or over a setting of the method."""

    kind: ClassVar[str] = "curves"
    exhibit: CurveFigure
    points: tuple[CurvePoint, ...]
    margins: tuple[CurveMargin, ...] = ()


Result = ScoresResult | WinRatesResult | HistogramsResult | SettingsResult | SamplesResult | BanditResult | CurvesResult

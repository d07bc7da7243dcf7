"""What every evaluation starts from, and what every evaluation says of itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from harness.endpoints.reference import EndpointReference
from harness.engine.artifacts import Artifact
from harness.models.generator import Sampling
from harness.steps.judge import Protocol, judge_fingerprint, judge_pairs
from harness.steps.judge_prompt import JudgePrompt

Need = Literal["model", "outputs", "baselines"]
NEEDS: tuple[Need, ...] = get_args(Need)
"""What a measurement can be given."""

RESAMPLES = 1000
"""Of an interval, and of the variance of a difference."""


@dataclass(frozen=True, slots=True)
class Bench:
    """An evaluation set with its baseline's answers, and the judge that compares."""

    baselines: Artifact
    """`Response` rows: the instructions in their official order, answered by the baseline."""
    baseline_name: str
    judge: EndpointReference
    prompt: JudgePrompt
    sampling: Sampling
    judge_repeats: int = 1
    """How often each pair is judged in each order: more than once measures the judge's own noise."""
    allow_missing: bool = False
    """Whether scores are shown that rest on less than 99 % of the verdicts."""
    gamed_baselines: tuple[Artifact, ...] = ()
    """The baseline's answers made longer or shorter: what AlpacaEval's length control is calibrated on."""
    difficulty_pool: tuple[Artifact, ...] = ()
    """Other writers' answers: what the difficulty of an instruction is estimated from."""
    length_calibration: Artifact | None = None
    """A finished calibration of the length control, where there is one and it need not be made."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A judged evaluation as the registry knows it: functions that compose steps."""

    summary: str
    source: str
    metrics: tuple[str, ...]
    """The columns of the score that reports show."""
    protocol: Protocol
    """In which orders pairs are shown, and how a reply is read."""
    answers: Callable[[Bench, Artifact, int], Artifact]
    """(bench, checkpoint, seed) -> `Response` rows: the checkpoint's answers to the instructions."""
    score: Callable[[Bench, Sequence[Artifact], str], Artifact]
    """(bench, judgments of one method, one artifact a training seed; its name in official files) -> `scores.json` over
    all training seeds, as `evals.summaries.over_training_seeds` gives it, and `seed-<n>/scores.json` of each.

    In the latter stand each of `metrics` (a number, or null where it is withheld), `ci95` (by metric, or one for all:
    ``[low, high]`` or null), `n_asked`, `n_missing` and `withheld` (why no score is shown, or null).
    """
    compare: Callable[[Bench, Sequence[Artifact], Sequence[Artifact]], Artifact]
    """(bench, judgments of the better, judgments of the worse) -> `comparison.json`, one paired test a metric."""

    def judgments(self, bench: Bench, outputs: Artifact) -> Artifact:
        """`Judgment` rows of `outputs` against the bench's baseline."""
        return judge_pairs(
            judge=bench.judge,
            prompt=bench.prompt,
            protocol=self.protocol,
            outputs=outputs,
            baselines=bench.baselines,
            repeats=bench.judge_repeats,
        )

    def fingerprint(self, bench: Bench) -> str:
        """What identifies judge, judging prompt and parser."""
        return judge_fingerprint(bench.judge, bench.prompt, self.protocol)


@dataclass(frozen=True, slots=True)
class Measurement:
    """An evaluation without a judge, as the registry knows it.

    `summary.json`, which `measure` saves, is one object. It has `n`, how many rows were measured, and `n_missing`, how
    many could not be; every other `n_...` is a whole number too. Each figure is
    ``{"value": number, "ci95": [low, high]}``, with a null interval where there is none, or null where nothing was
    measured; figures may be grouped in objects, by name. Text stays for readers of the JSON. Anything else, such as a
    number without its interval, is a UserError when the summary is read (`evals.contracts`).
    """

    summary: str
    source: str
    needs: tuple[Need, ...]
    """The artifacts that `measure` takes, as keyword arguments."""
    measure: Callable[..., Artifact]
    """Called with what `needs` names -> an artifact with `summary.json`, and, for those who look closer, its rows."""
    counts_tokens: bool = False
    """Whether `measure` also takes a checkpoint as `tokenizer`, where one is given beside the outputs."""

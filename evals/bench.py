"""What every evaluation starts from, and what every evaluation says of itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.backends.interfaces import Sampling
from harness.backends.judges import JudgeReference
from harness.core.artifacts import Artifact
from harness.steps.judge import Protocol, judge_fingerprint, judge_pairs
from harness.steps.judge_prompt import JudgePrompt

RESAMPLES = 1000
"""Of an interval, and of the variance of a difference."""


@dataclass(frozen=True, slots=True)
class Bench:
    """An evaluation set with its baseline's answers, and the judge that compares."""

    baselines: Artifact
    """`Response` rows: the instructions in their official order, answered by the baseline."""
    baseline_name: str
    judge: JudgeReference
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
    """(bench, judgments of one method, one artifact a training seed; its name in official files) -> `scores.json`."""
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
    """An evaluation without a judge, as the registry knows it."""

    summary: str
    source: str
    needs: tuple[Literal["model", "outputs", "baselines"], ...]
    """The artifacts that `measure` takes, as keyword arguments."""
    measure: Callable[..., Artifact]
    """-> `summary.json` and saved rows."""
    counts_tokens: bool = False
    """Whether `measure` also takes a checkpoint as `tokenizer`, where one is given beside the outputs."""

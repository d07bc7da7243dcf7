"""What every evaluation starts from, and what every evaluation says of itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.backends.interfaces import Sampling
from harness.core.artifacts import Artifact


@dataclass(frozen=True, slots=True)
class Bench:
    """An evaluation set with its baseline's answers, and the judge that compares."""

    baselines: Artifact
    """`Response` rows: the instructions in their official order, answered by the baseline."""
    baseline_name: str
    judge: Artifact
    judge_name: str
    template: str
    """The judging prompt; fields {request}, {first} and {second}."""
    sampling: Sampling
    gamed_baselines: tuple[Artifact, ...] = ()
    """The baseline's answers made longer or shorter: what AlpacaEval's length control is calibrated on."""
    difficulty_pool: tuple[Artifact, ...] = ()
    """Other writers' answers: what the difficulty of an instruction is estimated from."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation as the registry knows it: functions that compose steps; several judgment sets are several seeds."""

    summary: str
    source: str
    metrics: tuple[str, ...]
    """The columns of the score that reports show."""
    judgments: Callable[[Bench, Artifact, int], Artifact]
    """(bench, checkpoint, seed) -> `Judgment` rows."""
    score: Callable[[Bench, Sequence[Artifact], str], Artifact]
    """(bench, judgments of one method, one artifact a seed; its name in official files) -> `scores.json`."""
    compare: Callable[[Bench, Sequence[Artifact], Sequence[Artifact]], Artifact]
    """(bench, judgments of the better, judgments of the worse) -> `comparison.json`, one paired test a metric."""
    fingerprint: Callable[[Bench], str]
    """What identifies judge, judging prompt and parser."""

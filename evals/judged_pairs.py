"""Benchmarks whose rows are a judge's verdicts on pairs: an answer of the checkpoint's, and a baseline's."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from evals.base import Benchmark, Setting
from harness.engine.artifacts import Artifact
from harness.models.generator import Sampling
from harness.steps.judge import Protocol, judge_fingerprint, judge_pairs
from harness.steps.judge_prompt import JudgePrompt
from harness.steps.respond import respond


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSetting(Setting):
    """The instructions with a baseline's answers, and how the judge is asked."""

    baselines: Artifact
    """`Response` rows: the instructions in their official order, answered by the baseline."""
    baseline_name: str
    prompt: JudgePrompt
    is_published: bool = False
    """Whether instructions, baseline and judge are those of the published metric, whose files are on the hub."""


class JudgedPairs(Benchmark[PairSetting]):
    """A benchmark whose rows are `Judgment`s: scores are made of them alone."""

    asks_judge = True
    protocol: ClassVar[Protocol]
    """In which orders pairs are shown, and how a reply is read."""

    def answers(self, setting: PairSetting, checkpoint: Artifact, seed: int) -> Artifact:
        """Return the checkpoint's `Response` rows to the instructions."""
        return respond(model=checkpoint, prompts=setting.baselines, sampling=self.sampling(setting.sampling), seed=seed)

    def sampling(self, sampling: Sampling) -> Sampling:
        """Return the sampling of answers; by default that of all benchmarks."""
        return sampling

    def with_files(self, setting: PairSetting, calibration: Path | None, data: str | None) -> PairSetting:
        """Return the setting with the user's files: a length `calibration`, and `data` in the place of the hub's."""
        return setting

    def rows(self, setting: PairSetting, **given: Artifact) -> Artifact:
        """Build `Judgment` rows of `outputs` against the baseline."""
        return judge_pairs(
            judge=setting.judge,
            prompt=setting.prompt,
            protocol=self.protocol,
            outputs=given["outputs"],
            baselines=setting.baselines,
            repeats=setting.judge_repeats,
        )

    def run(self, setting: PairSetting, checkpoint: Artifact, seed: int) -> Artifact:
        """Build `Judgment` rows of the checkpoint's answers."""
        return self.rows(setting, outputs=self.answers(setting, checkpoint, seed))

    def fingerprint(self, setting: PairSetting) -> str:
        """Return the identity of judge, judging prompt and parser."""
        return judge_fingerprint(setting.judge, setting.prompt, self.protocol)

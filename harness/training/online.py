"""Pairs that are made while a policy trains: an EMA model of it draws segments of the rejected answers.

All that is random depends on the seed and on what it is for, so that a training goes on where it was stopped.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from harness.models.generator import Sampling
from harness.models.hf import TransformersGenerator
from harness.training.job import Job, OnlineStep
from harness.training.losses import CHOSEN, PROMPT, REJECTED, ScoredSequence
from harness.training.replay import OnlinePair, ReplayBuffer
from harness.training.segments import cut_answer, seed_of
from harness.training.settings import OnlineSettings
from harness.training.token_tree import TokenTree, token_tree
from harness.training.trainer import round_passes


class EmaModel:
    """A moving average of the policy's weights, which draws."""

    def __init__(self, job: Job) -> None:
        import torch

        self._generator = TransformersGenerator(Path(job.model))
        self.model = self._generator.model.to(torch.float32)
        if job.settings.precision == "bfloat16":
            round_passes(self.model, self.model.device.type)
        self.ends = self._generator.ends
        self._limit = job.settings.max_length

    def average(self, policy: Any, coefficient: float) -> None:
        """Move towards the policy: θ_EMA ← α θ_EMA + (1 − α) θ, with the coefficient α (SAPO, Eq. 6)."""
        import torch

        with torch.no_grad():
            for mean, weight in zip(self.model.parameters(), policy.parameters(), strict=True):
                mean.lerp_(weight.detach(), 1 - coefficient)

    def draw(
        self, beginnings: Sequence[list[int]], lengths: Sequence[int], seeds: Sequence[int], online: OnlineSettings
    ) -> list[list[int]]:
        """Return at least `lengths` tokens after each beginning, or fewer where the answer ends.

        Rows are drawn together, as many tokens as the longest wants; one too long for that is drawn by itself.
        """
        most = max(lengths)
        together = [place for place, ids in enumerate(beginnings) if len(ids) + most <= self._limit]
        alone = [[place] for place, ids in enumerate(beginnings) if len(ids) + most > self._limit]
        drawn: dict[int, list[int]] = {}
        for places in filter(None, [together, *alone]):
            sampling = Sampling(online.temperature, online.top_p, max(lengths[place] for place in places))
            rows = [beginnings[place] for place in places]
            answers = self._generator.continuations(rows, sampling, [seeds[place] for place in places])
            drawn |= dict(zip(places, answers, strict=True))
        return [drawn[place] for place in range(len(beginnings))]


class OnlinePairs:
    """The pairs of each step: drawn by the EMA model, kept in the buffer, chosen from it (SAPO, Algorithm 1)."""

    def __init__(self, online: OnlineSettings, seed: int, ema: EmaModel) -> None:
        self._online, self._seed, self._ema = online, seed, ema
        self.buffer = ReplayBuffer(online.buffer) if online.buffer else None

    def of_step(
        self, rows: Sequence[Mapping[str, Any]], step: int, epoch: int
    ) -> tuple[list[OnlinePair], list[OnlinePair]]:
        """Return (the pairs to train on, as many as `rows`; those that the step has made of them)."""
        made = list(self._made(rows, step, epoch)) if step % self._online.sample_every == 0 else []
        if self.buffer is None:
            return made, made
        self.buffer.add(made)
        return self.buffer.draw(len(rows), seed_of(self._seed, "draw", step)), made

    def _made(self, rows: Sequence[Mapping[str, Any]], step: int, epoch: int) -> Iterator[OnlinePair]:
        """Make the rejected answers of a batch: y⁻ = A ⊕ B′ ⊕ C, with B′ drawn from the prompt and A."""
        asked = [
            (row, seed_of(self._seed, "answer", epoch, int(row["row"]), number))
            for row in rows
            for number in range(self._online.responses)
        ]
        cuts = [cut_answer(row["answer"].tolist(), self._online.segment, seed) for row, seed in asked]
        beginnings = [[*row["prompt"].tolist(), *cut.before] for (row, _), cut in zip(asked, cuts, strict=True)]
        lengths = [len(cut.segment) for cut in cuts]
        drawn = self._ema.draw(beginnings, lengths, [seed for _, seed in asked], self._online)
        for (row, _), cut, segment in zip(asked, cuts, drawn, strict=True):
            rejected = cut.with_segment(segment, self._ema.ends, self._online.keep_tail)
            yield OnlinePair(tuple(row["prompt"].tolist()), tuple(row["answer"].tolist()), rejected, step)


def pair_tree(pair: OnlinePair, sequences: Sequence[ScoredSequence], max_length: int) -> TokenTree:
    """Return the sequences of a pair that a loss scores, each at most `max_length` tokens long, as a tree."""
    targets = {CHOSEN: pair.chosen, REJECTED: pair.rejected, PROMPT: ()}
    starts = [1 if each == PROMPT else len(pair.prompt) for each in sequences]
    return token_tree([(*pair.prompt, *targets[each])[:max_length] for each in sequences], starts)


def online_step(step: int, trained_on: Sequence[OnlinePair], made: Sequence[OnlinePair]) -> OnlineStep:
    """Describe the pairs of the optimizer step `step`, from 0."""
    from rapidfuzz.distance import Levenshtein

    distances = [Levenshtein.normalized_distance(pair.chosen, pair.rejected) for pair in made]
    return OnlineStep(
        step=step + 1,
        made=len(made),
        identical=sum(pair.chosen == pair.rejected for pair in made),
        edit_distance=fmean(distances) if distances else None,
        age=fmean(step - pair.step for pair in trained_on),
    )

"""The training of a bandit's policies, by the losses that train language models."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.engine.artifacts import Output, step
from harness.papers.bandit import BanditTraining
from harness.training.losses import PreferenceLoss


@dataclass(frozen=True, slots=True)
class BanditPolicy:
    """A policy at the end of its training on a data set of a `behavior` policy, numbered from 0.

    `probabilities` are π(y), `revisions` π(y' | y) as [y][y'], and `loss` is the mean over all its pairs.
    """

    behavior: int
    seed: int
    probabilities: tuple[float, ...]
    revisions: tuple[tuple[float, ...], ...]
    loss: float


@step(version=1)
def train_bandit(
    out: Output,
    *,
    loss: PreferenceLoss,
    preferences: Sequence[Sequence[float]],
    behaviors: Sequence[Sequence[float]],
    pairs: int,
    training: BanditTraining,
    seeds: Sequence[int],
) -> None:
    """Write `BanditPolicy` rows, one for each behavior policy and seed, each trained on a data set of its own.

    A data set has `pairs` of completions drawn from the behavior policy, labelled by `preferences`. No policy depends
    on another's data; every loss has the same.
    """
    from harness.training.bandit import draw_pairs, train_bandit_policies

    of = [(behavior, seed) for behavior in range(len(behaviors)) for seed in seeds]
    drawn = [draw_pairs(preferences, behaviors[behavior], pairs, seed) for behavior, seed in of]
    found = train_bandit_policies(loss, drawn, len(preferences), training, [seed for _, seed in of])
    policies = zip(of, found.generate.tolist(), found.revise.tolist(), found.loss.tolist(), strict=True)
    out.write_rows(
        BanditPolicy(*place, tuple(generate), tuple(map(tuple, revise)), reached)
        for place, generate, revise, reached in policies
    )

"""Training of a bandit's policies by the preference losses that train language models.

A policy is a table of logits: a row for π(y), and a row for each π(y | y') with y' as the draft. Of a data set it
matters how often each completion was preferred to each, so that a batch is a matrix of counts. The policies of several
seeds are trained side by side: Adam works on every logit by itself, so that none of them depends on the others.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.papers.bandit import BanditTraining
from harness.training.losses import Answer, LogProbabilities, PreferenceLoss, ScoredSequence

if TYPE_CHECKING:
    from torch import Tensor

Counts = npt.NDArray[np.float64]
DrawnPairs = npt.NDArray[np.int64]

_DATA, _START, _ORDER = range(3)
"""Streams of random numbers of a seed."""


@dataclass(frozen=True)
class BanditPolicies:
    """The policies of several seeds: `generate` π(y) [seeds, actions], `revise` π(y | y') [seeds, y', y], and the
    `loss` of each on all its pairs."""

    generate: Counts
    revise: Counts
    loss: Counts


def draw_pairs(preferences: Sequence[Sequence[float]], behavior: Sequence[float], size: int, seed: int) -> DrawnPairs:
    """Draw `size` pairs of completions from the behavior policy, and which is preferred: [size, 2], preferred
    first."""
    rng = np.random.default_rng([seed, _DATA])
    pairs = rng.choice(len(behavior), size=(size, 2), p=np.asarray(behavior))
    first_wins = rng.random(size) < np.asarray(preferences)[pairs[:, 0], pairs[:, 1]]
    return np.where(first_wins[:, None], pairs, pairs[:, ::-1]).astype(np.int64)


def counts_of(pairs: DrawnPairs, n_actions: int) -> Counts:
    """Count how often each completion was preferred to each, as shares of the pairs: [actions * actions]."""
    places = pairs[:, 0] * n_actions + pairs[:, 1]
    return np.bincount(places, minlength=n_actions**2) / len(pairs)


def train_bandit_policies(
    loss: PreferenceLoss, pairs: Sequence[DrawnPairs], n_actions: int, training: BanditTraining, seeds: Sequence[int]
) -> BanditPolicies:
    """Train a policy on the `pairs` of each of `seeds`, against a uniform reference."""
    import torch

    on_all = _tensor(np.stack([counts_of(each, n_actions) for each in pairs]))
    batches = _batches(pairs, n_actions, training, seeds) if training.batch_size else None
    losses = _losses(loss, n_actions)
    logits = _tensor(_start(training, n_actions, seeds)).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=training.learning_rate, foreach=False)
    for _ in range(training.steps):
        optimizer.zero_grad()
        weights = on_all if batches is None else next(batches)
        (weights * losses(logits)).sum().backward()
        optimizer.step()
    with torch.no_grad():
        policies = torch.softmax(logits, dim=-1).numpy()
        reached = (on_all * losses(logits)).sum(1).numpy()
    return BanditPolicies(policies[:, 0], policies[:, 1:], reached)


def _tensor(values: Counts) -> "Tensor":
    import torch

    return torch.tensor(values, dtype=torch.float64)


def _start(training: BanditTraining, n_actions: int, seeds: Sequence[int]) -> Counts:
    """Return the logits that training starts from: [seeds, 1 + actions, actions]."""
    shape = (1 + n_actions, n_actions)
    if training.start == "uniform":
        return np.zeros((len(seeds), *shape))
    return np.stack([np.random.default_rng([seed, _START]).normal(size=shape) for seed in seeds])


def _batches(
    pairs: Sequence[DrawnPairs], n_actions: int, training: BanditTraining, seeds: Sequence[int]
) -> Iterator["Tensor"]:
    """Yield mini-batches as counts, [seeds, actions * actions], in another order of the pairs in each epoch."""
    size = training.batch_size or 0
    generators = [np.random.default_rng([seed, _ORDER]) for seed in seeds]
    while True:
        shuffled = [rng.permutation(each) for rng, each in zip(generators, pairs, strict=True)]
        for start in range(0, len(pairs[0]) - size + 1, size):
            yield _tensor(np.stack([counts_of(each[start : start + size], n_actions) for each in shuffled]))


def _losses(loss: PreferenceLoss, n_actions: int) -> Callable[["Tensor"], "Tensor"]:
    """Return the function from logits [seeds, 1 + actions, actions] to a loss for each ordered pair of completions:
    [seeds, actions * actions]."""
    import torch

    places = torch.tensor([_places(loss.sequences, w, l) for w in range(n_actions) for l in range(n_actions)])  # noqa: E741
    n_rows, n_sequences, _ = places.shape
    policies, actions = places.unbind(-1)
    given: dict[str, Any] = {"dtype": torch.float64}

    def losses(logits: "Tensor") -> "Tensor":
        scored = torch.log_softmax(logits, dim=-1)[:, policies, actions].reshape(-1, n_sequences)
        reference = torch.full((1, 1), -np.log(n_actions), **given)
        found: Tensor = loss(LogProbabilities(scored, torch.ones(1, 1, **given)), reference)
        return found.reshape(-1, n_rows)

    return losses


def _places(sequences: Sequence[ScoredSequence], chosen: int, rejected: int) -> list[tuple[int, int]]:
    """Return the policy's row and the action of each scored sequence of a pair."""
    of: dict[Answer | None, int] = {"chosen": chosen, "rejected": rejected}
    drafts = {None: 0, "chosen": 1 + chosen, "rejected": 1 + rejected}
    return [(drafts[each.revises], of[_answer(each)]) for each in sequences]


def _answer(sequence: ScoredSequence) -> Answer:
    if sequence.target == "prompt":
        raise ValueError("a bandit has no prompt whose likelihood could be learnt")
    return sequence.target

"""The policies that the methods of a bandit converge to: closed forms, and the minimiser of DPO's expected loss.

All are of a uniform reference, with y and y' drawn independently from the behavior policy, p(y ≻ y') the preferences
and β the regularization. Equations are those of SRPO (arXiv 2406.01660).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

_ITERATIONS = 100
"""Of Newton's method; it needs about ten."""


def softmax(logits: Vector) -> Vector:
    """Normalise exp(logits) over the last axis."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    normalised: Vector = weights / weights.sum(axis=-1, keepdims=True)
    return normalised


def srpo_improvement(preferences: Sequence[Sequence[float]], beta: float) -> Vector:
    """Return π†*(y' | y) of Eq. 5: [y, y']."""
    return softmax(np.asarray(preferences, dtype=np.float64).T / beta)


def srpo_policy(preferences: Sequence[Sequence[float]], beta: float) -> Vector:
    """Return π*(y) of Eq. 11, proportional to π†*(y | y): whatever the behavior policy is."""
    unrevised = np.diagonal(srpo_improvement(preferences, beta))
    policy: Vector = unrevised / unrevised.sum()
    return policy


def expected_preference_policy(
    preferences: Sequence[Sequence[float]], behavior: Sequence[float], beta: float, *, logit: bool = False
) -> Vector:
    """Return π*(y) of Eq. 18 with Ψ the identity, which is IPO's minimiser, or with Ψ the logit, which is DPO's where
    preferences are Bradley-Terry."""
    p = np.asarray(preferences, dtype=np.float64)
    psi = np.log(p / (1 - p)) if logit else p
    return softmax(psi @ np.asarray(behavior) / beta)


def dpo_policy(preferences: Sequence[Sequence[float]], behavior: Sequence[float], beta: float) -> Vector:
    """Return the minimiser of DPO's expected loss, by Newton's method: it is convex in the rewards."""
    drawn = np.asarray(behavior, dtype=np.float64)
    share = np.outer(drawn, drawn) * np.asarray(preferences)  # [chosen, rejected]
    rewards = np.zeros(len(drawn))
    for _ in range(_ITERATIONS):
        wrong = 1 / (1 + np.exp(rewards[:, None] - rewards))
        gradient = (share * wrong).sum(0) - (share * wrong).sum(1)
        weight = share * wrong * (1 - wrong)
        hessian = np.diag(weight.sum(0) + weight.sum(1)) - weight - weight.T
        rewards = rewards - np.linalg.lstsq(hessian, gradient, rcond=None)[0]
    return softmax(rewards / beta)


def solution(loss: dict[str, Any], preferences: Sequence[Sequence[float]], behavior: Sequence[float]) -> Vector | None:
    """Return the policy that a preference loss of a `kind` with a `beta` is least at; None for a kind without one here.

    Of SRPO it is the one of Eqs. 5 and 11, which for α = 0 is not the only one.
    """
    kind, beta = loss["kind"], loss["beta"]
    if kind == "srpo":
        return srpo_policy(preferences, beta)
    if kind == "ipo":
        return expected_preference_policy(preferences, behavior, beta)
    return dpo_policy(preferences, behavior, beta) if kind == "dpo" else None

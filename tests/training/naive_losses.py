"""Preference losses as their papers define them: plain Python, one row after the other."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from harness.training.losses import Dpo, Ipo, LogProbabilities, Orpo, Rpo, SimPo, Srpo

Scores = dict[tuple[str, str | None], float]
"""Something of each sequence of a row, by its target and the answer that it revises."""

W, L, PROMPT = ("chosen", None), ("rejected", None), ("prompt", None)


def naive_losses(loss: Any, policy: LogProbabilities, reference: torch.Tensor | None) -> list[float]:
    """The loss of each row."""
    return [NAIVE[type(loss)](loss, *row) for row in rows_of(loss, policy, reference)]


def rows_of(loss: Any, policy: LogProbabilities, reference: torch.Tensor | None) -> list[tuple[Scores, Scores, Scores]]:
    """log π, tokens and log π_ref of each row, by name: the order of columns is the one that the loss declares."""
    names = [(each.target, each.revises) for each in loss.sequences]
    columns = (policy.sums, policy.tokens, torch.zeros_like(policy.sums) if reference is None else reference)
    by_row = zip(*(column.tolist() for column in columns), strict=True)
    return [tuple(dict(zip(names, values, strict=True)) for values in row) for row in by_row]  # type: ignore[misc]


def log_ratios(loss: Any, log_p: Scores, tokens: Scores, log_ref: Scores) -> Scores:
    """log π/π_ref, or its mean a token."""
    return {name: (log_p[name] - log_ref[name]) / (tokens[name] if loss.average else 1) for name in log_p}


def minus_log_sigmoid(x: float) -> float:
    """log(1 + exp(−x))."""
    return math.log1p(math.exp(-abs(x))) + max(-x, 0)


def dpo(loss: Dpo, *row: Scores) -> float:
    h = log_ratios(loss, *row)
    right, wrong = (minus_log_sigmoid(sign * loss.beta * (h[W] - h[L])) for sign in (1, -1))
    return (1 - loss.label_smoothing) * right + loss.label_smoothing * wrong


def ipo(loss: Ipo, *row: Scores) -> float:
    h = log_ratios(loss, *row)
    return float((h[W] - h[L] - 1 / (2 * loss.beta)) ** 2)


def rpo(loss: Rpo, log_p: Scores, tokens: Scores, log_ref: Scores) -> float:
    h = log_ratios(loss, log_p, tokens, log_ref)
    likelihood = log_p[W] / tokens[W] if loss.average else log_p[W]
    return minus_log_sigmoid(loss.beta * (h[W] - h[L])) - loss.nll_weight * likelihood


def simpo(loss: SimPo, log_p: Scores, tokens: Scores, log_ref: Scores) -> float:
    w, l = (log_p[name] / (tokens[name] if loss.average else 1) for name in (W, L))  # noqa: E741
    return minus_log_sigmoid(loss.beta * w - loss.beta * l - loss.gamma)


def orpo(loss: Orpo, log_p: Scores, tokens: Scores, log_ref: Scores) -> float:
    p_w, p_l = (math.exp(log_p[name] / tokens[name]) for name in (W, L))
    log_odds_ratio = math.log(p_w / (1 - p_w)) - math.log(p_l / (1 - p_l))
    learnt = [W] if loss.nll_over == "chosen" else [PROMPT, W]
    nll = -sum(log_p[name] for name in learnt) / sum(tokens[name] for name in learnt)
    return nll + loss.weight * minus_log_sigmoid(log_odds_ratio)


def srpo(loss: Srpo, *row: Scores) -> float:
    """Eq. 17 of Eqs. 16 and 15, in the order in which these are printed."""
    h = {name: loss.beta * ratio for name, ratio in log_ratios(loss, *row).items()}
    w, l = "chosen", "rejected"  # noqa: E741
    robust = (h[w, l] + h[w, None] - (h[l, w] + h[l, None]) - 1) ** 2
    improvement = (1 / 2 - (h[w, l] - h[l, l])) ** 2 + (1 / 2 - (h[w, w] - h[l, w])) ** 2
    return (1 - loss.alpha) * robust + loss.alpha * improvement


NAIVE: dict[type, Any] = {Dpo: dpo, Ipo: ipo, Rpo: rpo, SimPo: simpo, Orpo: orpo, Srpo: srpo}


def naive_rewards(loss: Any, policy: LogProbabilities, reference: torch.Tensor | None) -> list[Sequence[float]]:
    """Rewards of the chosen and the rejected answer, of each row."""
    factor = loss.weight if isinstance(loss, Orpo) else loss.beta
    averaged = isinstance(loss, Orpo) or loss.average
    return [
        [factor * (log_p[name] - log_ref[name]) / (tokens[name] if averaged else 1) for name in (W, L)]
        for log_p, tokens, log_ref in rows_of(loss, policy, reference)
    ]

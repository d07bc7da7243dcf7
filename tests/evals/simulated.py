"""Simulated verdicts whose truth is known: AlpacaEval's own model of a judge with a length bias."""

from collections.abc import Sequence

import numpy as np

from evals.alpaca_eval2.annotations import Annotations
from evals.alpaca_eval2.length_calibration import Calibration
from evals.alpaca_eval2.scores import build_calibration
from evals.arena_hard.files import ArenaJudgment, Game
from evals.stats.bootstrap import Statistic

BASELINE_LENGTH = 1000
LABELS = ("A>>B", "A>B", "A=B", "B>A", "B>>A")


def difficulty(n: int, seed: int = 0) -> np.ndarray:
    """Instruction difficulties with mean 0."""
    values = np.random.default_rng([seed, 77]).normal(size=n)
    return values - values.mean()


def annotations(
    n: int = 120,
    *,
    ability: float = 0.0,
    length_bias: float = 0.0,
    longer_by: float = 0.0,
    seed: int = 0,
    name: str = "model",
) -> Annotations:
    """Verdicts (win or loss) of a judge with logit P(win) = ability + difficulty + bias · tanh(length difference)."""
    rng = np.random.default_rng(seed)
    lengths = np.rint(BASELINE_LENGTH + longer_by + rng.normal(0, 200, size=n)).clip(1)
    excess = lengths - BASELINE_LENGTH
    logits = ability + difficulty(n) + length_bias * np.tanh(excess / 200)
    wins = rng.random(n) < 1 / (1 + np.exp(-logits))
    return Annotations(
        name,
        tuple(range(n)),
        tuple((1.0 + wins).tolist()),
        (BASELINE_LENGTH,) * n,
        tuple(lengths.astype(int).tolist()),
        f"{name}.csv",
    )


def calibration(n: int = 120, *, length_bias: float = 0.0, seed: int = 0) -> Calibration:
    """A calibration from a verbose and a concise version of the baseline, seen by the same judge."""
    gamed = [
        annotations(n, length_bias=length_bias, longer_by=shift, seed=1000 * seed + place, name=name)
        for place, (name, shift) in enumerate([("concise", -300.0), ("verbose", 300.0)], start=1)
    ]
    return build_calibration(gamed, dict(enumerate(difficulty(n).tolist())), "simulated calibration")


def judgments(n: int = 60, *, seed: int = 0, ability: float = 0.0, missing: Sequence[int] = ()) -> list[ArenaJudgment]:
    """Arena-Hard verdicts in both orders; the first game of the questions in `missing` has no label."""
    rng = np.random.default_rng(seed)
    latent = ability + rng.normal(size=n)
    rows = []
    for question in range(n):
        seen = latent[question] + rng.normal(0, 0.7, size=2)
        first, second = (
            int(np.clip(np.rint(sign * value), -2, 2)) + 2 for sign, value in zip((1, -1), seen, strict=True)
        )
        games = (Game(None if question in missing else LABELS[first]), Game(LABELS[second]))
        rows.append(ArenaJudgment(f"q{question:03d}", "model", "judge", games))
    return rows


def constant_statistic(value: float) -> Statistic:
    """`value`, whichever prompts are drawn: a score without a draw of prompts."""
    return Statistic(value, lambda counts: np.full(len(counts), value))

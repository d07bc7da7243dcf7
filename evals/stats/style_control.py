"""Win rates of Arena-Hard v2.0 with the style of answers taken out of them (Li et al. 2024, "Does Style Matter?").

The outcome of a battle is modelled as logit P(model wins) = θ + φ · x, where x are the differences of style between the
two answers, standardised over the battles. The score is the chance of a win at x = 0, where styles are alike.

The public tool fits by fifty steps of L-BFGS, a tenth of the length that the method proposes each (show_result.py and
math_utils.py of lmarena/arena-hard-auto at 196f6b8). That stops short of the optimum, by up to a quarter of a point:
`tool_fit` takes the same steps, and the bootstrap, which goes to the optimum, is moved to where these end.
"""

import numpy as np

from evals.stats.bootstrap import FloatArray, IntArray, Statistic

_STEPS, _RATE, _TOLERANCE = 50, 0.1, 1e-9
_NEWTON_STEPS = 25
_BATCH_SIZE = 200
"""Resamples fitted at a time."""
_RIDGE = 1e-6
"""On the coefficients of the bootstrap, so that a resample that the model wins alone has some."""


def style_features(model: FloatArray, baseline: FloatArray) -> FloatArray:
    """Return the differences of style [battles, 4], standardised over the battles; a style that is always alike is 0.

    Both arguments [battles, 4]: tokens, headers, list items and bold texts of an answer. Lengths differ by their share
    of the sum, the others by their density, the number for each token.
    """
    lengths = (model[:, :1] - baseline[:, :1]) / np.maximum(model[:, :1] + baseline[:, :1], 1)
    own, other = (counts[:, 1:] / (counts[:, :1] + 1) for counts in (model, baseline))
    features = np.hstack([lengths, (own - other) / (own + other + 1)])
    deviation = features.std(axis=0, ddof=1) if len(features) > 1 else np.zeros(features.shape[1])
    scaled: FloatArray = np.divide(
        features - features.mean(axis=0), deviation, out=np.zeros_like(features), where=deviation > 0
    )
    return scaled


def tool_fit(features: FloatArray, outcomes: FloatArray) -> float:
    """Return the style-controlled win rate in per cent as the public tool fits it: one row a battle, each once.

    `features` [battles, k] and `outcomes` [battles], the model's share of the win.
    """
    import torch

    sides = np.column_stack([np.ones(len(outcomes)), -np.ones(len(outcomes)), features])
    rows, wins = torch.tensor(sides, dtype=torch.float32), torch.tensor(outcomes, dtype=torch.float32)
    coefficients = torch.full((sides.shape[1],), 0.5, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [coefficients], lr=_RATE, max_iter=_STEPS, tolerance_grad=_TOLERANCE, tolerance_change=_TOLERANCE
    )

    def loss() -> float:
        optimizer.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(rows @ coefficients, wins, reduction="sum")
        value.backward()
        return float(value.detach())

    optimizer.step(loss)
    own, other = coefficients.detach()[:2].tolist()
    return float(100 / (1 + np.exp(other - own)))


def tool_interval(
    features: FloatArray, outcomes: FloatArray, *, rounds: int, seed: int, level: float
) -> tuple[float, float]:
    """Return the public tool's interval: the central `level` of its fits of so many bootstrap samples of the
    battles."""
    drawn = np.random.RandomState(seed).randint(0, len(outcomes), size=(rounds, len(outcomes)))
    rates = [tool_fit(features[rows], outcomes[rows]) for rows in drawn]
    low, high = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def style_controlled_statistic(
    features: FloatArray, outcomes: FloatArray, question: IntArray, n_questions: int
) -> Statistic:
    """Return the style-controlled win rate as a statistic on questions.

    One row a battle: `question` [battles] is the place of its question. In a resample of questions the model is fitted
    anew, and its optimum is moved by as much as the tool's fit of all battles is off theirs.
    """
    value = tool_fit(features, outcomes)
    rows = np.column_stack([np.ones(len(outcomes)), features])
    shift = value - float(_optimum(rows, outcomes, np.ones((1, len(rows))))[0])

    def resample(counts: FloatArray) -> FloatArray:
        blocks = [counts[start : start + _BATCH_SIZE] for start in range(0, len(counts), _BATCH_SIZE)]
        return np.concatenate([_optimum(rows, outcomes, block[:, question]) for block in blocks]) + shift

    return Statistic(value, resample)


def _optimum(rows: FloatArray, outcomes: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the win rates [resamples] at the optimum, by Newton's method; NaN for a resample without a battle."""
    point = np.zeros((len(weights), rows.shape[1]))
    ridge = _RIDGE * np.eye(rows.shape[1])
    products = np.einsum("bi,bj->bij", rows, rows).reshape(len(rows), -1)
    for _ in range(_NEWTON_STEPS):
        chance = 0.5 * (1 + np.tanh(0.5 * point @ rows.T))
        gradient = (weights * (chance - outcomes)) @ rows + _RIDGE * point
        hessian = ((weights * chance * (1 - chance)) @ products).reshape(len(weights), *ridge.shape) + ridge
        step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        point -= np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    rates: FloatArray = 100 / (1 + np.exp(-point[:, 0]))
    return np.where(weights.sum(axis=1) > 0, rates, np.nan)

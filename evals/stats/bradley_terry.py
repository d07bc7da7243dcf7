"""Bradley–Terry strengths from weighted pairwise wins (Bradley and Terry 1952; Hunter 2004, "MM algorithms")."""

import numpy as np

from evals.stats.bootstrap import FloatArray


def bradley_terry(wins: FloatArray, *, tolerance: float = 1e-10, max_iterations: int = 10_000) -> FloatArray:
    """Fit maximum-likelihood strengths π, P(i beats j) = πᵢ / (πᵢ + πⱼ), for a batch of win tables.

    `wins` [..., models, models]: wins[i, j] is the weighted number of times i beat j; a tie is half a win for each
    side. Returns [..., models], each summing to 1. A model that never won has strength 0. Hunter's MM step, πᵢ ← Wᵢ /
    Σⱼ (nᵢⱼ / (πᵢ + πⱼ)), increases the likelihood; for two models the first step is exact: πᵢ = Wᵢ / n. Raises
    ValueError when it does not converge, which happens when some models only ever lose to all the others.
    """
    n_models = wins.shape[-1]
    battles = wins + np.swapaxes(wins, -1, -2)
    won = wins.sum(axis=-1)
    strengths: FloatArray = np.full(won.shape, 1 / n_models)
    for _ in range(max_iterations):
        pair = strengths[..., :, None] + strengths[..., None, :]
        rate = np.divide(battles, pair, out=np.zeros_like(battles), where=pair > 0).sum(axis=-1)
        updated = np.divide(won, rate, out=np.zeros_like(won), where=rate > 0)
        updated /= updated.sum(axis=-1, keepdims=True)
        change = np.max(np.abs(updated - strengths), initial=0)
        strengths = updated
        if change <= tolerance:
            return strengths
    raise ValueError(
        f"Bradley-Terry strengths did not settle in {max_iterations} steps: is every model beaten at times?"
    )


def win_probability(strengths: FloatArray, anchor: int) -> FloatArray:
    """Return P(i beats the anchor) for strengths [..., models]: ½ for the anchor, and for what never won if it never
    did."""
    pair = strengths + strengths[..., anchor, None]
    probability: FloatArray = np.divide(strengths, pair, out=np.full_like(strengths, 0.5), where=pair > 0)
    return probability

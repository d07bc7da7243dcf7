"""Win rates of AlpacaEval (Dubois et al. 2024, "Length-Controlled AlpacaEval", section 2)."""

import numpy as np

from evals.stats.bootstrap import FloatArray, Statistic, ratio_statistic


def win_rate(preferences: FloatArray) -> dict[str, float]:
    """Summarise preferences [prompts] in [0, 1], the probability that the model beats the baseline on each prompt.

    In alpaca_eval's column names; rates and errors in per cent. `win_rate` is the mean preference, `standard_error` its
    standard error, NaN of one verdict; `discrete_win_rate` the share of prompts won, a draw counting half.
    """
    wins, losses = int(np.sum(preferences > 0.5)), int(np.sum(preferences < 0.5))
    n = len(preferences)
    draws = n - wins - losses
    return {
        "win_rate": 100 * float(np.mean(preferences)),
        "standard_error": 100 * float(np.std(preferences, ddof=1) / np.sqrt(n)) if n > 1 else float("nan"),
        "n_wins": wins,
        "n_wins_base": losses,
        "n_draws": draws,
        "n_total": n,
        "discrete_win_rate": 100 * (wins + draws / 2) / n,
    }


def win_rate_statistic(preferences: FloatArray) -> Statistic:
    """Return the win rate of preferences [prompts] in [0, 1], in per cent."""
    return ratio_statistic(preferences, np.ones_like(preferences))


def discrete_win_rate_statistic(preferences: FloatArray) -> Statistic:
    """Return the discrete win rate of preferences [prompts] in [0, 1]: 1, ½ or 0 a prompt, in per cent."""
    return win_rate_statistic((1 + np.sign(preferences - 0.5)) / 2)

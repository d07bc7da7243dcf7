"""Do two judges agree, verdict by verdict and in how they rank?

A verdict is a preference in [0, 1] for the model over the baseline; its sign says who wins. Preferences come as tables
[models, prompts], NaN where a judge gave no verdict; only what both judged counts.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from evals.stats.bootstrap import FloatArray, Statistic, ratio_statistic

OUTCOMES = 3  # loss, draw, win


def outcome_tables(first: FloatArray, second: FloatArray) -> FloatArray:
    """Count how often each pair of outcomes came up on each prompt: [prompts, outcomes of the first, of the second].

    Outcomes are loss, draw and win. All models' verdicts on a prompt are in its table, so that they stay together when
    prompts are resampled. Raises ValueError for tables of different shape.
    """
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(
            f"preferences must be two tables [models, prompts] of one shape: {first.shape}, {second.shape}"
        )
    tables = np.zeros((first.shape[1], OUTCOMES, OUTCOMES))
    models, prompts = np.nonzero(~np.isnan(first) & ~np.isnan(second))
    rows, columns = _outcomes(first[models, prompts]), _outcomes(second[models, prompts])
    np.add.at(tables, (prompts, rows, columns), 1)
    return tables


def agreement_statistic(tables: FloatArray) -> Statistic:
    """Return the share of verdicts with the same outcome, in per cent; a draw agrees with a draw alone."""
    return ratio_statistic(np.trace(tables, axis1=1, axis2=2), tables.sum(axis=(1, 2)))


def kappa_statistic(tables: FloatArray) -> Statistic:
    """Return Cohen's kappa of the outcomes (Cohen 1960): (observed - expected) / (1 - expected agreement).

    1 for judges that always agree, 0 for agreement as by chance; NaN where both know one and the same outcome only.
    """
    flat = tables.reshape(len(tables), -1)

    def resample(counts: FloatArray) -> FloatArray:
        return _kappa((counts @ flat).reshape(-1, OUTCOMES, OUTCOMES))

    return Statistic(float(_kappa(tables.sum(axis=0)[None])[0]), resample)


def spearman(first: FloatArray, second: FloatArray) -> float:
    """Return Spearman's rank correlation of two lists [n], equal values sharing their mean rank; NaN where one is
    constant."""
    return _correlation(stats.spearmanr, first, second)


def kendall(first: FloatArray, second: FloatArray) -> float:
    """Return Kendall's tau-b of two lists [n], corrected for equal values (Kendall 1945); NaN where one is constant."""
    return _correlation(stats.kendalltau, first, second)


def _correlation(of: Callable[[FloatArray, FloatArray], Any], first: FloatArray, second: FloatArray) -> float:
    return float(of(first, second).statistic) if np.ptp(first) and np.ptp(second) else float("nan")


def _outcomes(preferences: FloatArray) -> npt.NDArray[np.intp]:
    return (np.sign(preferences - 0.5) + 1).astype(np.intp)


def _kappa(tables: FloatArray) -> FloatArray:
    totals = tables.sum(axis=(1, 2))
    observed = np.trace(tables, axis1=1, axis2=2) * totals
    expected = np.einsum("ti,ti->t", tables.sum(axis=1), tables.sum(axis=2))
    largest_gain = totals**2 - expected
    kappa: FloatArray = np.divide(
        observed - expected, largest_gain, out=np.full(len(tables), np.nan), where=largest_gain > 0
    )
    return kappa

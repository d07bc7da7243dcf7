"""Other projects' own scorers, called on our records: what parity tests and benchmarks compare with."""

import warnings
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np

from evals.alpaca_eval2.annotations import Annotations
from evals.arena_hard.files import ArenaJudgment

_WIN_OF_A = {"A>>B": 1.0, "A>B": 1.0, "A=B": 0.5, "B>A": 0.0, "B>>A": 0.0}


def alpaca_eval_module() -> ModuleType:
    """alpaca-eval's module of win rates. Raises ImportError where alpaca-eval is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its dependencies' own
        from alpaca_eval.metrics import glm_winrate
    return glm_winrate


def alpaca_eval_table(annotations: Annotations) -> Any:
    """A data frame of verdicts as alpaca-eval's functions take it: joined by row, outputs of the right lengths."""
    import pandas as pd

    return pd.DataFrame(
        {
            "preference": annotations.preference,
            "output_1": ["x" * length for length in annotations.len_1],
            "output_2": ["x" * length for length in annotations.len_2],
            "generator_1": "gpt4_1106_preview",
            "generator_2": annotations.model,
        },
        index=annotations.index,
    )


def alpaca_eval_length_controlled(table: Any, df_gamed: Path) -> dict[str, float]:
    """`get_length_controlled_winrate`, its one download (df_gamed.csv) answered with a local file."""
    import sklearn

    module = alpaca_eval_module()
    with (
        sklearn.config_context(),  # it sets a global option
        warnings.catch_warnings(),
        patch.object(module, "hf_hub_download", lambda **_: str(df_gamed)),
    ):
        warnings.simplefilter("ignore")
        scores: dict[str, float] = module.get_length_controlled_winrate(table, save_weights_dir=None)
    return scores


def logistic_bradley_terry(judgments: list[ArenaJudgment]) -> float:
    """Arena-Hard's score by a logistic regression of scikit-learn, as the v0.1 scorer fits it.

    Every battle is a row with the winner's side as its label, twice over: a tie is won once by each side. A decisive
    verdict stands for three battles.
    """
    from sklearn.linear_model import LogisticRegression

    wins = [
        win
        for judgment in judgments
        for game, reply in enumerate(judgment.games)
        if reply.score is not None
        for win in [_WIN_OF_A[reply.score] if game else 1 - _WIN_OF_A[reply.score]] * (3 if ">>" in reply.score else 1)
    ]
    won = np.array(wins)
    features = np.tile([np.log(10), -np.log(10)], (2 * len(won), 1))
    label = np.concatenate([won > 0, won == 1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn renames the argument
        strengths = LogisticRegression(fit_intercept=False, penalty=None, tol=1e-8).fit(features, label).coef_[0]
    return float(100 / (1 + 10 ** (strengths[1] - strengths[0])))

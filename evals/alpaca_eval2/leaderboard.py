"""alpaca_eval's leaderboard.csv."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LEADERBOARD_COLUMNS = (
    "win_rate",
    "standard_error",
    "n_wins",
    "n_wins_base",
    "n_draws",
    "n_total",
    "discrete_win_rate",
    "mode",
    "avg_length",
    "length_controlled_winrate",
    "lc_standard_error",
)


def write_leaderboard(path: Path, scores: Mapping[str, Mapping[str, Any]]) -> None:
    """Write a leaderboard.csv, best first: one row a model with the columns of `LEADERBOARD_COLUMNS`."""

    def rank(model: str) -> list[float]:
        headlines = [scores[model].get(column) for column in ("length_controlled_winrate", "win_rate")]
        return [math.inf if headline is None else -headline for headline in headlines]

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("", *LEADERBOARD_COLUMNS))
        for model in sorted(scores, key=rank):
            writer.writerow([model, *(scores[model].get(column) for column in LEADERBOARD_COLUMNS)])

"""alpaca_eval's leaderboard.csv."""

import csv
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


def write_leaderboard(path: Path, model: str, scores: Mapping[str, Any]) -> None:
    """Write a leaderboard.csv of one model: its row with the columns of `LEADERBOARD_COLUMNS`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("", *LEADERBOARD_COLUMNS))
        writer.writerow([model, *(scores.get(column) for column in LEADERBOARD_COLUMNS)])

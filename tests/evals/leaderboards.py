"""Reads the leaderboards that we write, and the published one."""

import csv
from pathlib import Path
from typing import Any

from evals.alpaca_eval2.leaderboard import LEADERBOARD_COLUMNS

COUNTS = ("n_wins", "n_wins_base", "n_draws", "n_total", "avg_length")


def read_leaderboard(path: Path) -> dict[str, dict[str, Any]]:
    """Scores by model, each a number, a text (mode) or None where the cell is empty."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {row[""]: {column: value(column, row[column]) for column in LEADERBOARD_COLUMNS} for row in rows}


def value(column: str, cell: str) -> Any:
    """What a cell of the column says."""
    if not cell or column == "mode":
        return cell or None
    return int(float(cell)) if column in COUNTS else float(cell)

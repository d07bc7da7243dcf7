"""A length-control calibration in the columns of alpaca_eval's df_gamed.csv."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from evals.formats import fields
from evals.formats.rows import read_table
from harness.errors import UserError

CALIBRATION_COLUMNS = (
    "model",
    "index",
    "preference",
    "std_delta_len",
    "instruction_difficulty",
    "not_gamed_baseline",
)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The rows of a length-control calibration (alpaca_eval's df_gamed.csv), sorted by model and index.

    They are verdicts on gamed versions of the baseline: `preference` in [0, 1] (NaN: no verdict), `std_delta_len` the
    length difference, baseline minus gamed, over its standard deviation. `instruction_difficulty` is a property of the
    index, repeated in every row. The set of `index` values is the evaluation's set of instructions.
    """

    model: tuple[str, ...]
    index: tuple[int, ...]
    preference: tuple[float, ...]
    std_delta_len: tuple[float, ...]
    instruction_difficulty: tuple[float, ...]
    not_gamed_baseline: tuple[bool, ...]
    source: str

    def difficulty(self) -> dict[int, float]:
        """Return the difficulty of instructions by index, in ascending order of index."""
        return dict(sorted(zip(self.index, self.instruction_difficulty, strict=True)))


def read_calibration(path: Path) -> Calibration:
    """Read a length-control calibration in the columns of alpaca_eval's df_gamed.csv (.csv or .csv.gz).

    Raises UserError for missing columns, a model's index given twice, values that are no numbers, preferences out of
    [0, 1], and an instruction with two difficulties.
    """
    difficulty: dict[int, float] = {}
    rows: dict[tuple[str, int], tuple[float, float, float, bool]] = {}
    for where, row in read_table(path, CALIBRATION_COLUMNS):
        index = fields.index(row["index"], where)
        key = (fields.name_of(row, "model", where), index)
        if key in rows:
            raise UserError(f"{where}: a second row for model {key[0]!r} and index {index}; keep one")
        preference = fields.number(row["preference"], where, "preference")
        if not math.isnan(preference) and not 0 <= preference <= 1:
            raise UserError(f"{where}: preference {preference:g} is not in [0, 1], the range of a calibration")
        length = fields.finite(row["std_delta_len"], where, "std_delta_len")
        gamma = fields.finite(row["instruction_difficulty"], where, "instruction_difficulty")
        if difficulty.setdefault(index, gamma) != gamma:
            raise UserError(f"{where}: index {index} has difficulty {gamma} here and {difficulty[index]} above")
        if row["not_gamed_baseline"] not in ("True", "False"):
            raise UserError(f"{where}: not_gamed_baseline must be True or False, not {row['not_gamed_baseline']!r}")
        rows[key] = (preference, length, gamma, row["not_gamed_baseline"] == "True")
    keys = sorted(rows)
    preferences, lengths, gammas, not_gamed = zip(*(rows[key] for key in keys), strict=True)
    models, indices = zip(*keys, strict=True)
    return Calibration(models, indices, preferences, lengths, gammas, not_gamed, str(path))


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write a calibration in the columns of df_gamed.csv; reading it again gives the same numbers."""
    columns = [getattr(calibration, column) for column in CALIBRATION_COLUMNS]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CALIBRATION_COLUMNS)
        writer.writerows(zip(*columns, strict=True))

"""IFEval's files of stored answers: a prompt and the response to it, in each row."""

from collections.abc import Sequence
from pathlib import Path

from evals.formats import fields
from evals.formats.outputs import ModelOutput
from evals.formats.rows import PlacedRow, bare_name


def holds_responses(rows: Sequence[PlacedRow]) -> bool:
    """Return whether rows are IFEval's, and not AlpacaEval's, by the first of them."""
    first = rows[0][1]
    return {"prompt", "response"} <= first.keys() and "instruction" not in first


def responses_in(path: Path, rows: Sequence[PlacedRow]) -> list[ModelOutput]:
    """Return the responses in rows of the file `path`, of the model that the file is named after, in order.

    Raises UserError where a row lacks a field, or has one of another type.
    """
    return [
        ModelOutput(fields.text(row, "prompt", where), fields.text_or_none(row, "response", where), bare_name(path))
        for where, row in rows
    ]

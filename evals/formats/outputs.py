"""AlpacaEval's model outputs: answers to instructions, and whose they are."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evals.formats import fields
from evals.formats.rows import PlacedRow, bare_name, read_rows, write_json
from harness.errors import UserError
from harness.models.row_layouts import HISTORY, MATERIAL, SYSTEM, UNREAD

_NOT_READ = (*SYSTEM, HISTORY, *UNREAD)
"""Columns that change what is asked, where they are filled, and that an instruction has no place for."""


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """One row of alpaca_eval's model_outputs.json; `output` is None where the file has none, as after a failed call."""

    instruction: str
    output: str | None
    generator: str
    dataset: str = ""


def read_model_outputs(path: Path) -> list[ModelOutput]:
    """Read model outputs, in order: rows with the fields instruction, output and generator, in any layout.

    A row without generator is of the one model that the others name, and else of the file's name. `input` is joined to
    the instruction. Raises UserError where a row lacks a field, or has one of another type.
    """
    return outputs_in(path, read_rows(path))


def outputs_in(path: Path, rows: Sequence[PlacedRow]) -> list[ModelOutput]:
    """Return the model outputs in rows of the file `path`, as `read_model_outputs`."""
    outputs = [_output(row, where) for where, row in rows]
    names = {output.generator for output in outputs if output.generator}
    name = names.pop() if len(names) == 1 else "" if names else bare_name(path)
    return [output if output.generator else replace(output, generator=name) for output in outputs]


def write_model_outputs(path: Path, outputs: Sequence[ModelOutput]) -> None:
    """Write alpaca_eval's model_outputs.json."""
    write_json(path, [asdict(output) for output in outputs])


def instruction_key(instruction: str) -> str:
    """Return the key of an instruction: 12 hexadecimal digits of the SHA-256 of the text."""
    return hashlib.sha256(instruction.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def instruction_of(row: Mapping[str, Any], where: str) -> str:
    """Return the prompt of a row: its instruction and, after an empty line, its input, as AlpacaEval's own set joins
    the two.

    An input that is the instruction's last lines is joined already. Raises UserError for a filled column that changes
    what is asked and that an instruction has no place for.
    """
    instruction = fields.text(row, "instruction", where)
    if lost := next((name for name in _NOT_READ if row.get(name) and not fields.is_none(row[name])), None):
        raise UserError(f"{where}: {lost} changes what is asked, and is not read; write it into the instruction")
    given = [fields.text_or_none(row, name, where) or "" for name in MATERIAL]
    added = (text for text in given if text.strip() and not instruction.endswith(f"\n{text}"))
    return "\n\n".join([instruction, *added])


def _output(row: Mapping[str, Any], where: str) -> ModelOutput:
    instruction = instruction_of(row, where)
    fields.field(row, "output", where)
    output, generator = (fields.text_or_none(row, name, where) for name in ("output", "generator"))
    return ModelOutput(instruction, output, generator or "", str(row.get("dataset") or ""))

"""`harness data split`: AlpacaEval's outputs of several models, dealt out to the data roles of a scale.

Which role an instruction plays is a matter of its own text (SHA-256), so that it plays one role alone, the same in
every folder: what a model is evaluated on, it is never trained on.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from evals.formats.outputs import read_model_outputs
from harness.config.yaml_files import config_path, load_yaml
from harness.errors import UserError
from harness.files import replace_file
from harness.texts import has_lone_surrogate

BASELINE = "baseline"
Outputs = Mapping[str, str]
"""A model's answers by instruction."""


@dataclass(frozen=True, slots=True)
class Split:
    """configs/papers/sgpo/splits/small.yaml: by role, each column's writer: a model, or "baseline".

    The roles share the instructions evenly. `shared` files have the instructions of the role that is their `of`.
    """

    roles: dict[str, dict[str, str]]
    shared: dict[str, dict[str, str]]


def load_split() -> Split:
    """Read who answers in which role."""
    return load_yaml(config_path("papers/sgpo/splits/small.yaml"), Split)


def split(source: Path, out: Path) -> dict[str, int]:
    """Write one ``.jsonl`` a role, and ``teacher.jsonl``, into `out`; return how many rows each has.

    `source` holds AlpacaEval's outputs: ``baseline*.json`` and ``model_outputs/<model>.json``, lists of objects with
    `instruction` and `output`. Rows stand in the order of their hashes, so that the first N are a draw. An instruction
    that a role's writer gives no answer to has no row. Raises UserError for files that are not there, or not so.
    """
    found, read = load_split(), cache(lambda model: _read(_path(source, model)))
    dealt: dict[str, list[str]] = {role: [] for role in found.roles}
    for instruction in sorted(read(BASELINE), key=_digest):
        dealt[role_of(instruction, list(found.roles))].append(instruction)
    rows = {}
    for name, written in (found.roles | found.shared).items():
        answers = {column: read(model) for column, model in written.items() if column != "of"}
        rows[name] = _rows(dealt[written.get("of", name)], answers)
        if "output" in written:
            generator = _path(source, written["output"]).stem.removeprefix("baseline_")
            rows[name] = [{**row, "generator": generator} for row in rows[name]]
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, of_role in rows.items():
            replace_file(out / f"{name}.jsonl", "".join(map(_line, of_role)).encode())
    except OSError as error:
        raise UserError(f"cannot write to {out} ({error.strerror}); name another folder with --out") from None
    return {name: len(of_role) for name, of_role in rows.items()}


def role_of(instruction: str, roles: Sequence[str]) -> str:
    """Return the role that an instruction plays, whichever folder it is in."""
    return roles[_digest(instruction) % len(roles)]


def _path(source: Path, model: str) -> Path:
    """Return the file of a model's outputs, or of the baseline's. Raises UserError where this is not one."""
    if model != BASELINE:
        return source / "model_outputs" / f"{model}.json"
    baselines = sorted(source.glob("baseline*.json"))
    if len(baselines) != 1:
        raise UserError(f"{source} holds {len(baselines)} files baseline*.json, not one: the baseline's outputs")
    return baselines[0]


def _rows(instructions: Sequence[str], answers: Mapping[str, Outputs]) -> list[dict[str, str]]:
    """Return the rows of one file: instruction, and each column as its writer answers."""
    rows = []
    for instruction in instructions:
        texts = {column: outputs.get(instruction, "") for column, outputs in answers.items()}
        if all(text.strip() for text in texts.values()):
            rows.append({"instruction": instruction, **texts})
    return rows


def _read(path: Path) -> Outputs:
    """Return the answers by instruction, empty where the model gave none.

    Raises UserError for what is not AlpacaEval's.
    """
    if not path.is_file():
        raise UserError(
            f"cannot read {path} (no such file); configs/papers/sgpo/splits/small.yaml says who answers in which role"
        )
    outputs = {row.instruction: row.output or "" for row in read_model_outputs(path)}
    if halved := [text for text in (*outputs, *outputs.values()) if has_lone_surrogate(text)]:
        raise UserError(
            f"{path}: {halved[0][:40]!r} contains half of a surrogate pair; write the whole character, or U+FFFD for it"
        )
    return outputs


def _digest(instruction: str) -> int:
    return int.from_bytes(sha256(instruction.encode()).digest(), "big")


def _line(row: Mapping[str, str]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"

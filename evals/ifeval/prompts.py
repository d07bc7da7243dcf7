"""IFEval's prompts with the instructions in each, from the hub or from the authors' file input_data.jsonl."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.formats import fields
from evals.formats.rows import PlacedRow, read_rows
from evals.official_steps import OFFICIAL_DATA, file_digest
from harness.engine.artifacts import Artifact, Output, step
from harness.engine.unresolved import resolved
from harness.errors import UserError
from harness.models.hub import newest
from harness.records import Prompt, Response, write_rows
from harness.records import read_rows as read_records
from harness.steps.cost import CostContext, Fetch, RowEstimate
from harness.steps.data import DataRole

OFFICIAL = f"{OFFICIAL_DATA}ifeval"
"""As a reference to the 541 prompts on the hub."""
HUB = "google/IFEval"
_ON_HUB = "ifeval_input_data.jsonl"
_NAMES = ("input_data.jsonl", _ON_HUB)
N_PROMPTS = 541
DEMANDS = "demands.jsonl"


@dataclass(frozen=True, slots=True)
class Demands:
    """The instructions in one prompt, by IFEval's identifiers, and the arguments of each."""

    prompt_id: str
    instruction_id_list: tuple[str, ...]
    kwargs: tuple[dict[str, Any], ...]

    def __post_init__(self) -> None:
        if len(self.kwargs) != len(self.instruction_id_list) or not self.kwargs:
            raise ValueError("needs one or more instructions, and as many kwargs")


def prompt_file(reference: str) -> Path:
    """Return the file of prompts: on the hub, or the user's file or folder. Raises UserError where there is none."""
    if reference == OFFICIAL:
        return newest("dataset", HUB).file(_ON_HUB)
    path = Path(reference)
    if not path.is_dir():
        return path
    places = (path / folder / name for folder in (".", "ifeval") for name in _NAMES)
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise UserError(f"{path}: no file of IFEval's prompts: {' or '.join(_NAMES)}")
    return found


def read_prompts(path: Path) -> list[tuple[Prompt, Demands]]:
    """Return the prompts of a file, in order. Raises UserError for a row that is wrong, and a key that comes twice."""
    found: dict[str, tuple[Prompt, Demands]] = {}
    for row in read_rows(path):
        prompt, demands = _read(row)
        if prompt.id in found:
            raise UserError(f"{row[0]}: the key {prompt.id} again; keep one row for each")
        found[prompt.id] = prompt, demands
    return list(found.values())


def _read(placed: PlacedRow) -> tuple[Prompt, Demands]:
    where, row = placed
    text = fields.text(row, "prompt", where)
    key = str(fields.field(row, "key", where))
    instructions, kwargs = (fields.field(row, name, where) for name in ("instruction_id_list", "kwargs"))
    if not isinstance(instructions, list) or not isinstance(kwargs, list):
        raise UserError(f"{where}: instruction_id_list and kwargs must be lists")
    arguments = tuple(dict(each or {}) for each in kwargs)
    try:
        return Prompt(key, text), Demands(key, tuple(map(str, instructions)), arguments)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None


def official_prompts(role: DataRole) -> Artifact:
    """Return the first prompts of the hub, or of a file. Raises UserError where they cannot be had."""
    digest = resolved(role.reference, lambda: file_digest(prompt_file(role.reference)))
    reference = role.reference if role.reference == OFFICIAL else str(Path(role.reference).absolute())
    return ifeval_prompts(reference=reference, size=role.size, digest=digest).with_label("ifeval")


def _prompt_rows(context: CostContext) -> RowEstimate:
    return context.data_set(OFFICIAL, min(context.params["size"], N_PROMPTS))


@step(version=1, rows=_prompt_rows, cost=lambda context: Fetch("dataset", OFFICIAL))
def ifeval_prompts(out: Output, *, reference: str, size: int, digest: str) -> None:
    """Write the prompts as `Response` rows without a text, and `Demands` beside them.

    `digest` is the SHA-256 of the file. Raises UserError where it is another one by now.
    """
    path = prompt_file(reference)
    if file_digest(path) != digest:
        raise UserError(f"{path} has changed since this run looked at it; run the same command again")
    read = read_prompts(path)[:size]
    out.write_rows(Response(prompt, "", "") for prompt, _ in read)
    write_rows(out.folder / DEMANDS, [demands for _, demands in read])


def demands_of(prompts: Artifact) -> dict[str, Demands]:
    """Return the demands in prompts that `ifeval_prompts` wrote, by the prompt's id."""
    return {each.prompt_id: each for each in read_records(prompts.folder / DEMANDS, Demands)}

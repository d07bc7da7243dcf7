"""The official evaluation sets, and stored outputs, as artifacts. Where they come from: `evals.official_data`."""

from hashlib import sha256
from pathlib import Path

from evals.alpaca_eval2.scores import PUBLISHED as ALPACA_EVAL2
from evals.answer_files import read_answer_file
from evals.arena_hard.scores import PUBLISHED as ARENA_HARD
from evals.arena_hard_v2.scores import PUBLISHED as ARENA_HARD_V2
from evals.official_data import load_baseline
from harness.engine.artifacts import Artifact, Output, step
from harness.errors import UserError
from harness.records import Response
from harness.steps.cost import CostContext, Fetch, RowEstimate, UnknownCost

OFFICIAL_DATA = "official:"
"""Before a bench's name, as a reference to its official instructions and baseline."""

N_INSTRUCTIONS = {
    "alpaca_eval2": ALPACA_EVAL2.n_items,
    "arena_hard": ARENA_HARD.n_items,
    "arena_hard_v2": ARENA_HARD_V2.n_items,
}
"""Of the benches that have an official set."""


def official_baseline(bench: str, source: str | None, baseline: str | None) -> tuple[Artifact, str]:
    """Return the bench's instructions, answered by a baseline, and the baseline's name.

    `source` is a folder or file with the official data (None: the hub), `baseline` a model's name or a file of outputs;
    a pairwise comparison is between any two files. Raises UserError for what is not there.
    """
    found = load_baseline(bench, source, baseline)
    rows = baseline_responses(bench=bench, source=source, baseline=baseline, fingerprint=found.fingerprint)
    return rows.with_label(f"{bench} {found.name}"), found.name


def _baseline_rows(context: CostContext) -> RowEstimate:
    bench = context.params["bench"]
    if bench not in N_INSTRUCTIONS:
        raise UnknownCost(f"it is not known how many instructions {bench} has")
    return context.data_set(f"{OFFICIAL_DATA}{bench}", N_INSTRUCTIONS[bench])


@step(
    version=1,
    rows=_baseline_rows,
    cost=lambda context: Fetch("dataset", f"{OFFICIAL_DATA}{context.params['bench']}"),
)
def baseline_responses(out: Output, *, bench: str, source: str | None, baseline: str | None, fingerprint: str) -> None:
    """Write the bench's instructions in their official order, answered by the baseline; `fingerprint` is that of the
    rows."""
    found = load_baseline(bench, source, baseline)
    if found.fingerprint != fingerprint:
        raise UserError(f"{found.source} has changed since this run looked at it; run the same command again")
    out.write_rows(found.responses)


def stored_outputs(bench: str, path: Path, prompts: Artifact) -> Artifact:
    """Return the outputs in the file `path` to `prompts`. Raises UserError for a file that cannot be read."""
    return read_stored_outputs(
        bench=bench,
        path=str(path.absolute()),
        digest=file_digest(path),
        prompts=prompts,
    ).with_label(path.name)


@step(version=1, rows=lambda context: context.rows("prompts"))
def read_stored_outputs(out: Output, *, bench: str, path: str, digest: str, prompts: Artifact) -> None:
    """Write a model's stored outputs as `Response` rows; `digest` is the SHA-256 of the file.

    A prompt without an output is missing from every score, and counted there.
    """
    asked = [row.prompt for row in prompts.rows(Response)]
    rows = read_answer_file(bench, Path(path)).join(asked, allow_missing=True)
    if not rows:
        raise UserError(f"{path}: no output for any of the {len(asked)} instructions; is it of another benchmark?")
    out.counts["without_output"] = len(asked) - len(rows)
    out.write_rows(rows)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes. Raises UserError where it cannot be read."""
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None

"""Data roles and models as artifacts: where every graph begins."""

from harness.backends.models import REFERENCE_FILE, fingerprint
from harness.core.artifacts import Artifact, Output, step
from harness.core.errors import UserError
from harness.core.records import PreferencePair, Response
from harness.mini.identity import world_digest


@step(version=1)
def load_data(out: Output, *, reference: str, size: int, world: str) -> None:
    """The first `size` rows of a data role: `Response` rows, or `PreferencePair` rows for preference data.

    `world` identifies the mini world's code (`world_digest`).
    """
    from harness.mini.roles import read_role

    out.write_rows(read_role(reference.removeprefix("mini:"), size))


def data(reference: str, size: int) -> Artifact:
    """The data role that `reference` ("mini:<role>") stands for. Raises UserError for any other kind of reference."""
    if not reference.startswith("mini:"):
        raise UserError(f"cannot read the data set {reference!r}: only the embedded world's (mini:<role>) are known")
    return load_data(reference=reference, size=size, world=world_digest()).shared_as(reference)


@step(version=1)
def load_model(out: Output, *, reference: str, fingerprint: str) -> None:
    """A pointer to a model that exists already; its content is identified by `fingerprint`."""
    out.write_json(REFERENCE_FILE, {"reference": reference, "fingerprint": fingerprint})


def model(reference: str) -> Artifact:
    """The model that `reference` stands for (see `harness.backends.models`). Raises UserError where there is none."""
    return load_model(reference=reference, fingerprint=fingerprint(reference)).shared_as(reference)


@step(version=1)
def first_responses(out: Output, *, responses: Artifact, size: int) -> None:
    """The first `size` rows of `responses`."""
    out.write_rows(responses.rows(Response)[:size])


@step(version=1)
def chosen_responses(out: Output, *, preference_data: Artifact) -> None:
    """The chosen answers of preference data as `Response` rows: the prompts and references of S_P in Algorithm 1."""
    pairs = preference_data.rows(PreferencePair)
    out.write_rows(Response(pair.prompt, pair.chosen, "chosen") for pair in pairs)


@step(version=1)
def preference_pairs(out: Output, *, chosen: Artifact, rejected: Artifact) -> None:
    """`PreferencePair` rows from two sets of responses, joined by prompt.

    A prompt without both answers, or whose two answers are the same text, gives no pair; both are counted.
    """
    rejected_by_prompt = {row.prompt.id: row.text for row in rejected.rows(Response)}
    both = [(row, rejected_by_prompt.get(row.prompt.id)) for row in chosen.rows(Response)]
    out.counts["without_both_answers"] = sum(text is None for _, text in both)
    out.counts["identical"] = sum(row.text == text for row, text in both)
    out.write_rows(
        PreferencePair(row.prompt, row.text, text) for row, text in both if text is not None and text != row.text
    )

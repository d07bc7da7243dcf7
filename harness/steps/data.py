"""Data roles and models as artifacts: where every graph begins."""

from harness.engine.artifacts import Artifact, Output, step
from harness.engine.unresolved import resolved
from harness.errors import UserError
from harness.files import file_digest
from harness.mini.identity import world_digest
from harness.models.datasets import data_fingerprint
from harness.models.hub import at_commit
from harness.models.references import REFERENCE_FILE, chat_template_text, model_fingerprint, needs_preparation
from harness.models.row_layouts import RowKind
from harness.records import PreferencePair, Response


@step(version=1)
def load_data(out: Output, *, reference: str, size: int, world: str) -> None:
    """The first `size` rows of a data role: `Response` rows, or `PreferencePair` rows for preference data.

    `world` identifies the mini world's code (`world_digest`).
    """
    from harness.mini.roles import read_role

    out.write_rows(read_role(reference.removeprefix("mini:"), size))


@step(version=2)
def load_rows(out: Output, *, reference: str, split: str, kind: RowKind, size: int, fingerprint: str) -> None:
    """The first `size` rows of a data set (see `harness.models.datasets`), which `fingerprint` identifies.

    The SHA-256 of the files they come from are kept beside them. Raises UserError where it is another one by now.
    """
    from harness.models.datasets import data_files, read_data
    from harness.models.hub import require_planned

    require_planned(reference, fingerprint)
    if data_fingerprint(reference) != fingerprint:
        raise UserError(f"{reference} has changed since this run looked at it; run the same command again")
    files = data_files(reference, split, out.track)
    out.write_rows(read_data(reference, split, kind, size))
    digests = {name: file_digest(path) for name, path in files.items()}
    out.write_json(REFERENCE_FILE, {"reference": reference, "fingerprint": fingerprint, "files": digests})


def data(reference: str, size: int, *, split: str = "", kind: RowKind = "responses") -> Artifact:
    """The rows that `reference` stands for: "mini:<role>", or a data set as in `harness.models.datasets`.

    Raises UserError where there are none.
    """
    if reference.startswith("mini:"):
        return load_data(reference=reference, size=size, world=world_digest()).with_label(reference)
    digest = resolved(reference, lambda: data_fingerprint(reference))
    return load_rows(
        reference=at_commit(reference, digest), split=split, kind=kind, size=size, fingerprint=digest
    ).with_label(reference)


@step(version=2)
def load_model(out: Output, *, reference: str, fingerprint: str) -> None:
    """A pointer to a model that exists already, fetched if it is on the hub, with the SHA-256 of its files.

    `fingerprint` identifies its content, before anything is fetched. Raises UserError where it is another one by now.
    """
    from harness.models.hub import require_planned
    from harness.models.references import fetch_reference, file_digests, require_unchanged

    require_planned(reference, fingerprint)
    fetch_reference(reference, out.track)
    files = file_digests(reference)
    require_unchanged(reference, fingerprint, files)
    out.write_json(REFERENCE_FILE, {"reference": reference, "fingerprint": fingerprint, "files": files})


@step(version=1)
def prepare_model(out: Output, *, reference: str, fingerprint: str, chat_template: str, closing_token: str) -> None:
    """A checkpoint folder: a converted GGUF, or links to the files of a model, with the chat format asked for.

    `chat_template` is the template's text, not its name; empty for the tokenizer's own, like `closing_token`.
    Raises UserError where the model is not the one that `fingerprint` identifies.
    """
    from harness.models.hub import require_planned
    from harness.models.references import fetch_reference, prepare, require_unchanged

    require_planned(reference, fingerprint)
    require_unchanged(reference, fingerprint)
    fetch_reference(reference, out.track)
    prepare(reference, out.folder, chat_template, closing_token)


def model(reference: str, chat_template: str = "", closing_token: str = "") -> Artifact:
    """The model that `reference` stands for (`harness.models.references`), with another chat format if one is named.

    Raises UserError where there is none.
    """
    digest = resolved(reference, lambda: model_fingerprint(reference))
    label, reference = reference, at_commit(reference, digest)
    if needs_preparation(reference) or chat_template or closing_token:
        return prepare_model(
            reference=reference,
            fingerprint=digest,
            chat_template=chat_template_text(chat_template) if chat_template else "",
            closing_token=closing_token,
        ).with_label(label)
    return load_model(reference=reference, fingerprint=digest).with_label(label)


@step(version=1)
def first_responses(out: Output, *, responses: Artifact, size: int) -> None:
    """The first `size` rows of `responses`."""
    out.write_rows(responses.rows(Response)[:size])


@step(version=1)
def chosen_responses(out: Output, *, preference_data: Artifact) -> None:
    """The chosen answers of preference data as `Response` rows: the prompts and references of S_P in Algorithm 1."""
    pairs = preference_data.rows(PreferencePair)
    out.write_rows(pair.responses[0] for pair in pairs)


@step(version=2)
def preference_pairs(out: Output, *, chosen: Artifact, rejected: Artifact) -> None:
    """`PreferencePair` rows from two sets of responses, joined by prompt.

    A prompt without both answers, or whose two answers are the same text, gives no pair; both are counted. So are the
    pairs with an answer that the token limit cut off.
    """
    by_prompt = {row.prompt.id: row for row in rejected.rows(Response)}
    candidates = [(row, by_prompt.get(row.prompt.id)) for row in chosen.rows(Response)]
    both = [(row, other) for row, other in candidates if other is not None]
    pairs = [_pair(row, other) for row, other in both if row.text != other.text]
    out.counts["without_both_answers"] = len(candidates) - len(both)
    out.counts["identical"] = len(both) - len(pairs)
    out.counts["cut_off"] = sum(not all(answer.is_ended for answer in pair.responses) for pair in pairs)
    out.write_rows(pairs)


def _pair(chosen: Response, rejected: Response) -> PreferencePair:
    return PreferencePair(chosen.prompt, chosen.text, rejected.text, chosen.finish_reason, rejected.finish_reason)

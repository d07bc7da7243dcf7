"""Data roles and models as artifacts: where every graph begins."""

from dataclasses import dataclass, replace
from pathlib import Path

from harness.config.codec import encode
from harness.engine.artifacts import Artifact, Output, step
from harness.engine.unresolved import resolved
from harness.errors import UserError
from harness.files import file_digest
from harness.mini.identity import world_digest
from harness.mini.roles import read_role
from harness.models.datasets import data_files, data_fingerprint, read_data
from harness.models.hub import at_commit, require_planned
from harness.models.references import (
    REFERENCE_FILE,
    chat_template_text,
    fetch_reference,
    file_digests,
    model_fingerprint,
    needs_preparation,
    prepare,
    require_unchanged,
)
from harness.models.row_layouts import RowKind
from harness.records import PreferencePair, Response
from harness.steps.cost import COUNTED_ROWS, CostContext, Fetch, RowEstimate, counted_rows


def _assumed_rows(context: CostContext) -> RowEstimate:
    return context.data_set(context.params["reference"], context.params["size"])


def _file_rows(context: CostContext) -> RowEstimate:
    """Count a local file's rows, where it can be read; otherwise the lengths are assumed."""
    reference, size = context.params["reference"], context.params["size"]
    if not Path(reference).is_file():
        return _assumed_rows(context)
    try:
        columns = (context.params["request"], context.params["answer"])
        sample = read_data(
            reference, context.params["split"], context.params["kind"], min(size, COUNTED_ROWS), *columns
        )
    except UserError:
        return _assumed_rows(context)
    return counted_rows([encode(row) for row in sample], size)


@step(version=1, rows=_assumed_rows)
def load_data(out: Output, *, reference: str, size: int, world: str) -> None:
    """Write the first `size` rows of a data role: `Response` rows, or `PreferencePair` rows for preference data.

    `world` identifies the mini world's code (`world_digest`).
    """
    out.write_rows(read_role(reference.removeprefix("mini:"), size))


@step(version=2, rows=_file_rows, cost=lambda context: Fetch("dataset", context.params["reference"]))
def load_rows(
    out: Output,
    *,
    reference: str,
    split: str,
    kind: RowKind,
    size: int,
    fingerprint: str,
    request: str = "",
    answer: str = "",
) -> None:
    """Write the first `size` rows of a data set (see `harness.models.datasets`), which `fingerprint` identifies.

    The SHA-256 of the files they come from are kept beside them. Raises UserError where it is another one by now.
    """
    require_planned(reference, fingerprint)
    if data_fingerprint(reference) != fingerprint:
        raise UserError(f"{reference} has changed since this run looked at it; run the same command again")
    files = data_files(reference, split, out.track)
    out.write_rows(read_data(reference, split, kind, size, request, answer))
    digests = {name: file_digest(path) for name, path in files.items()}
    out.write_json(REFERENCE_FILE, {"reference": reference, "fingerprint": fingerprint, "files": digests})


def data(
    reference: str, size: int, *, split: str = "", kind: RowKind = "responses", request: str = "", answer: str = ""
) -> Artifact:
    """Return the rows that `reference` stands for: "mini:<role>", or a data set as in `harness.models.datasets`.

    Raises UserError where there are none.
    """
    if reference.startswith("mini:"):
        return load_data(reference=reference, size=size, world=world_digest()).with_label(reference)
    digest = resolved(reference, lambda: data_fingerprint(reference))
    return load_rows(
        reference=at_commit(reference, digest),
        split=split,
        kind=kind,
        size=size,
        fingerprint=digest,
        request=request,
        answer=answer,
    ).with_label(reference)


@dataclass(frozen=True, slots=True)
class DataRole:
    """The data set that stands for one of the paper's; the first `size` rows of its `split` are used."""

    reference: str
    size: int
    split: str = ""
    kind: RowKind = "responses"
    request: str = ""
    """What a row asks, with the names of its columns in braces, where its layout does not say it."""
    answer: str = ""
    """The column of the response, where its layout does not say it."""

    def __post_init__(self) -> None:
        """Raise ValueError for a size of no rows."""
        if self.size < 1:
            raise ValueError(f"size must be 1 or more, not {self.size}")

    def artifact(self) -> Artifact:
        """Return the rows as an artifact."""
        return data(
            self.reference,
            self.size,
            split=self.split,
            kind=self.kind,
            request=self.request,
            answer=self.answer,
        )


@step(version=2, cost=lambda context: Fetch("model", context.params["reference"]))
def load_model(out: Output, *, reference: str, fingerprint: str) -> None:
    """Point to a model that exists already, fetched if it is on the hub, with the SHA-256 of its files.

    `fingerprint` identifies its content, before anything is fetched. Raises UserError where it is another one by now.
    """
    require_planned(reference, fingerprint)
    fetch_reference(reference, out.track)
    files = file_digests(reference)
    require_unchanged(reference, fingerprint, files)
    out.write_json(REFERENCE_FILE, {"reference": reference, "fingerprint": fingerprint, "files": files})


@step(version=1, cost=lambda context: Fetch("model", context.params["reference"]))
def prepare_model(out: Output, *, reference: str, fingerprint: str, chat_template: str, closing_token: str) -> None:
    """Make a checkpoint folder: a converted GGUF, or links to the files of a model, with the chat format asked for.

    `chat_template` is the template's text, not its name; empty for the tokenizer's own, like `closing_token`.
    Raises UserError where the model is not the one that `fingerprint` identifies.
    """
    require_planned(reference, fingerprint)
    require_unchanged(reference, fingerprint)
    fetch_reference(reference, out.track)
    prepare(reference, out.folder, chat_template, closing_token)


def model(reference: str, chat_template: str = "", closing_token: str = "") -> Artifact:
    """Return the model that `reference` names (`harness.models.references`), with another chat format if one is given.

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


@step(version=1, rows=lambda context: context.rows("responses").first(context.params["size"]))
def first_responses(out: Output, *, responses: Artifact, size: int) -> None:
    """Write the first `size` rows of `responses`."""
    out.write_rows(responses.rows(Response)[:size])


def _chosen_rows(context: CostContext) -> RowEstimate:
    return replace(context.rows("preference_data"), content="the data's chosen")


@step(version=1, rows=_chosen_rows)
def chosen_responses(out: Output, *, preference_data: Artifact) -> None:
    """Write the chosen answers of preference data as `Response` rows: prompts and references of S_P in Algorithm 1."""
    pairs = preference_data.rows(PreferencePair)
    out.write_rows(pair.responses[0] for pair in pairs)


def _pair_rows(context: CostContext) -> RowEstimate:
    """Estimate the pairs: a refined answer was asked for with more than the request, which alone is in a pair."""
    chosen, rejected = context.rows("chosen"), context.rows("rejected")
    return RowEstimate(
        count=min(chosen.count, rejected.count),
        most=min(chosen.most, rejected.most),
        prompt=min(chosen.prompt, rejected.prompt),
        answer=(chosen.answer + rejected.answer) / 2,
        spread=max(chosen.spread, rejected.spread),
        assumptions=chosen.assumptions | rejected.assumptions,
        content=f"{chosen.content} over {rejected.content}",
    )


@step(version=2, rows=_pair_rows)
def preference_pairs(out: Output, *, chosen: Artifact, rejected: Artifact) -> None:
    """Write `PreferencePair` rows from two sets of responses, joined by prompt.

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

"""Revisions: a model answers again, with its answer before in context (SRPO, arXiv 2406.01660, section 6)."""

from collections.abc import Sequence

from harness.engine.artifacts import Artifact, Output, step
from harness.engine.graph import input_of
from harness.errors import UserError
from harness.models.chat import conversation, prompt_ids, revision_message
from harness.models.context_length import context_length
from harness.models.generator import Conversation, Sampling
from harness.models.references import WITHOUT_WEIGHTS, checkpoint_folder, resolve
from harness.records import Response
from harness.steps.cost import CostContext, RowEstimate, count_tokens
from harness.steps.respond import answer_conversations, answering_cost, is_at_endpoint, longest_answer

WITHOUT_ROOM = "without_room"
"""The count of answers that stay as they are, as the model does not hold the prompt of their revision."""


def _revision_rows(context: CostContext) -> RowEstimate:
    """Estimate revisions: about as long as the answers before, which their prompts show beside the requests."""
    before, estimate = context.rows("responses"), context.estimates.revision
    request = context.rows_of(_first_answers(context.artifact)).prompt
    frame = count_tokens(context.params["template"].format(request="", example=""))
    answer = min(before.answer * estimate.value, longest_answer(context))
    return before.answered(frame + request + before.answer, answer, estimate)


def _first_answers(revision: Artifact) -> Artifact:
    """Return the answers that a chain of revisions began with: each of its prompts shows their request, once."""
    while revision.step == revise.name:
        revision = input_of(revision, "responses")
    return revision


@step(
    version=1,
    resumable=True,
    work="generation",
    asks=is_at_endpoint,
    rows=_revision_rows,
    cost=lambda context: answering_cost(context, "revisions"),
)
def revise(out: Output, *, model: Artifact, responses: Artifact, template: str, sampling: Sampling, seed: int) -> None:
    """Write `model`'s revisions of the `Response` rows in `responses`: y' ~ π(· | y, x).

    The last turn of a prompt is `template` with {request}, what was asked, and {example}, the answer before. An answer
    whose revision's prompt the model does not hold stays as it is; such answers are counted. Prompts without an answer
    are left out as by `respond`.
    """
    rows = responses.rows(Response)
    conversations = [conversation(row.prompt, revision_message(template, row.prompt.text, row.text)) for row in rows]
    unrevised = [row for row, fits in zip(rows, _fit(model, conversations), strict=True) if not fits]
    answer_conversations(out, model, [row.prompt for row in rows], conversations, sampling, seed, given=unrevised)
    out.counts[WITHOUT_ROOM] = len(unrevised)
    if unrevised:
        out.note(
            f"{len(unrevised)} of {len(rows)} answers stay as they are: {model} does not hold their revisions' prompts"
        )


def require_revision_prompt(template: str) -> None:
    """Raise UserError for a template that does not show request and example, or has other fields."""
    try:
        shows_both = {"R", "E"} <= set(template.format(request=" R ", example=" E ").split())
    except (KeyError, IndexError, ValueError):
        shows_both = False
    if not shows_both:
        raise UserError(
            "the prompt of a revision shows the request and the answer before: it needs the fields {request} and"
            " {example} and no other (revision in the recipe's prompts)"
        )


def _fit(model: Artifact, conversations: Sequence[Conversation]) -> list[bool]:
    """Tell of each conversation whether the model holds it and a token more; what an endpoint holds is not known."""
    from harness.models.hf import load_config, load_tokenizer

    reference = resolve(model.folder)
    if reference.startswith(WITHOUT_WEIGHTS):
        return [True] * len(conversations)
    folder = checkpoint_folder(reference)
    tokenizer, limit = load_tokenizer(folder), context_length(load_config(folder))
    return [len(prompt_ids(tokenizer, each)) < limit for each in conversations]

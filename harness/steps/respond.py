"""Responses of a model: to prompts as they are, or to prompts rendered from a template."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from hashlib import sha256

from harness.endpoints.cost import MESSAGE_TOKENS
from harness.engine.artifacts import Artifact, Output, step
from harness.engine.graph import is_trained, model_reference
from harness.errors import UserError
from harness.models.chat import conversation
from harness.models.generator import Completion, Conversation, Generator, Sampling
from harness.models.openai_teacher import NO_ANSWER, OPENAI, OpenAITeacher, teacher_endpoint
from harness.models.references import WITHOUT_WEIGHTS, load_generator, resolve
from harness.records import Prompt, Response
from harness.steps.cost import Asking, CostContext, Generation, RowEstimate, about, count_tokens, is_embedded

SHOWN_PROMPTS = 5
"""Of those without an answer, how many are named."""

CUT_OFF_SHARE = 0.02
"""Of a step's answers: where the token limit cuts off more, the user hears of it."""


def is_at_endpoint(artifact: Artifact) -> bool:
    """Tell whether the `model` that is to answer is behind an endpoint."""
    model = artifact.inputs["model"]
    return isinstance(model, Artifact) and str(model.params.get("reference", "")).startswith(OPENAI)


def _answer_rows(context: CostContext) -> RowEstimate:
    """Estimate answers: a policy's are as long as the references to the same prompts, a teacher's of a length."""
    prompts, estimates = context.rows("prompts"), context.estimates
    if is_trained(context.artifact) or is_embedded(context.artifact):
        answer, estimate = prompts.answer * estimates.policy_answer.value, estimates.policy_answer
    else:
        answer, estimate = estimates.teacher_answer.value, estimates.teacher_answer
    return prompts.answered(prompts.prompt, min(answer, longest_answer(context)), estimate)


def _improvement_rows(context: CostContext) -> RowEstimate:
    """Estimate improvements: so many times as long as the drafts, which the prompt shows with the references."""
    drafts, estimate = context.rows("drafts"), context.estimates.improvement
    prompt = refine_prompt_tokens(context.params["template"], drafts, context.rows("references").answer)
    return drafts.answered(prompt, min(drafts.answer * estimate.value, longest_answer(context)), estimate)


def longest_answer(context: CostContext) -> int:
    """Return the most tokens that an answer may have."""
    return int(context.params["sampling"]["max_new_tokens"])


def refine_prompt_tokens(template: str, drafts: RowEstimate, reference: float) -> float:
    """Estimate the tokens of a refine prompt, whose `reference` has so many, where the template shows it.

    Drafts that were refined themselves keep the prompt of the refinement before.
    """
    frame = count_tokens(template.format(request="", draft="", reference=""))
    return frame + drafts.prompt + drafts.answer + (reference if "{reference}" in template else 0.0)


def answering_cost(context: CostContext, purpose: str) -> Generation | Asking | None:
    """Forecast a model's run or a teacher's requests; the embedded oracle and a stored teacher take nothing."""
    reference = model_reference(context.artifact) or ""
    if is_trained(context.artifact) or not reference.startswith(WITHOUT_WEIGHTS):
        return Generation(context.artifact.arguments["sampling"])
    if not is_at_endpoint(context.artifact):
        return None
    rows = context.rows_of(context.artifact)
    return Asking(
        endpoint=teacher_endpoint(reference),
        role="teacher",
        purpose=purpose,
        calls=rows.most,
        prompt_tokens=about(rows.count * (rows.prompt + 2 * MESSAGE_TOKENS), rows.spread),
        completion_tokens=about(rows.count * rows.answer, rows.spread),
        explains=True,
        assumptions=rows.assumptions,
    )


@step(
    version=3,
    resumable=True,
    work="generation",
    asks=is_at_endpoint,
    rows=_answer_rows,
    cost=lambda context: answering_cost(context, "answers"),
)
def respond(out: Output, *, model: Artifact, prompts: Artifact, sampling: Sampling, seed: int) -> None:
    """Write `model`'s answers to the prompts of the `Response` rows in `prompts`: ŷ ~ π(· | x).

    A prompt to which a teacher's endpoint gives no answer (an empty or a filtered one) has no row; they are counted.
    """
    asked = [row.prompt for row in prompts.rows(Response)]
    answer_conversations(out, model, asked, [conversation(prompt) for prompt in asked], sampling, seed)


@step(
    version=3,
    resumable=True,
    work="generation",
    asks=is_at_endpoint,
    rows=_improvement_rows,
    cost=lambda context: answering_cost(context, "improvements"),
)
def refine(
    out: Output,
    *,
    model: Artifact,
    template: str,
    references: Artifact,
    drafts: Artifact,
    sampling: Sampling,
    seed: int,
) -> None:
    """Write `model`'s improvements of `drafts`: ỹ ~ π(· | r(x, y, ŷ)) with the prompt r given by `template`.

    `template` may use the fields {request}, {reference} and {draft}; drafts and references are joined by prompt.
    Prompts without an answer are left out as by `respond`.
    """
    reference_by_prompt = {row.prompt.id: row.text for row in references.rows(Response)}
    rows = drafts.rows(Response)
    conversations = [
        conversation(row.prompt, render(template, row, reference_by_prompt[row.prompt.id])) for row in rows
    ]
    answer_conversations(out, model, [row.prompt for row in rows], conversations, sampling, seed)


def render(template: str, draft: Response, reference: str = "") -> str:
    """Render the refine prompt r(x, ŷ) or, where the template shows the reference, r(x, y, ŷ)."""
    return template.format(request=draft.prompt.text, draft=draft.text, reference=reference)


def answer_conversations(
    out: Output,
    model: Artifact,
    prompts: Sequence[Prompt],
    conversations: Sequence[Conversation],
    sampling: Sampling,
    seed: int,
    given: Sequence[Response] = (),
) -> None:
    """Answer the prompts in whole batches, so that the rows are the same however often a run was killed.

    Prompts with an answer that is `given` are not asked. What got no answer is asked again by a run that goes on: the
    reply is recorded, and costs nothing.
    """
    log = out.append_rows(Response, key=lambda row: row.prompt.id)
    if new := [row for row in given if row.prompt.id not in log.done]:
        log.append(new)
    unanswered: dict[str, str] = {}
    lengths = [sum(len(turn.content) for turn in turns) for turns in conversations]
    left = [i for i in longest_first(lengths) if prompts[i].id not in log.done]
    if left:
        progress = out.track(len(prompts), "rows", done=len(log.done))
        ended = 0

        def advance(count: int) -> None:  # of rows that end before the others of their batch
            nonlocal ended
            ended += count
            progress.advance(count)

        with closing(_generator(out, model, sampling)) as generator:
            size = generator.preferred_batch_size(sampling.max_new_tokens)
            for batch in (left[start : start + size] for start in range(0, len(left), size)):
                ended = 0
                completions = generator.complete(
                    [conversations[i] for i in batch],
                    sampling,
                    [prompt_seed(seed, prompts[i].id, conversations[i][-1].content) for i in batch],
                    advance,
                )
                asked = [prompts[i] for i in batch]
                unanswered |= _reasons(asked, completions)
                log.append(
                    [
                        Response(prompt, done.text, generator.name, done.token_ids, done.finish_reason)
                        for prompt, done in zip(asked, completions, strict=True)
                        if prompt.id not in unanswered
                    ]
                )
                progress.advance(len(batch) - ended)
    _count_cut_off(out, list(log.done.values()), sampling)
    _count_unanswered(out, model, len(prompts), unanswered)


def _reasons(prompts: Sequence[Prompt], completions: Sequence[Completion]) -> dict[str, str]:
    """Say why there is no answer to some prompts, by their ids."""
    return {
        prompt.id: done.finish_reason.removeprefix(NO_ANSWER)
        for prompt, done in zip(prompts, completions, strict=True)
        if done.finish_reason.startswith(NO_ANSWER)
    }


def _generator(out: Output, model: Artifact, sampling: Sampling) -> Generator:
    reference = resolve(model.folder)
    if reference.startswith(OPENAI):
        return OpenAITeacher(reference, out.limits, out.reply_cache, out.note)
    return load_generator(reference, sampling.engine, out.compute)


def _count_cut_off(out: Output, rows: Sequence[Response], sampling: Sampling) -> None:
    cut = sum(not row.is_ended for row in rows)
    out.counts["cut_off"] = cut
    if cut > CUT_OFF_SHARE * len(rows):
        out.note(f"{cut} of {len(rows)} answers are cut off at the limit of {sampling.max_new_tokens} tokens")


def _count_unanswered(out: Output, model: Artifact, asked: int, unanswered: Mapping[str, str]) -> None:
    """Count the prompts without an answer; `unanswered` says by prompt why there is none."""
    out.counts["unanswered"] = len(unanswered)
    if not unanswered:
        return
    [(reason, count)] = Counter(unanswered.values()).most_common(1)
    if len(unanswered) == asked:
        raise UserError(f"{model} answers none of {asked} prompts ({reason}): take another teacher, or other prompts")
    names = ", ".join(list(unanswered)[:SHOWN_PROMPTS]) + (", …" if len(unanswered) > SHOWN_PROMPTS else "")
    out.note(f"{len(unanswered)} of {asked} prompts have no answer ({names}): {reason} ({count} of them)")


def longest_first(lengths: Sequence[int]) -> list[int]:
    """Return positions in the order of length, so that neighbours make batches with little padding.

    The longest come first: what is too long for the model or for the memory shows at once, and not after hours.
    """
    return sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))


def prompt_seed(seed: int, prompt_id: str, message: str) -> int:
    """Derive a seed for one rendering of a prompt, unrelated to that of other prompts and of its other renderings."""
    return int.from_bytes(sha256(f"{seed} {prompt_id} {message}".encode()).digest()[:7], "big")

"""Responses of a model: to prompts as they are, or to prompts rendered from a template."""

from collections.abc import Iterator, Sequence
from hashlib import sha256

from harness.backends.chat import conversation
from harness.backends.interfaces import Conversation, Sampling
from harness.core.artifacts import Artifact, Output, Tracker, step
from harness.core.records import Prompt, Response

BATCH_SIZE = 256
BATCH_TOKENS = 40_960
"""What a batch may come to in new tokens, which bounds memory where answers may be long."""


@step(version=2, resumable=True, work="generation")
def respond(out: Output, *, model: Artifact, prompts: Artifact, sampling: Sampling, seed: int) -> None:
    """`model`'s answers to the prompts of the `Response` rows in `prompts`: ŷ ~ π(· | x)."""
    asked = [row.prompt for row in prompts.rows(Response)]
    _answer(out, model, asked, [conversation(prompt) for prompt in asked], sampling, seed)


@step(version=2, resumable=True, work="generation")
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
    """`model`'s improvements of `drafts`: ỹ ~ π(· | r(x, y, ŷ)) with the prompt r given by `template`.

    `template` may use the fields {request}, {reference} and {draft}; drafts and references are joined by prompt.
    """
    reference_by_prompt = {row.prompt.id: row.text for row in references.rows(Response)}
    rows = drafts.rows(Response)
    shown = [conversation(row.prompt, render(template, row, reference_by_prompt[row.prompt.id])) for row in rows]
    _answer(out, model, [row.prompt for row in rows], shown, sampling, seed)


def render(template: str, draft: Response, reference: str = "") -> str:
    """The refine prompt r(x, ŷ) or, where the template shows the reference, r(x, y, ŷ)."""
    return template.format(request=draft.prompt.text, draft=draft.text, reference=reference)


def _answer(
    out: Output,
    model: Artifact,
    prompts: Sequence[Prompt],
    conversations: Sequence[Conversation],
    sampling: Sampling,
    seed: int,
) -> None:
    """Batches are the same however often a run was killed, and each is appended as a whole."""
    from harness.backends.models import load_generator, resolve

    log = out.append_rows(Response, key=lambda row: row.prompt.id)
    progress = out.track(len(prompts), "rows", done=len(log.done))
    generator = None
    size = max(1, min(BATCH_SIZE, BATCH_TOKENS // sampling.max_new_tokens))
    for batch in batches_by_length([said[-1].content for said in conversations], size):
        if prompts[batch[0]].id in log.done:
            continue
        generator = generator or load_generator(resolve(model.folder))
        within = _BatchProgress(progress, len(batch))
        completions = generator.complete(
            [conversations[i] for i in batch],
            sampling,
            [prompt_seed(seed, prompts[i].id, conversations[i][-1].content) for i in batch],
            within.advance,
        )
        log.append(
            [
                Response(prompts[i], done.text, generator.name, done.token_ids, done.finish_reason)
                for i, done in zip(batch, completions, strict=True)
            ]
        )
        within.finish()
    out.counts["cut_off"] = sum(row.finish_reason == "length" for row in log.done.values())


class _BatchProgress:
    """Progress within a batch: rows that have ended before the others, then all that are left."""

    def __init__(self, progress: Tracker, rows: int) -> None:
        self._progress, self._left = progress, rows

    def advance(self, count: int) -> None:
        """`count` more rows have ended."""
        self._progress.advance(count)
        self._left -= count

    def finish(self) -> None:
        """All rows have."""
        self._progress.advance(self._left)
        self._left = 0


def batches_by_length(messages: Sequence[str], size: int) -> Iterator[list[int]]:
    """Positions of the messages in batches of like length, so that little is spent on padding."""
    order = sorted(range(len(messages)), key=lambda i: (len(messages[i]), i))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def prompt_seed(seed: int, prompt_id: str, message: str) -> int:
    """A seed for what one prompt is shown as, unrelated to that of its neighbours and of its other renderings."""
    return int.from_bytes(sha256(f"{seed} {prompt_id} {message}".encode()).digest()[:7], "big")

"""Perplexity of responses under a model."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from harness.engine.artifacts import Artifact, Output, step
from harness.models.chat import conversation
from harness.models.hf import Likelihoods
from harness.models.references import checkpoint_of
from harness.records import Response
from harness.steps.cost import Likelihood
from harness.steps.respond import longest_first

BATCH_SIZE = 128
BEYOND = "beyond_context"
"""The count of rows that are longer than the model's context."""


@dataclass(frozen=True, slots=True)
class Perplexity:
    """One response's likelihood given its prompt: summed negative log-likelihood in nats over `tokens` tokens.

    The closing token is one of them, where the writer ended the response or wrote nothing: a response that the token
    limit cut off is as likely as what was written of it, as in training.
    """

    prompt_id: str
    negative_log_likelihood: float | None
    """None where prompt and response are more than the model's context holds: it cannot tell how likely they are."""
    tokens: int

    @property
    def nats_per_token(self) -> float:
        """The mean negative log-likelihood of a token. Raises ValueError where there is none."""
        if self.negative_log_likelihood is None:
            raise ValueError(f"the response to {self.prompt_id} is longer than the model's context")
        return self.negative_log_likelihood / self.tokens

    @property
    def value(self) -> float:
        """Exp of `nats_per_token`, which may raise."""
        return math.exp(self.nats_per_token)


def measured(rows: Iterable[Perplexity]) -> dict[str, Perplexity]:
    """Return by prompt the rows that have a likelihood."""
    return {row.prompt_id: row for row in rows if row.negative_log_likelihood is not None}


@step(version=4, work="likelihood", cost=lambda context: Likelihood(context.input("responses"), BATCH_SIZE))
def perplexity(out: Output, *, model: Artifact, responses: Artifact) -> None:
    """Write `Perplexity` rows of `responses` under `model`, given their prompts (section 3.1.2), in the same order.

    Rows beyond the model's context have no likelihood; they are counted, and the user hears of them.

    Which tokens count, and how memory is bounded: see `Likelihoods`.
    """
    rows = responses.rows(Response)
    likelihoods = Likelihoods(checkpoint_of(model.folder))
    progress = out.track(len(rows), "rows")
    found: dict[int, Perplexity] = {}
    order = longest_first([len(row.prompt.text) + len(row.text) for row in rows])
    for batch in (order[start : start + BATCH_SIZE] for start in range(0, len(order), BATCH_SIZE)):
        pairs = likelihoods.negative_log_likelihoods(
            [conversation(rows[i].prompt) for i in batch],
            [rows[i].text for i in batch],
            [rows[i].is_ended for i in batch],
        )
        found |= {i: Perplexity(rows[i].prompt.id, *pair) for i, pair in zip(batch, pairs, strict=True)}
        progress.advance(len(batch))
    out.write_rows(found[i] for i in range(len(rows)))
    beyond = len(rows) - sum(row.negative_log_likelihood is not None for row in found.values())
    out.counts[BEYOND] = beyond
    if beyond:
        out.note(
            f"{beyond} of {len(rows)} responses have no perplexity: with their prompts they are more than the"
            f" {likelihoods.limit} tokens that the model holds"
        )

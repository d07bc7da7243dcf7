"""Perplexity of responses under a model."""

import math
from dataclasses import dataclass

from harness.backends.chat import conversation
from harness.core.artifacts import Artifact, Output, step
from harness.core.records import Response
from harness.steps.respond import longest_first

BATCH_SIZE = 128


@dataclass(frozen=True, slots=True)
class Perplexity:
    """One response's likelihood given its prompt: summed negative log-likelihood in nats over `tokens` tokens.

    The closing token is one of them, where the writer ended the response or wrote nothing: a response that the token
    limit cut off is as likely as what was written of it, as in training.
    """

    prompt_id: str
    negative_log_likelihood: float
    tokens: int

    @property
    def value(self) -> float:
        """Exp of the mean negative log-likelihood of a token."""
        return math.exp(self.negative_log_likelihood / self.tokens)


@step(version=4, work="likelihood")
def perplexity(out: Output, *, model: Artifact, responses: Artifact) -> None:
    """`Perplexity` rows of `responses` under `model`, given their prompts (section 3.1.2), in the responses' order.

    Which tokens count, and how memory is bounded: see `Likelihoods`.
    """
    from harness.backends.hf import Likelihoods
    from harness.backends.models import checkpoint_of

    rows = responses.rows(Response)
    likelihoods = Likelihoods(checkpoint_of(model.folder))
    progress = out.track(len(rows), "rows")
    measured: dict[int, Perplexity] = {}
    order = longest_first([len(row.prompt.text) + len(row.text) for row in rows])
    for batch in (order[start : start + BATCH_SIZE] for start in range(0, len(order), BATCH_SIZE)):
        pairs = likelihoods.negative_log_likelihoods(
            [conversation(rows[i].prompt) for i in batch],
            [rows[i].text for i in batch],
            [rows[i].is_ended for i in batch],
        )
        measured |= {i: Perplexity(rows[i].prompt.id, *pair) for i, pair in zip(batch, pairs, strict=True)}
        progress.advance(len(batch))
    out.write_rows(measured[i] for i in range(len(rows)))

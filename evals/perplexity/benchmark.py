"""Perplexity as an evaluation: how likely answers are under a checkpoint, prompt by prompt and in summary."""

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evals.base import RESAMPLES, Setting
from evals.measures import LOG_PERPLEXITY, Measurement
from harness.engine.artifacts import Artifact, Output, step
from harness.records import ROWS
from harness.steps.perplexity import Perplexity, perplexity

if TYPE_CHECKING:
    from evals.stats.bootstrap import FloatArray, IntArray

ESTIMATES = ("perplexity", "negative_log_likelihood_per_token", "corpus_perplexity")


class PerplexityBenchmark(Measurement):
    """The likelihood of answers under a checkpoint, given their prompts."""

    summary = "perplexity of answers under a checkpoint, given their prompts"
    source = "SGPO, section 3.1.2, figures 5 and 9"
    metrics = (LOG_PERPLEXITY,)
    needs = ("model", "outputs")

    def answers(self, setting: Setting, checkpoint: Artifact, prompts: Artifact, seed: int) -> Artifact:
        """Return the baseline's, for every checkpoint: its own would say nothing of what it has learnt."""
        return prompts

    def rows(self, setting: Setting, **given: Artifact) -> Artifact:
        """Build `Perplexity` rows of `outputs` under the checkpoint `model`."""
        return perplexity(model=given["model"], responses=given["outputs"])

    def summarise(self, rows: Artifact) -> Artifact:
        """Return the perplexities of a response, and of all of them as one text."""
        return summarise_perplexity(perplexities=rows, resamples=RESAMPLES)


BENCHMARK = PerplexityBenchmark()


@step(version=1)
def summarise_perplexity(out: Output, *, perplexities: Artifact, resamples: int) -> None:
    """Write the `Perplexity` rows again, and `summary.json`: every estimate is a `value` with `ci95` from a bootstrap
    over prompts (null for a single prompt).

    - `perplexity` and `negative_log_likelihood_per_token` (nats): mean and quartiles over responses, all alike;
    - `corpus_perplexity`: exp of all nats over all tokens, so that long responses weigh more.

    `n` responses are counted. `n_missing` are not: empty ones, which have no token but the closing one, and the
    `n_beyond_context` that the model's context does not hold. Where none is left the estimates are null.
    """
    rows = perplexities.rows(Perplexity)
    measured = [row for row in rows if row.tokens > 1 and row.negative_log_likelihood is not None]
    summary: dict[str, object] = {
        "n_beyond_context": sum(row.negative_log_likelihood is None for row in rows),
        "n": len(measured),
        "n_missing": len(rows) - len(measured),
        "n_tokens": sum(row.tokens for row in measured),
    }
    out.write_json("summary.json", summary | _estimates(measured, resamples))
    shutil.copyfile(perplexities.folder / ROWS, out.folder / ROWS)
    out.counts["rows"] = len(rows)


def _estimates(measured: Sequence[Perplexity], resamples: int) -> dict[str, object]:
    import numpy as np

    from evals.stats.distribution import distribution, estimates

    if not measured:
        return dict.fromkeys(ESTIMATES)
    tokens = np.array([row.tokens for row in measured], dtype=float)
    nats = np.array([row.negative_log_likelihood for row in measured], dtype=float)

    def corpus_perplexity(drawn: "IntArray") -> "FloatArray":
        return np.exp(nats[drawn].sum(axis=1) / tokens[drawn].sum(axis=1))[None, :]

    [corpus] = estimates(len(measured), corpus_perplexity, resamples=resamples)
    return {
        "perplexity": distribution(np.exp(nats / tokens), resamples=resamples),
        "negative_log_likelihood_per_token": distribution(nats / tokens, resamples=resamples),
        "corpus_perplexity": corpus,
    }

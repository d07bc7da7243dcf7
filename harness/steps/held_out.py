"""The behaviour of a trained policy on preference prompts that its training did not see (docs/rates.md)."""

from collections.abc import Iterable
from dataclasses import replace
from statistics import fmean

from harness.engine.artifacts import Artifact, Output, step
from harness.errors import UserError
from harness.records import PreferencePair, Response
from harness.steps.cost import CostContext, RowEstimate
from harness.steps.edit_distance import Tokenize, checkpoint_tokens
from harness.training.rows import ReferenceLogProbabilities

FIGURES = "figures.json"


def _rows_between(context: CostContext) -> RowEstimate:
    before, start = context.rows("preference_data").first(context.params["stop"]), context.params["start"]
    return replace(before, count=max(0, before.count - start), most=max(0, before.most - start))


@step(version=1, rows=_rows_between)
def pairs_between(out: Output, *, preference_data: Artifact, start: int, stop: int) -> None:
    """Write the rows of preference data from `start` to before `stop`, counted from 0."""
    out.write_rows(preference_data.rows(PreferencePair)[start:stop])


@step(version=1)
def held_out_figures(
    out: Output, *, model: Artifact, answers: Artifact, pairs: Artifact, log_probabilities: Artifact
) -> None:
    """Write ``figures.json`` of the policy `model` on held-out prompts: what the rule for learning rates looks at.

    `cut_off` is the share of its `answers` that reach the token limit; `tokens`, `chosen_tokens` and `rejected_tokens`
    are mean lengths of its answers and of both sides of the `pairs`, in its tokenizer's tokens without the closing one;
    `log_probability` is the mean of log π(chosen | prompt) in nats an answer, from `ReferenceLogProbabilities` rows.
    Raises UserError where there is no pair.
    """
    own, sides = answers.rows(Response), pairs.rows(PreferencePair)
    if not own or not sides:
        raise UserError("the held-out prompts give no pair of different answers; give more --limit")
    tokenize = checkpoint_tokens(model.folder)
    out.write_json(
        FIGURES,
        {
            "cut_off": fmean(not row.is_ended for row in own),
            "tokens": _mean_length(tokenize, (row.text for row in own)),
            "chosen_tokens": _mean_length(tokenize, (row.chosen for row in sides)),
            "rejected_tokens": _mean_length(tokenize, (row.rejected for row in sides)),
            "log_probability": fmean(row.sums[0] for row in log_probabilities.rows(ReferenceLogProbabilities)),
        },
    )


def _mean_length(tokenize: Tokenize, texts: Iterable[str]) -> float:
    return fmean(len(tokenize(text)) for text in texts)

"""Training steps: a checkpoint from a checkpoint."""

from collections.abc import Sequence
from statistics import fmean

from harness.engine.artifacts import Artifact, Output, step
from harness.engine.graph import input_of
from harness.records import PreferencePair, Prompt, Response
from harness.steps.cost import CostContext, Likelihood, RowEstimate, Training
from harness.steps.respond import refine_prompt_tokens, render
from harness.training.rows import ReferenceLogProbability
from harness.training.settings import Precision, PreferenceSettings, TrainingSettings

PAIRS = 64
"""How many pairs are appended at once by `reference_log_probabilities`."""

SEQUENCES_PER_PAIR = 2
"""The prompt with either answer."""


def _sft_cost(context: CostContext) -> Training:
    return Training(context.input("examples"), context.input("model"), context.artifact.arguments["settings"])


@step(version=1, resumable=True, work="training", cost=_sft_cost)
def train_sft(out: Output, *, model: Artifact, examples: Artifact, settings: TrainingSettings, seed: int) -> None:
    """Maximise log π(response | prompt) over the `Response` rows in `examples`, and over earlier turns' answers."""
    from harness.models.references import checkpoint_of
    from harness.training.sft import run_sft

    metrics = run_sft(
        checkpoint_of(model.folder),
        examples.rows(Response),
        settings,
        seed=seed,
        out=out.folder,
        track=out.track,
        compute=out.compute,
    )
    out.counts.update(metrics)


def direct_preference_optimization(
    *, policy: Artifact, reference: Artifact, pairs: Artifact, settings: PreferenceSettings, seed: int
) -> Artifact:
    """Train `policy` on `pairs` against the frozen `reference` (Eq. 6).

    What the reference thinks of the pairs is an artifact of its own: methods with the same reference and pairs share
    it, and training holds one model in memory. In half precision, where it depends on the batch, a policy that is its
    own reference scores the pairs itself, in the training's batches: it then starts level with its reference.
    """
    training = settings.training
    if training.precision != "float32" and policy == reference:
        return train_dpo(policy=policy, references=policy, pairs=pairs, settings=settings, seed=seed)
    references = reference_log_probabilities(
        model=reference, pairs=pairs, max_length=training.max_length, precision=training.precision
    )
    return train_dpo(policy=policy, references=references, pairs=pairs, settings=settings, seed=seed)


def _reference_cost(context: CostContext) -> Likelihood:
    return Likelihood(context.input("pairs"), PAIRS * SEQUENCES_PER_PAIR, SEQUENCES_PER_PAIR)


@step(version=1, resumable=True, work="likelihood", cost=_reference_cost)
def reference_log_probabilities(
    out: Output, *, model: Artifact, pairs: Artifact, max_length: int, precision: Precision
) -> None:
    """Write `ReferenceLogProbability` rows: log π_ref of both answers of each pair, cut and computed as in training."""
    from harness.models.references import checkpoint_of
    from harness.training.reference import ReferenceScorer

    rows = pairs.rows(PreferencePair)
    log = out.append_rows(ReferenceLogProbability, key=lambda row: row.prompt_id)
    progress = out.track(len(rows), "rows", done=len(log.done))
    references = None
    by_length = sorted(rows, key=_length, reverse=True)  # where memory runs out, it does at once
    for start in range(0, len(rows), PAIRS):
        batch = by_length[start : start + PAIRS]
        if batch[0].prompt.id in log.done:
            continue
        references = references or ReferenceScorer(checkpoint_of(model.folder), max_length, precision)
        log.append(references.log_probabilities(batch))
        progress.advance(len(batch))


def _length(pair: PreferencePair) -> tuple[int, str]:
    return len(pair.prompt.text) + max(len(pair.chosen), len(pair.rejected)), pair.prompt.id


def _dpo_cost(context: CostContext) -> Training:
    settings: PreferenceSettings = context.artifact.arguments["settings"]
    policy, references = context.input("policy"), context.input("references")
    return Training(
        data=context.input("pairs"),
        start=policy,
        settings=settings.training,
        sequences=SEQUENCES_PER_PAIR,
        beta=settings.beta,
        reference=policy if references == policy else input_of(references, "model"),
        scores_reference=references == policy,
    )


@step(version=2, resumable=True, work="training", cost=_dpo_cost)
def train_dpo(
    out: Output, *, policy: Artifact, references: Artifact, pairs: Artifact, settings: PreferenceSettings, seed: int
) -> None:
    """Minimise the DPO loss (Eq. 6) over `PreferencePair` rows, from `policy`, given `reference_log_probabilities`.

    With `policy` in their place it is its own reference.
    """
    from harness.models.references import checkpoint_of
    from harness.training.dpo import run_dpo

    metrics = run_dpo(
        checkpoint_of(policy.folder),
        pairs.rows(PreferencePair),
        None if references == policy else references.rows(ReferenceLogProbability),
        settings,
        seed=seed,
        out=out.folder,
        track=out.track,
        compute=out.compute,
    )
    out.counts.update(metrics)


def _example_rows(context: CostContext) -> RowEstimate:
    """Estimate the targets of all sets together, each behind the prompt that shows its draft."""
    drafts, targets = context.rows("drafts"), context.rows_of_each("targets")
    reference = context.rows("references").answer if "references" in context.artifact.inputs else 0.0
    return RowEstimate(
        count=sum(rows.count for rows in targets),
        most=sum(rows.most for rows in targets),
        prompt=refine_prompt_tokens(context.params["template"], drafts, reference),
        answer=fmean(rows.answer for rows in targets),
        spread=max(rows.spread for rows in targets),
        assumptions=drafts.assumptions.union(*(rows.assumptions for rows in targets)),
        content=" + ".join(rows.content for rows in targets),
    )


@step(version=4, rows=_example_rows)
def improver_examples(
    out: Output, *, template: str, drafts: Artifact, targets: Sequence[Artifact], references: Artifact | None = None
) -> None:
    """Write D_R (Eq. 3): for each kept target ỹ, the example r(x, ŷ_θ0) → ỹ, after the turns that led to x.

    `targets` are sets of `Response` rows, each filtered on its own, here united. `references` are needed where
    `template` shows the reference, which SGPO's own training prompt does not (Table 7).
    """
    draft_by_prompt = {row.prompt.id: row for row in drafts.rows(Response)}
    reference_by_prompt = {row.prompt.id: row.text for row in references.rows(Response)} if references else {}
    examples = []
    for number, target in enumerate(targets):
        for row in target.rows(Response):
            draft = draft_by_prompt[row.prompt.id]
            shown = render(template, draft, reference_by_prompt.get(row.prompt.id, ""))
            prompt = Prompt(f"{row.prompt.id}/{number}", shown, draft.prompt.history)
            examples.append(Response(prompt, row.text, row.writer, finish_reason=row.finish_reason))
    out.counts["improver_examples"] = len(examples)
    out.counts["cut_off"] = sum(not row.is_ended for row in examples)
    out.write_rows(examples)

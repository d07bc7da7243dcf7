"""Training steps: a checkpoint from a checkpoint."""

from collections.abc import Sequence
from statistics import fmean

from harness.engine.artifacts import Artifact, Output, step
from harness.engine.graph import input_of
from harness.records import PreferencePair, Prompt, Response
from harness.steps.cost import CostContext, Likelihood, RowEstimate, ScoredPairs, Training
from harness.steps.respond import refine_prompt_tokens, render
from harness.training.losses import CHOSEN, REJECTED, PreferenceLoss, ScoredSequence
from harness.training.rows import ReferenceLogProbabilities
from harness.training.settings import OnlineSettings, Precision, TrainingSettings

PAIRS = 64
"""How many pairs are appended at once by `reference_log_probabilities`."""


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
        tracking=out.tracking,
    )
    out.counts.update(metrics)


def optimize_preferences(
    *,
    policy: Artifact,
    reference: Artifact,
    pairs: Artifact,
    loss: PreferenceLoss,
    settings: TrainingSettings,
    seed: int,
    revision_prompt: str = "",
) -> Artifact:
    """Train `policy` on `pairs` with `loss`, against the frozen `reference` where the loss needs one.

    What the reference thinks of the pairs is an artifact of its own: methods with the same reference and pairs share
    it, and training holds one model in memory. In half precision, where it depends on the batch, a policy that is its
    own reference scores the pairs itself, in the training's batches: it then starts level with its reference.
    `revision_prompt` is how a loss shows an answer in context.
    """
    references: Artifact | None = None
    if loss.needs_reference and settings.precision != "float32" and policy == reference:
        references = policy  # in the place of its log-probabilities: the training takes them itself
    elif loss.needs_reference:
        references = reference_log_probabilities(
            model=reference,
            pairs=pairs,
            max_length=settings.max_length,
            precision=settings.precision,
            sequences=loss.sequences,
            revision_prompt=revision_prompt,
        )
    return train_preferences(
        policy=policy,
        references=references,
        pairs=pairs,
        loss=loss,
        settings=settings,
        seed=seed,
        revision_prompt=revision_prompt,
    )


def _reference_cost(context: CostContext) -> Likelihood:
    names = ("sequences", "max_length", "revision_prompt")
    scored = ScoredPairs(**{name: context.artifact.arguments[name] for name in names})
    return Likelihood(context.input("pairs"), PAIRS, scored)


@step(version=2, resumable=True, work="likelihood", cost=_reference_cost)
def reference_log_probabilities(
    out: Output,
    *,
    model: Artifact,
    pairs: Artifact,
    max_length: int,
    precision: Precision,
    sequences: tuple[ScoredSequence, ...] = (CHOSEN, REJECTED),
    revision_prompt: str = "",
) -> None:
    """Write `ReferenceLogProbabilities` rows: log π_ref of each pair's `sequences`, cut and computed as in training."""
    from harness.models.references import checkpoint_of
    from harness.training.reference import ReferenceScorer

    rows = pairs.rows(PreferencePair)
    log = out.append_rows(ReferenceLogProbabilities, key=lambda row: row.prompt_id)
    progress = out.track(len(rows), "rows", done=len(log.done))
    scorer = None
    by_length = sorted(rows, key=_length, reverse=True)  # where memory runs out, it does at once
    for start in range(0, len(rows), PAIRS):
        batch = by_length[start : start + PAIRS]
        if batch[0].prompt.id in log.done:
            continue
        scorer = scorer or ReferenceScorer(
            checkpoint_of(model.folder), max_length, precision, sequences, revision_prompt
        )
        log.append(scorer.log_probabilities(batch))
        progress.advance(len(batch))


def _length(pair: PreferencePair) -> tuple[int, str]:
    return len(pair.prompt.text) + max(len(pair.chosen), len(pair.rejected)), pair.prompt.id


def _preference_cost(context: CostContext) -> Training:
    policy = context.input("policy")
    references = context.artifact.inputs.get("references")
    own_reference = references == policy
    reference = policy if own_reference else input_of(references, "model") if isinstance(references, Artifact) else None
    return Training(
        data=context.input("pairs"),
        start=policy,
        settings=context.artifact.arguments["settings"],
        loss=context.artifact.arguments["loss"],
        revision_prompt=context.artifact.arguments["revision_prompt"],
        reference=reference,
        scores_reference=own_reference,
    )


@step(version=1, resumable=True, work="training", cost=_preference_cost)
def train_preferences(
    out: Output,
    *,
    policy: Artifact,
    references: Artifact | None,
    pairs: Artifact,
    loss: PreferenceLoss,
    settings: TrainingSettings,
    seed: int,
    revision_prompt: str = "",
) -> None:
    """Minimise `loss` over `PreferencePair` rows, from `policy`.

    `references` is one of three: an artifact of `reference_log_probabilities`; `policy` itself, which says that the
    policy as it is before the first step is the reference, and that the training scores its own batches with it; None,
    for a loss without a reference.
    """
    from harness.models.references import checkpoint_of
    from harness.training.preferences import run_preferences

    is_own_reference = references == policy
    given = None if references is None or is_own_reference else references.rows(ReferenceLogProbabilities)
    metrics = run_preferences(
        checkpoint_of(policy.folder),
        pairs.rows(PreferencePair),
        given,
        loss,
        settings,
        seed=seed,
        out=out.folder,
        track=out.track,
        compute=out.compute,
        tracking=out.tracking,
        revision_prompt=revision_prompt,
    )
    out.counts.update(metrics)


def _online_cost(context: CostContext) -> Training:
    policy, arguments = context.input("policy"), context.artifact.arguments
    return Training(
        data=context.input("demonstrations"),
        start=policy,
        settings=arguments["settings"],
        loss=arguments["loss"],
        reference=policy if arguments["loss"].needs_reference else None,
        scores_reference=arguments["loss"].needs_reference,
        online=arguments["online"],
    )


@step(version=1, resumable=True, work="training", cost=_online_cost)
def train_online(
    out: Output,
    *,
    policy: Artifact,
    demonstrations: Artifact,
    loss: PreferenceLoss,
    settings: TrainingSettings,
    online: OnlineSettings,
    seed: int,
) -> None:
    """Minimise `loss` from `policy` on pairs that are made meanwhile: the answers of `Response` rows are chosen, and
    what the policy's moving average draws in their place is rejected."""
    from harness.models.references import checkpoint_of
    from harness.training.online_trainer import run_online

    metrics = run_online(
        checkpoint_of(policy.folder),
        demonstrations.rows(Response),
        loss,
        settings,
        online,
        seed=seed,
        out=out.folder,
        track=out.track,
        compute=out.compute,
        tracking=out.tracking,
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
            text = render(template, draft, reference_by_prompt.get(row.prompt.id, ""))
            prompt = Prompt(f"{row.prompt.id}/{number}", text, draft.prompt.history)
            examples.append(Response(prompt, row.text, row.writer, finish_reason=row.finish_reason))
    out.counts["improver_examples"] = len(examples)
    out.counts["cut_off"] = sum(not row.is_ended for row in examples)
    out.write_rows(examples)

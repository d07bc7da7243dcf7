"""Training steps: a checkpoint from a checkpoint."""

from collections.abc import Sequence

from harness.backends.trl import PreferenceSettings, TrainingSettings
from harness.core.artifacts import Artifact, Output, step
from harness.core.records import PreferencePair, Prompt, Response
from harness.steps.respond import render


@step(version=1, work="training")
def train_sft(out: Output, *, model: Artifact, examples: Artifact, settings: TrainingSettings, seed: int) -> None:
    """Maximises log π(response | prompt) over the `Response` rows in `examples`."""
    from harness.backends import trl
    from harness.backends.models import checkpoint_of

    metrics = trl.train_sft(
        checkpoint_of(model.folder),
        examples.rows(Response),
        settings,
        seed=seed,
        out=out.folder,
        track=out.track,
    )
    out.counts.update(metrics)


@step(version=1, work="training")
def train_dpo(
    out: Output, *, policy: Artifact, reference: Artifact, pairs: Artifact, settings: PreferenceSettings, seed: int
) -> None:
    """Minimises the DPO loss (Eq. 6) over `PreferencePair` rows, from `policy`, against the frozen `reference`."""
    from harness.backends import trl
    from harness.backends.models import checkpoint_of

    metrics = trl.train_dpo(
        checkpoint_of(policy.folder),
        checkpoint_of(reference.folder),
        pairs.rows(PreferencePair),
        settings,
        seed=seed,
        out=out.folder,
        track=out.track,
    )
    out.counts.update(metrics)


@step(version=2)
def improver_examples(
    out: Output, *, template: str, drafts: Artifact, targets: Sequence[Artifact], references: Artifact | None = None
) -> None:
    """D_R (Eq. 3): for each kept target ỹ, the example r(x, ŷ_θ0) → ỹ.

    `targets` are sets of `Response` rows, each filtered on its own, here united. `references` are needed where
    `template` shows the reference, which SGPO's own training prompt does not (Table 7).
    """
    draft_by_prompt = {row.prompt.id: row for row in drafts.rows(Response)}
    reference_by_prompt = {row.prompt.id: row.text for row in references.rows(Response)} if references else {}
    examples = [
        Response(
            Prompt(
                f"{row.prompt.id}/{number}",
                render(template, draft_by_prompt[row.prompt.id], reference_by_prompt.get(row.prompt.id, "")),
            ),
            row.text,
            row.writer,
        )
        for number, target in enumerate(targets)
        for row in target.rows(Response)
    ]
    out.counts["improver_examples"] = len(examples)
    out.write_rows(examples)

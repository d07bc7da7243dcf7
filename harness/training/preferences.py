"""Training on preference pairs with any of the losses, on transformers' Trainer."""

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.engine.compute import Compute, Tracking
from harness.errors import UserError
from harness.models.hf import load_config
from harness.records import PreferencePair
from harness.training.attention import use_tree_attention
from harness.training.exactness import require_exact_trees
from harness.training.job import Job, Track
from harness.training.loop import make_job, train
from harness.training.losses import LogProbabilities, PreferenceLoss, shows_drafts
from harness.training.rows import REFERENCE, PairEncoding, ReferenceLogProbabilities, preference_rows
from harness.training.scoring import SequenceScorer, TreeBatch, tree_batch
from harness.training.settings import TrainingSettings
from harness.training.token_tree import TokenTree, token_tree
from harness.training.trainer import (
    even_batches,
    load_policy,
    load_training_tokenizer,
    on_one_device,
    trainer_arguments,
)

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor


WEIGHTS = "weights"
"""The input with what each row weighs in its step: [rows]."""
METRICS = ("reward_margin", "reward_accuracy", "chosen_log_probability", "rejected_log_probability")
"""What is logged of a step beside its loss: the fields of `TrainingStep`."""


def run_preferences(
    model_folder: Path,
    pairs: Sequence[PreferencePair],
    references: Sequence[ReferenceLogProbabilities] | None,
    loss: PreferenceLoss,
    settings: TrainingSettings,
    *,
    seed: int,
    out: Path,
    track: Track,
    compute: Compute | None = None,
    revision_prompt: str = "",
    tracking: Tracking | None = None,
) -> dict[str, float]:
    """Train the policy in `model_folder` on pairs with a preference loss; save to `out`.

    `references` are the reference's log-probabilities of the loss's sequences, so that it need not be in memory.
    Without them, a loss that needs a reference has the policy for its own: its log-probabilities are taken before the
    first step, in the very batches to come, as half precision needs it, in which they depend on the batch.
    `revision_prompt` is for a loss that shows an answer in context. Otherwise as `sft.run_sft`.
    """
    if shows_drafts(loss.sequences) and not revision_prompt:
        raise UserError(f"the loss {loss.kind} shows an answer as a draft to revise: it needs a revision_prompt")
    require_exact_trees(load_config(model_folder))
    tokenizer = load_training_tokenizer(model_folder, settings.max_length)
    encoding = PairEncoding(tokenizer, settings.max_length, loss.sequences, settings.max_prompt_length, revision_prompt)
    rows = preference_rows(pairs, references, encoding)
    job = make_job(
        model_folder,
        settings,
        seed,
        out,
        compute or Compute(),
        loss,
        scored_tokens=rows.scored_tokens,
        is_own_reference=loss.needs_reference and references is None,
        tracking=tracking,
    )
    return train(job, rows, track, preference_trainer)


def preference_trainer(job: Job, rows: "Dataset", trainer_class: Any = None) -> Any:
    """Return the trainer for rows of token trees (`preference_rows`), or one of a class that makes trees itself."""
    from transformers import TrainingArguments

    assert job.loss is not None
    arguments = on_one_device(TrainingArguments)(**trainer_arguments(job), remove_unused_columns=False)
    model, tokenizer = load_policy(job, arguments)
    trainer = (trainer_class or preference_trainer_class())(
        model=model, args=arguments, train_dataset=rows.with_format("numpy"), processing_class=tokenizer
    )
    count = len(job.loss.sequences)
    nothing = token_tree([[tokenizer.pad_token_id] * 2] * count, [2] * count)
    trainer.take_batches(job, vars(nothing) | {REFERENCE: [0.0] * count})
    by_blocks = use_tree_attention(model, arguments.device, job.settings.precision, job.settings.max_length)
    trainer.take_loss(job.loss, SequenceScorer(model, by_blocks=by_blocks))
    return trainer


def preference_trainer_class() -> Any:
    """Return the trainer's class: to be extended, or given rows of token trees."""
    import torch
    from transformers import Trainer

    class PreferenceTrainer(even_batches(Trainer)):  # type: ignore[misc]
        loss_is_scaled_for_ga = True

        def take_loss(self, loss: PreferenceLoss, scorer: SequenceScorer) -> None:
            """Take the loss, and what scores its sequences."""
            self._loss, self._scorer = loss, scorer
            self._metrics_of_step: Tensor | None = None
            self._own_reference: Mapping[str, Sequence[Sequence[float]]] | None = None

        def collate(self, rows: list[Any], count: int, rows_of_step: int) -> dict[str, Any]:
            """Return a `TreeBatch`, what each row weighs in the step, and the reference where the rows have one.

            Each pair of a step weighs the same, also where a forward pass has fewer than others. Gradients are averaged
            over processes.
            """
            trees = [TokenTree.of(row) for row in rows]
            weight = self.job.spread.processes / rows_of_step
            inputs = vars(tree_batch(trees, len(self._loss.sequences), self.processing_class.pad_token_id))
            inputs = inputs | {WEIGHTS: torch.tensor([weight] * count + [0.0] * (len(rows) - count))}
            if REFERENCE in rows[0]:
                inputs[REFERENCE] = torch.tensor([list(row[REFERENCE]) for row in rows])
            return inputs

        def compute_loss(
            self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> "Tensor":
            """Return the step's loss, as far as it comes from these rows."""
            batch = TreeBatch.of(inputs)
            policy = self._scorer(model, batch)
            reference: Any = inputs.get(REFERENCE)  # None for a loss that needs none
            if self._own_reference is not None:
                reference = torch.tensor(self._own_reference[_content(batch)], device=policy.sums.device)
            weights = inputs[WEIGHTS]
            with torch.no_grad():
                metrics = weights @ _metrics(self._loss, policy, reference)
                self._metrics_of_step = metrics + (0 if self._metrics_of_step is None else self._metrics_of_step)
            return weights @ self._loss(policy, reference)

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            """Log a step, with its metrics: means over its pairs."""
            if self._metrics_of_step is not None:
                means = self.accelerator.gather(self._metrics_of_step[None]).mean(0)
                logs = logs | dict(zip(METRICS, means.tolist(), strict=True))
                self._metrics_of_step = None
            super().log(logs, start_time)

        def take_own_reference(self, track: Track) -> None:
            """Score all batches to come with the initial weights; a resumed training reads what it had scored."""
            file = self.job.reference_file(self.accelerator.process_index)
            if not file.exists():
                aside = file.with_suffix(".new")
                aside.write_text(json.dumps(dict(self._scored_batches(track))), encoding="utf-8")
                aside.replace(file)
            self._own_reference = json.loads(file.read_text(encoding="utf-8"))

        def _scored_batches(self, track: Track) -> Iterator[tuple[str, list[list[float]]]]:
            batches = self.get_train_dataloader()
            progress = track(len(batches) * self.job.settings.epochs, "batches of the reference")
            self.model_wrapped.eval()
            for epoch in range(self.job.settings.epochs):
                batches.set_epoch(epoch)
                for inputs in batches:
                    batch = TreeBatch.of(inputs).to(self.args.device)
                    with torch.no_grad():
                        yield _content(batch), self._scorer(self.model_wrapped, batch).sums.tolist()
                    progress.advance()

    return PreferenceTrainer


def _metrics(loss: PreferenceLoss, policy: LogProbabilities, reference: Any) -> "Tensor":
    """Return `METRICS` of each row: [rows, metrics]."""
    import torch

    chosen, rejected = loss.rewards(policy, reference).unbind(1)
    accuracy = ((chosen > rejected).float() + (chosen >= rejected).float()) / 2
    return torch.stack([chosen - rejected, accuracy, policy.sums[:, 0], policy.sums[:, 1]], dim=1)


def _content(batch: TreeBatch) -> str:
    """Return a digest of a batch: its token ids, padding included, and which of them are scored."""
    of = (batch.input_ids, batch.members, batch.places)
    return sha256(b"".join(f"{tuple(each.shape)}".encode() + each.cpu().numpy().tobytes() for each in of)).hexdigest()

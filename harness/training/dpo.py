"""DPO with TRL's DPOTrainer, the reference's log-probabilities taken beforehand."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from harness.engine.compute import Compute
from harness.records import PreferencePair
from harness.training.job import Job, Track
from harness.training.loop import make_job, train
from harness.training.rows import ReferenceLogProbability, preference_rows
from harness.training.settings import PreferenceSettings
from harness.training.trainer import even_batches, load_policy, load_training_tokenizer, trainer_arguments

if TYPE_CHECKING:
    import torch
    from datasets import Dataset


def run_dpo(
    model_folder: Path,
    pairs: Sequence[PreferencePair],
    references: Sequence[ReferenceLogProbability] | None,
    settings: PreferenceSettings,
    *,
    seed: int,
    out: Path,
    track: Track,
    compute: Compute | None = None,
) -> dict[str, float]:
    """Train the policy in `model_folder` by DPO (Eq. 6) against a frozen reference; save to `out`.

    `references` are the reference's log-probabilities of the pairs, so that it need not be in memory. Without them the
    policy is its own reference: its log-probabilities are taken before the first step, in the very batches to come, as
    half precision needs it, in which they depend on the batch. Otherwise as `sft.run_sft`.
    """
    training = settings.training
    job = make_job("dpo", model_folder, training, settings.beta, seed, out, compute or Compute())
    job = replace(job, is_own_reference=references is None)
    tokenizer = load_training_tokenizer(model_folder, training.max_length)
    rows = preference_rows(pairs, references, tokenizer, training.max_length)
    return train(job, rows, track, dpo_trainer)


def dpo_trainer(job: Job, rows: "Dataset") -> Any:
    """Return TRL's DPOTrainer for rows of token ids (`preference_rows`)."""
    from trl import DPOConfig
    from trl.trainer import dpo_trainer as module

    arguments = DPOConfig(**trainer_arguments(job), beta=job.beta, precompute_ref_log_probs=True)
    model, tokenizer = load_policy(job, arguments)
    # TRL would hash the model and, where it is sharded, load a second one: for the log-probabilities that we bring.
    hashing = patch.object(module, "hash_module", lambda module: "")
    with hashing, patch.object(module, "create_model_from_path", lambda *_, **__: None):
        trainer = _given_reference_trainer()(
            model=model, args=arguments, train_dataset=rows, processing_class=tokenizer
        )
    nothing = {"prompt_ids": [tokenizer.pad_token_id] * 2, "chosen_ids": [], "rejected_ids": []}
    reference = {} if job.is_own_reference else {"ref_chosen_logps": 0.0, "ref_rejected_logps": 0.0}
    trainer.take_batches(job, {**nothing, **reference})
    return trainer


def _given_reference_trainer() -> Any:
    """Return a class of TRL's DPOTrainer with the reference's log-probabilities or with its start as reference."""
    import torch
    from trl import DPOTrainer

    class GivenReferenceTrainer(even_batches(DPOTrainer)):  # type: ignore[misc]
        loss_is_scaled_for_ga = True
        own_reference: Mapping[str, Sequence[Sequence[float]]] | None = None
        """The log-probabilities of the chosen and of the rejected answers in each batch, by what it holds."""

        def take_own_reference(self, track: Track) -> None:
            """Score all batches to come with the initial weights; a resumed training reads what it had scored."""
            file = self._job.reference_file(self.accelerator.process_index)
            if not file.exists():
                aside = file.with_suffix(".new")
                aside.write_text(json.dumps(dict(self._scored_batches(track))), encoding="utf-8")
                aside.replace(file)
            self.own_reference = json.loads(file.read_text(encoding="utf-8"))

        def _scored_batches(self, track: Track) -> Iterator[tuple[str, list[list[float]]]]:
            batches = self.get_train_dataloader()
            progress = track(len(batches) * self._job.settings.epochs, "batches of the reference")
            for epoch in range(self._job.settings.epochs):
                batches.set_epoch(epoch)
                for batch in batches:
                    scored = self.compute_ref_log_probs(self.model_wrapped, self._prepare_inputs(batch))
                    yield _content(batch), [side.tolist() for side in scored]
                    progress.advance()

        def _prepare_dataset(self, dataset: "Dataset", *_: Any) -> "Dataset":
            return dataset

        def _precompute_ref_logps(self, dataset: "Dataset", *_: Any) -> "Dataset":
            return dataset

        def _get_num_items_in_batch(self, batch_samples: list[Any], device: Any) -> "torch.Tensor":
            """Count the pairs of an optimizer step, over all processes."""
            pairs = torch.stack([_pairs(batch) for batch in batch_samples]).sum().to(device)
            return self.accelerator.gather(pairs).sum()

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            """Weigh each pair of an optimizer step the same, also where a forward pass has fewer than others.

            Gradients are averaged over processes.
            """
            if self.own_reference is not None:
                chosen, rejected = (
                    torch.tensor(side, device=inputs["input_ids"].device)
                    for side in self.own_reference[_content(inputs)]
                )
                inputs = {**inputs, "ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
            loss = super().compute_loss(model, inputs)
            return loss * (_pairs(inputs) / num_items_in_batch * self.accelerator.num_processes)

    return GivenReferenceTrainer


def _content(batch: Mapping[str, "torch.Tensor"]) -> str:
    """Return a digest of a batch: its token ids, padding included, and which of them are scored."""
    of = (batch["input_ids"], batch["completion_mask"])
    return sha256(b"".join(f"{tuple(each.shape)}".encode() + each.cpu().numpy().tobytes() for each in of)).hexdigest()


def _pairs(batch: Mapping[str, "torch.Tensor"]) -> "torch.Tensor":
    """Count the pairs with an answer in a batch of TRL's, whose rows are [chosen, rejected]."""
    return batch["completion_mask"].chunk(2)[0].any(dim=1).sum()

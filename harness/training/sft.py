"""Supervised fine-tuning with TRL's SFTTrainer."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.engine.compute import Compute, Tracking
from harness.models.hf import silence_libraries
from harness.records import Response
from harness.training.attention import use_flash_attention
from harness.training.job import Job, Track
from harness.training.lines import Lines, attention_masks, dense_mask
from harness.training.loop import make_job, train
from harness.training.rows import UNSCORED, sft_rows
from harness.training.scoring import ScoringHead, head_obstacle
from harness.training.settings import TrainingSettings
from harness.training.trainer import (
    even_batches,
    load_policy,
    load_training_tokenizer,
    on_one_device,
    trainer_arguments,
)

if TYPE_CHECKING:
    import torch
    from datasets import Dataset


def run_sft(
    model_folder: Path,
    examples: Sequence[Response],
    settings: TrainingSettings,
    *,
    seed: int,
    out: Path,
    track: Track,
    compute: Compute | None = None,
    tracking: Tracking | None = None,
) -> dict[str, float]:
    """Fine-tune on (conversation, response) examples, with the loss on the assistant's turns only; save to `out`.

    Goes on from the checkpoints that a killed run left in `out`. Returns the metrics of the last step, and how many
    rows were cut. Raises UserError where `compute` cannot train that way, or memory does not suffice.
    """
    job = make_job(model_folder, settings, seed, out, compute or Compute(), tracking=tracking)
    tokenizer = load_training_tokenizer(model_folder, settings.max_length)
    rows = sft_rows(examples, tokenizer, settings.max_length, settings.max_prompt_length)
    return train(job, rows, track, sft_trainer)


def sft_gradient(
    model_folder: Path, examples: Sequence[Response], settings: TrainingSettings, *, out: Path, compute: Compute
) -> "torch.Tensor":
    """Return the gradient of the first optimizer step of `run_sft`, before it is clipped: [parameters].

    In one process; nothing is saved.
    """
    import torch
    from transformers import PrinterCallback, TrainerCallback

    class TakeGradient(TrainerCallback):
        gradient: torch.Tensor

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            grads = [weight.grad for weight in model.parameters() if weight.grad is not None]
            self.gradient = torch.cat([grad.detach().flatten().float().cpu() for grad in grads])

    silence_libraries()
    job = make_job(model_folder, settings, 0, out, compute)
    tokenizer = load_training_tokenizer(model_folder, settings.max_length)
    trainer = sft_trainer(job, sft_rows(examples, tokenizer, settings.max_length).dataset)
    trainer.args.max_grad_norm = 0.0
    trainer.args.max_steps = 1
    taken = TakeGradient()
    trainer.add_callback(taken)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return taken.gradient


def sft_trainer(job: Job, rows: "Dataset") -> Any:
    """Return TRL's SFTTrainer for rows of token ids (`sft_rows`)."""
    from trl import SFTConfig, SFTTrainer

    arguments = on_one_device(SFTConfig)(
        **trainer_arguments(job),
        max_length=job.settings.max_length,
        shuffle_dataset=False,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    model, tokenizer = load_policy(job, arguments)
    use_flash_attention(model, arguments.device, job.settings.precision)
    trainer_class = _in_lines(SFTTrainer) if arguments.use_cpu else even_batches(SFTTrainer)
    trainer = trainer_class(model=model, args=arguments, train_dataset=rows, processing_class=tokenizer)
    trainer.take_batches(job, {"input_ids": [tokenizer.pad_token_id] * 2, "labels": [UNSCORED] * 2})
    if arguments.use_cpu and head_obstacle(model) is None:
        trainer.score_alone(ScoringHead(model))
    return trainer


def _in_lines(trainer_class: Any) -> Any:
    """Extend `trainer_class` by passes without padding, and without logits of tokens that bear no loss.

    For processors alone: on a CUDA device, attention is faster without a mask of its own than without padding, and TRL
    itself leaves such logits out.
    """
    import torch

    class InLines(even_batches(trainer_class)):  # type: ignore[misc]
        _head: ScoringHead | None = None

        def score_alone(self, head: ScoringHead) -> None:
            """Have the loss computed by `head`, without the entropy and the accuracy that TRL would add to the log."""
            self._head = head

        def compute_loss(
            self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            """Return TRL's loss: the mean over the scored tokens of the step, as far as it comes from these rows."""
            if self._head is None or return_outputs:
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            labels = inputs["labels"].flatten()
            scored = (inputs["labels"][:, 1:] != UNSCORED).nonzero()
            places = scored[:, 0] * inputs["labels"].shape[1] + scored[:, 1]
            passed = {name: value for name, value in inputs.items() if name != "labels"}
            with self._head.scoring(places, labels[places + 1]):
                log_probabilities = model(**passed, use_cache=False).logits
            count = len(places) if num_items_in_batch is None else num_items_in_batch
            share = self.accelerator.num_processes if num_items_in_batch is not None else 1  # gradients are averaged
            return -share * log_probabilities.sum() / torch.as_tensor(count).clamp(min=1)

        def collate(self, rows: list[Any], count: int, rows_of_step: int) -> dict[str, Any]:
            """Return the rows in lines, with a mask that keeps them apart."""
            lengths = [len(row["input_ids"]) for row in rows]
            lines = Lines(lengths)
            places, depths = lines.rows(lengths), lines.filled([range(length) for length in lengths], 0)
            config = self.model.config.get_text_config()
            dense = partial(dense_mask, dtype=torch.bool)  # which TRL counts as tokens
            masks = attention_masks(places, (places >= 0).long(), depths, config, dense)
            return {
                "input_ids": lines.filled([row["input_ids"] for row in rows], self.processing_class.pad_token_id),
                "labels": lines.filled([row["labels"] for row in rows], UNSCORED),
                "position_ids": depths,
                "attention_mask": masks,
            }

    return InLines

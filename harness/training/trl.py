"""Training with TRL: the only module that imports it."""

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from harness.engine.artifacts import Tracker
from harness.engine.compute import Compute
from harness.engine.progress import silent
from harness.models.checkpoint_files import reading
from harness.models.context import require_max_length
from harness.models.hf import (
    load_checkpoint,
    load_config,
    load_model,
    load_tokenizer,
    prepare_tokenizer,
    silence_libraries,
)
from harness.records import PreferencePair, Response, write_rows
from harness.training.batches import EpochBatches, spread
from harness.training.checkpoints import last_whole, mark_whole, remove_all_but
from harness.training.job import LOSSES, SINGLE, Job, Progress, StepLoss, Track
from harness.training.launch import (
    Told,
    die_with_parent,
    end,
    errors_told,
    launch,
    mendable_errors,
    require_launchable,
    tell,
    told_job,
)
from harness.training.rows import LENGTH, UNSCORED, ReferenceLogProbability, Rows, preference_rows, sft_rows
from harness.training.settings import PreferenceSettings, TrainingSettings, autocast

if TYPE_CHECKING:
    import torch
    from datasets import Dataset

STEPS_BETWEEN_LOGS = 10
_OPTIMIZERS = {"adamw": "adamw_torch_fused", "rmsprop": "rmsprop"}
"""As transformers calls them."""

MakeTrainer = Callable[[Job, "Dataset"], Any]


def train_sft(
    model_folder: Path,
    examples: Sequence[Response],
    settings: TrainingSettings,
    *,
    seed: int,
    out: Path,
    track: Track,
    compute: Compute | None = None,
) -> dict[str, float]:
    """Supervised fine-tuning on (conversation, response) examples, loss on the assistant's turns only; saves to `out`.

    Goes on from the checkpoints that a killed run left in `out`. Returns TRL's last logged metrics, and how many rows
    were cut. Raises UserError where `compute` cannot train that way, or memory does not suffice.
    """
    job = _job("sft", model_folder, settings, 0.0, seed, out, compute or Compute())
    tokenizer = _tokenizer(model_folder, settings.max_length)
    return _train(job, sft_rows(examples, tokenizer, settings.max_length), track, _sft_trainer)


def train_dpo(
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
    """DPO (Eq. 6) of the policy in `model_folder` against a frozen reference; saves to `out`.

    `references` are the reference's log-probabilities of the pairs, so that it need not be in memory. Without them the
    policy is its own reference: its log-probabilities are taken before the first step, in the very batches to come, as
    half precision needs it, in which they depend on the batch. Otherwise as `train_sft`.
    """
    training = settings.training
    job = _job("dpo", model_folder, training, settings.beta, seed, out, compute or Compute())
    job = replace(job, is_own_reference=references is None)
    rows = preference_rows(pairs, references, _tokenizer(model_folder, training.max_length), training.max_length)
    return _train(job, rows, track, _dpo_trainer)


def sft_gradient(
    model_folder: Path, examples: Sequence[Response], settings: TrainingSettings, *, out: Path, compute: Compute
) -> "torch.Tensor":
    """The gradient of the first optimizer step of `train_sft`, all weights in one row, before it is clipped.

    Of one process; nothing is saved.
    """
    import torch
    from transformers import PrinterCallback, TrainerCallback

    class Take(TrainerCallback):
        gradient: torch.Tensor

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            grads = [weight.grad for weight in model.parameters() if weight.grad is not None]
            self.gradient = torch.cat([grad.detach().flatten().float().cpu() for grad in grads])

    silence_libraries()
    job = _job("sft", model_folder, settings, 0.0, 0, out, compute)
    tokenizer = _tokenizer(model_folder, settings.max_length)
    trainer = _sft_trainer(job, sft_rows(examples, tokenizer, settings.max_length).dataset)
    trainer.args.max_grad_norm = 0.0
    trainer.args.max_steps = 1
    taken = Take()
    trainer.add_callback(taken)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return taken.gradient


def _job(
    kind: Any, model: Path, settings: TrainingSettings, beta: float, seed: int, out: Path, compute: Compute
) -> Job:
    require_launchable(compute.accelerate, compute.processes)
    return Job(
        kind=kind,
        model=str(model),
        out=str(out),
        settings=settings,
        beta=beta,
        seed=seed,
        spread=spread(settings.global_batch_size, compute),
        accelerate=compute.accelerate,
        gradient_checkpointing=compute.gradient_checkpointing,
        save_every=compute.save_every,
    )


def _train(job: Job, rows: Rows, track: Track, make_trainer: MakeTrainer) -> dict[str, float]:
    """Trains in this process or in several; leaves the checkpoint and nothing of the way to it."""
    found = last_whole(job)
    remove_all_but(job, found[0] if found else None)
    if job.accelerate == SINGLE:
        with mendable_errors(Path(job.out)):
            metrics = _run(job, rows.dataset, track, make_trainer)
    else:
        load_model(Path(job.model), device="meta")  # once for all processes: would be drawn what is missing
        metrics = launch(job, rows.dataset, f"{__package__}.trl", track)
    remove_all_but(job, None)
    job.trainer_folder.rmdir()
    return {**metrics, **rows.counts}


def _run(job: Job, rows: "Dataset", track: Track, make_trainer: MakeTrainer) -> dict[str, float]:
    """Trains as one of the job's processes; the first one saves. TRL's last logged metrics."""
    from transformers import PrinterCallback

    silence_libraries()
    trainer = make_trainer(job, rows)
    record = _Record(trainer)
    trainer.add_callback(_record_callback(record, job, track))
    trainer.remove_callback(PrinterCallback)
    found = last_whole(job)
    if found is not None:
        record.window = found[1]
    trainer.train(resume_from_checkpoint=str(found[0]) if found else None)
    _save(trainer, job)
    if trainer.is_world_process_zero():
        write_rows(Path(job.out) / LOSSES, record.losses)
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    return {name: float(value) for name, value in (logged[-1] if logged else {}).items()}


def _save(trainer: Any, job: Job) -> None:
    """The trained checkpoint, whole, from the first process; the tokenizer beside it."""
    if job.accelerate == SINGLE:
        trainer.model.save_pretrained(job.out)
    else:
        weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)  # all processes take part
        model = trainer.accelerator.unwrap_model(trainer.model)
        if trainer.is_world_process_zero():
            model.save_pretrained(job.out, state_dict=weights)
    if trainer.is_world_process_zero():
        trainer.processing_class.save_pretrained(job.out)


# Trainers


def _sft_trainer(job: Job, rows: "Dataset") -> Any:
    from trl import SFTConfig, SFTTrainer

    arguments = SFTConfig(**_arguments(job), shuffle_dataset=False, dataset_kwargs={"skip_prepare_dataset": True})
    model, tokenizer = _load(job, arguments)
    trainer = _even_batches(SFTTrainer)(model=model, args=arguments, train_dataset=rows, processing_class=tokenizer)
    trainer.take_batches(job, {"input_ids": [tokenizer.pad_token_id] * 2, "labels": [UNSCORED] * 2})
    return trainer


def _dpo_trainer(job: Job, rows: "Dataset") -> Any:
    from trl import DPOConfig
    from trl.trainer import dpo_trainer

    arguments = DPOConfig(**_arguments(job), beta=job.beta, precompute_ref_log_probs=True)
    model, tokenizer = _load(job, arguments)
    # TRL would hash the model and, where it is sharded, load a second one: for the log-probabilities that we bring.
    hashing = patch.object(dpo_trainer, "hash_module", lambda module: "")
    with hashing, patch.object(dpo_trainer, "create_model_from_path", lambda *_, **__: None):
        trainer = _given_reference_trainer()(
            model=model, args=arguments, train_dataset=rows, processing_class=tokenizer
        )
    nothing = {"prompt_ids": [tokenizer.pad_token_id] * 2, "chosen_ids": [], "rejected_ids": []}
    given = {} if job.is_own_reference else {"ref_chosen_logps": 0.0, "ref_rejected_logps": 0.0}
    trainer.take_batches(job, {**nothing, **given})
    return trainer


def _given_reference_trainer() -> Any:
    """TRL's DPOTrainer for rows of token ids, with the reference's log-probabilities or with its start as reference."""
    import torch
    from trl import DPOTrainer

    class GivenReferenceTrainer(_even_batches(DPOTrainer)):  # type: ignore[misc]
        loss_is_scaled_for_ga = True
        own_reference: Mapping[str, Sequence[Sequence[float]]] | None = None
        """The log-probabilities of the chosen and of the rejected answers in each batch, by what it holds."""

        def take_own_reference(self, track: Track) -> None:
            """Scores all batches to come with the weights of the start; a training that goes on finds what it had."""
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
            """The pairs of an optimizer step, over all processes."""
            pairs = torch.stack([_pairs(batch) for batch in batch_samples]).sum().to(device)
            return self.accelerator.gather(pairs).sum()

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            """Each pair weighs the same in an optimizer step, also where a forward pass has fewer than others.

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
    """What tells batches apart: a digest of their token ids, padding included, and of which of them are scored."""
    of = (batch["input_ids"], batch["completion_mask"])
    return sha256(b"".join(f"{tuple(each.shape)}".encode() + each.cpu().numpy().tobytes() for each in of)).hexdigest()


def _pairs(batch: Mapping[str, "torch.Tensor"]) -> "torch.Tensor":
    """How many pairs with an answer a batch of TRL's has: [chosen, rejected] by rows."""
    return batch["completion_mask"].chunk(2)[0].any(dim=1).sum()


def _even_batches(trainer_class: Any) -> Any:
    """`trainer_class` with global batches that are the same however many processes share them.

    accelerate would fill the last batch with rows from the first one.
    """
    from torch.utils.data import DataLoader

    class EvenBatches(trainer_class):
        def take_batches(self, job: Job, nothing: Mapping[str, Any]) -> None:
            """`nothing` is a row without a scored token, to fill up the last batch among several processes."""
            self._job, self._nothing = job, nothing
            if job.settings.precision == "bfloat16":
                _round_passes(self.model, self.args.device.type)
            self.pass_losses: list[torch.Tensor] = []
            """Of the forward passes since they were last taken out."""

        def get_train_dataloader(self) -> Any:
            lengths = self.train_dataset[LENGTH][:]
            process = self.accelerator.process_index
            batches = EpochBatches(lengths, self._job.spread, process, self._job.seed)
            return _loader_class()(
                _rows_or_none(self._remove_unused_columns(self.train_dataset, description="training")),
                batch_sampler=batches,
                collate_fn=self._collate,
            )

        def training_step(self, *args: Any, **kwargs: Any) -> "torch.Tensor":
            loss = super().training_step(*args, **kwargs)
            self.pass_losses.append(loss)
            return loss

        def create_model_card(self, *_: Any, **__: Any) -> None:
            """Checkpoints on the way need none."""

        def _collate(self, rows: list[Any]) -> Any:
            """TRL gathers figures of single rows, for which all processes must have equally many."""
            size = self._job.spread.micro_batch_size if self._job.spread.processes > 1 else len(rows)
            return self.data_collator(rows + [self._nothing] * (size - len(rows)))

    def _loader_class() -> Any:
        class Loader(DataLoader):
            def set_epoch(self, epoch: int) -> None:
                self.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]

        return Loader

    return EvenBatches


def _round_passes(model: Any, device: str) -> None:
    """Has `model` compute in bfloat16 where autocast would; weights, gradients and what it returns stay in float32.

    accelerate would do so in one process alone. Elsewhere it would have weights, returned log-probabilities and sums
    over processes rounded, so that a policy would differ from its own reference. DeepSpeed turns off an autocast around
    a model, not one inside.
    """
    from accelerate.utils import convert_to_fp32

    forward = model.forward

    @wraps(forward)
    def rounded(*args: Any, **kwargs: Any) -> Any:
        with autocast("bfloat16", device):
            returned = forward(*args, **kwargs)
        return convert_to_fp32(returned)

    model.forward = rounded


def _rows_or_none(dataset: "Dataset") -> Any:
    """The data set, of which a batch may be empty."""

    class RowsOrNone:
        def __len__(self) -> int:
            return len(dataset)

        def __getitem__(self, index: int) -> Any:
            return dataset[index]

        def __getitems__(self, indices: list[int]) -> list[Any]:
            return list(dataset.__getitems__(indices)) if indices else []

    return RowsOrNone()


def _arguments(job: Job) -> dict[str, Any]:
    import torch

    settings = job.settings
    return {
        "output_dir": str(job.trainer_folder),
        "learning_rate": settings.learning_rate,
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": job.spread.micro_batch_size,
        "gradient_accumulation_steps": job.spread.accumulation,
        "max_length": settings.max_length,
        "optim": _OPTIMIZERS[settings.optimizer],
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": settings.warmup_share,  # below 1, it is a share of all steps
        "seed": job.seed,
        "data_seed": job.seed,
        "save_strategy": "no" if job.save_every is None else "steps",
        "save_steps": job.save_every or 0,
        "report_to": "none",
        "logging_steps": STEPS_BETWEEN_LOGS,
        "disable_tqdm": True,
        "bf16": False,  # see _round_passes; TRL's default is True
        "gradient_checkpointing": job.gradient_checkpointing,
        "dataloader_pin_memory": False,
        "use_cpu": not torch.cuda.is_available(),
    }


def _load(job: Job, arguments: Any) -> tuple[Any, Any]:
    """Model and tokenizer to train; weights in float32, on the way to where `arguments`, made before, put them."""
    import torch
    from transformers import AutoModelForCausalLM

    attention = _attention(job)
    if job.accelerate == SINGLE:
        arguments._n_gpu = 1  # else the trainer would copy the model to every GPU in sight
        model, tokenizer = load_checkpoint(Path(job.model))
        if attention != model.config._attn_implementation:
            model.set_attn_implementation(attention)
        return model.to(torch.float32), tokenizer
    if arguments.use_cpu:
        _allow_sharding_on_processors()
    with reading(f"the model in {job.model}"):
        model = AutoModelForCausalLM.from_pretrained(job.model, dtype=torch.float32, attn_implementation=attention)
    return model, _tokenizer(Path(job.model), job.settings.max_length)


def _attention(job: Job) -> str:
    """Flash attention, which knows no single precision, where its package and a CUDA device are present."""
    import torch
    from transformers.utils import is_flash_attn_2_available

    flashes = job.settings.precision == "bfloat16" and torch.cuda.is_available() and is_flash_attn_2_available()
    return "flash_attention_2" if flashes else "sdpa"


def _allow_sharding_on_processors() -> None:
    """Has accelerate shard models between processes without an accelerator, which it does not by itself."""
    from accelerate import Accelerator, PartialState
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

    state = Accelerator(cpu=True).state
    state.fsdp_plugin = FullyShardedDataParallelPlugin()
    state.distributed_type = PartialState().distributed_type = DistributedType.FSDP


def _tokenizer(folder: Path, max_length: int) -> Any:
    """The checkpoint's tokenizer. Raises UserError for one that cannot show the model a conversation, and where the
    model does not hold rows of `max_length` tokens."""
    tokenizer, config = load_tokenizer(folder), load_config(folder)
    require_max_length(max_length, config, str(folder))
    prepare_tokenizer(tokenizer, config.vocab_size, folder)
    return tokenizer


# What happens on the way


class _Record:
    """The losses so far, and what TRL has counted since it last logged: checkpoints of its own do not have these."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        self.losses: list[StepLoss] = []

    def end_step(self) -> None:
        """Takes the losses of a step's forward passes."""
        loss = self._mean(sum(self._trainer.pass_losses))
        self._trainer.pass_losses.clear()
        step = self._trainer.state.global_step
        self.losses.append(StepLoss(step, loss if math.isfinite(loss) else None))

    @property
    def window(self) -> dict[str, Any]:
        """As JSON."""
        trainer = self._trainer
        return {
            "losses": [[each.step, each.loss] for each in self.losses],
            "loss": self._mean(trainer._tr_loss),
            "logged": trainer._globalstep_last_logged,
            "metrics": dict(trainer._metrics["train"]),
            "tokens": trainer._total_train_tokens,
        }

    @window.setter
    def window(self, kept: Mapping[str, Any]) -> None:
        self.losses = [StepLoss(step, loss) for step, loss in kept["losses"]]
        self._trainer._metrics["train"].update(kept["metrics"])
        self._trainer._total_train_tokens = kept["tokens"]
        self._since = kept["logged"], kept["loss"]

    def begin(self, job: Job, track: Track) -> None:
        """Once the trainer has set up its loop."""
        if job.is_own_reference:
            self._trainer.take_own_reference(track)
        if self.losses:
            self._trainer._globalstep_last_logged = self._since[0]
            self._trainer._tr_loss += self._since[1]

    def _mean(self, loss: Any) -> float:
        return float(self._trainer.accelerator.gather(loss.reshape(1)).mean())


def _record_callback(record: _Record, job: Job, track: Track) -> Any:
    from transformers import TrainerCallback

    class RecordCallback(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            record.begin(job, track)
            self.progress: Progress = track(state.max_steps, "steps", state.global_step)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            record.end_step()
            self.progress.advance()

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            window = record.window  # all processes take part, and all have written when they have
            if state.is_world_process_zero:
                mark_whole(job.trainer_folder / f"checkpoint-{state.global_step}", job, window)

    return RecordCallback()


# In a launched process


def _main(file: str) -> None:
    import torch

    die_with_parent()
    job, rows = told_job(file)
    with errors_told(Path(job.out)), mendable_errors(Path(job.out)):
        first = _process() == 0
        make_trainer = _sft_trainer if job.kind == "sft" else _dpo_trainer
        metrics = _run(job, rows, Told if first else _untold, make_trainer)
        torch.distributed.barrier()
        if first:
            tell(result=metrics)
        torch.distributed.destroy_process_group()
    end()


def _process() -> int:
    import os

    return int(os.environ.get("RANK", "0"))


def _untold(work: int, unit: str, done: int = 0) -> Progress:
    return Tracker(work, unit, done, silent)


if __name__ == "__main__":
    _main(sys.argv[1])

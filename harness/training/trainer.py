"""The parts that all trainers share: arguments, model and tokenizer, and global batches that ignore their spread."""

from collections.abc import Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.models.checkpoint_files import reading
from harness.models.context_length import require_max_length
from harness.models.hf import load_checkpoint, load_config, load_tokenizer, prepare_tokenizer
from harness.training.batches import EpochBatches
from harness.training.job import SINGLE, Job
from harness.training.rows import LENGTH
from harness.training.settings import autocast

if TYPE_CHECKING:
    import torch
    from datasets import Dataset

STEPS_BETWEEN_LOGS = 10
_OPTIMIZERS = {"adamw": "adamw_torch_fused", "rmsprop": "rmsprop"}
"""As transformers calls them."""


def trainer_arguments(job: Job) -> dict[str, Any]:
    """Return the job's settings under the names of transformers' TrainingArguments."""
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


def load_policy(job: Job, arguments: Any) -> tuple[Any, Any]:
    """Return (model, tokenizer) to train, weights in float32; `arguments`, made before, say which device they go to."""
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
    return model, load_training_tokenizer(Path(job.model), job.settings.max_length)


def _attention(job: Job) -> str:
    """Choose flash attention, which has no single precision, where its package and a CUDA device are present."""
    import torch
    from transformers.utils import is_flash_attn_2_available

    flashes = job.settings.precision == "bfloat16" and torch.cuda.is_available() and is_flash_attn_2_available()
    return "flash_attention_2" if flashes else "sdpa"


def _allow_sharding_on_processors() -> None:
    """Make accelerate shard models between processes without an accelerator, which it does not by itself."""
    from accelerate import Accelerator, PartialState
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

    state = Accelerator(cpu=True).state
    state.fsdp_plugin = FullyShardedDataParallelPlugin()
    state.distributed_type = PartialState().distributed_type = DistributedType.FSDP


def load_training_tokenizer(folder: Path, max_length: int) -> Any:
    """Return the checkpoint's tokenizer.

    Raises UserError for one that cannot render a conversation, and where `max_length` is above the model's context.
    """
    tokenizer, config = load_tokenizer(folder), load_config(folder)
    require_max_length(max_length, config, str(folder))
    prepare_tokenizer(tokenizer, config.vocab_size, folder)
    return tokenizer


def even_batches(trainer_class: Any) -> Any:
    """Extend `trainer_class` by global batches that are the same however many processes share them.

    accelerate would fill the last batch with rows from the first one.
    """
    from torch.utils.data import DataLoader

    class EvenBatches(trainer_class):
        def take_batches(self, job: Job, nothing: Mapping[str, Any]) -> None:
            """Take the job, and `nothing`: a row without a scored token, which fills up the last batch of a process."""
            self._job, self._nothing = job, nothing
            if job.settings.precision == "bfloat16":
                _round_passes(self.model, self.args.device.type)
            self.pass_losses: list[torch.Tensor] = []
            """Losses of the forward passes since the record last took them."""

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
            """Write none: checkpoints on the way need no card."""

        def _collate(self, rows: list[Any]) -> Any:
            """Fill up the rows: TRL gathers numbers a row, for which all processes must have equally many."""
            size = self._job.spread.micro_batch_size if self._job.spread.processes > 1 else len(rows)
            return self.data_collator(rows + [self._nothing] * (size - len(rows)))

    def _loader_class() -> Any:
        class Loader(DataLoader):
            def set_epoch(self, epoch: int) -> None:
                self.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]

        return Loader

    return EvenBatches


def _round_passes(model: Any, device: str) -> None:
    """Make `model` compute in bfloat16 where autocast would; weights, gradients and what it returns stay in float32.

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
    """Wrap the data set so that a batch of it may be empty."""

    class RowsOrNone:
        def __len__(self) -> int:
            return len(dataset)

        def __getitem__(self, index: int) -> Any:
            return dataset[index]

        def __getitems__(self, indices: list[int]) -> list[Any]:
            return list(dataset.__getitems__(indices)) if indices else []

    return RowsOrNone()

"""The parts that both trainers share: arguments, model and tokenizer, and global batches that ignore their spread."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings

from harness.errors import UserError
from harness.models.checkpoint_files import reading
from harness.models.context_length import require_max_length
from harness.models.hf import load_checkpoint, load_config, load_tokenizer, prepare_tokenizer
from harness.training.batches import EpochBatches, ForwardPass
from harness.training.job import SINGLE, Job
from harness.training.rows import LENGTH
from harness.training.settings import Lora, TrainingSettings, autocast
from harness.training.tracking import PROJECT

if TYPE_CHECKING:
    from datasets import Dataset

_OPTIMIZERS = {"adamw": "adamw_torch_fused", "rmsprop": "rmsprop", "adamw_8bit": "adamw_bnb_8bit"}
_SCHEDULES = {
    "cosine": "cosine_with_min_lr",
    "linear": "linear",
    "constant": "constant_with_warmup",
    "inverse_sqrt": "inverse_sqrt",
}
"""As transformers calls them."""


def require_packages(settings: TrainingSettings) -> None:
    """Raise UserError where a package is missing that the settings ask for."""
    needed = {
        "lora": ("peft", settings.lora is not None),
        "optimizer: adamw_8bit": ("bitsandbytes", settings.optimizer == "adamw_8bit"),
    }
    for setting, (package, is_needed) in needed.items():
        if is_needed and find_spec(package) is None:
            raise UserError(f"{setting} needs the package {package}: pip install {package}, or leave the setting out")


def trainer_arguments(job: Job) -> dict[str, Any]:
    """Return the job's settings under the names of transformers' TrainingArguments."""
    import torch

    settings = job.settings
    floor = {"min_lr_rate": settings.final_rate_share} if settings.schedule == "cosine" else None
    return {
        "output_dir": str(job.trainer_folder),
        "learning_rate": settings.learning_rate,
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": job.spread.micro_batch_size,
        "gradient_accumulation_steps": job.spread.accumulation,
        "optim": _OPTIMIZERS[settings.optimizer],
        "weight_decay": settings.weight_decay,
        "lr_scheduler_type": _SCHEDULES[settings.schedule],
        "lr_scheduler_kwargs": floor,
        "warmup_steps": settings.warmup_steps or settings.warmup_share,  # below 1, it is a share of all steps
        "seed": job.seed,
        "data_seed": job.seed,
        "save_strategy": "no" if job.save_every is None else "steps",
        "save_steps": job.save_every or 0,
        "report_to": job.tracking.tracker if job.tracking else "none",
        "run_name": job.tracking.run if job.tracking else None,
        "project": PROJECT,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "bf16": False,  # see round_passes; TRL's default is True
        "gradient_checkpointing": job.gradient_checkpointing,
        "dataloader_pin_memory": False,
        "use_cpu": not torch.cuda.is_available(),
    }


def on_one_device(arguments_class: Any) -> Any:
    """Extend `arguments_class`: a process trains on one device, where the trainer would copy the model to all."""

    class OneDevice(arguments_class):
        n_gpu = property(lambda self: min(1, super().n_gpu))

        def __reduce__(self) -> Any:
            """Go into checkpoints as what is extended: the name of a class that is made here leads nowhere."""
            return object.__new__, (arguments_class,), vars(self)

    return OneDevice


def load_policy(job: Job, arguments: Any) -> tuple[Any, Any]:
    """Return (model, tokenizer) to train, weights in float32; `arguments`, made before, say which device they go to."""
    import torch
    from transformers import AutoModelForCausalLM

    if job.accelerate == SINGLE:
        model, tokenizer = load_checkpoint(Path(job.model))
        model = model.to(torch.float32)
    else:
        if arguments.use_cpu:
            _allow_sharding_on_processors()
        with reading(f"the model in {job.model}"):
            model = AutoModelForCausalLM.from_pretrained(job.model, dtype=torch.float32)
        tokenizer = load_training_tokenizer(Path(job.model), job.settings.max_length)
    if job.settings.precision == "bfloat16":
        round_passes(model, arguments.device.type)
    if job.settings.lora is not None:
        torch.manual_seed(job.seed)  # adapters are drawn here, before the trainer would seed anything
        model = with_adapters(model, job.settings.lora)
    return model, tokenizer


def with_adapters(model: Any, lora: Lora) -> Any:
    """Return the model with adapters, which alone are trained. Raises UserError where it lacks the named modules."""
    from peft import LoraConfig, get_peft_model

    targets = None if lora.target_modules is None else list(lora.target_modules)
    names = [f".{name}" for name, _ in model.named_modules()]
    lacking = [each for each in targets or () if not any(name.endswith(f".{each}") for name in names)]
    if lacking:  # peft is content with one that is there
        raise _no_modules(model, lacking)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )
    try:
        with catch_warnings(action="ignore", category=FutureWarning):  # peft calls transformers by names of before
            adapted = get_peft_model(model, config)
    except ValueError as error:
        raise _no_modules(model, targets or ["those of its architecture"], f" ({error})") from None
    adapted.enable_input_require_grads()  # else nothing would reach the adapters through checkpointed layers
    return adapted


def _no_modules(model: Any, named: Sequence[str], why: str = "") -> UserError:
    return UserError(
        f"lora: {type(model).__name__} has no modules that adapters can be put on called {', '.join(named)};"
        f" name some in target_modules, such as {', '.join(_linear_layers(model))}{why}"
    )


def _linear_layers(model: Any) -> list[str]:
    from torch.nn import Linear

    head = model.get_output_embeddings()
    layers = [name for name, module in model.named_modules() if isinstance(module, Linear) and module is not head]
    return sorted({name.rpartition(".")[2] for name in layers})


def merged_model(job: Job, weights: Mapping[str, Any]) -> Any:
    """Return the model that a training started from with the trained adapters, from their `weights`, merged in."""
    import torch
    from transformers import AutoModelForCausalLM

    assert job.settings.lora is not None
    model = with_adapters(AutoModelForCausalLM.from_pretrained(job.model, dtype=torch.float32), job.settings.lora)
    model.load_state_dict(dict(weights), strict=False)
    return model.merge_and_unload()


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
            """Take the job, and `nothing`: a row without a scored token, which fills up a pass of several processes."""
            self.job, self._nothing = job, nothing

        def get_train_dataloader(self) -> Any:
            lengths = self.train_dataset[LENGTH][:]
            process = self.accelerator.process_index
            batches = EpochBatches(lengths, self.job.spread, process, self.job.seed)
            rows = _rows_of_passes(self.train_dataset.remove_columns(LENGTH))
            return _loader_class()(rows, batch_sampler=batches, collate_fn=self._collate)

        def save_more(self, checkpoint: Path) -> None:
            """Save what going on takes beside the trainer's own files."""

        def load_more(self, checkpoint: Path) -> None:
            """Load what `save_more` has saved."""

        def write_more(self, out: Path) -> None:
            """Write what there is to say of the training beside its curves."""

        def floating_point_ops(self, inputs: Any) -> int:
            """Count none: nobody reads them, and each count walks through all parameters."""
            return 0

        def create_model_card(self, *_: Any, **__: Any) -> None:
            """Write none: checkpoints on the way need no card."""

        def _collate(self, taken: tuple[list[Any], int]) -> Any:
            """Fill up the rows: where processes gather numbers a row, all must have equally many."""
            rows, rows_of_step = taken
            size = self.job.spread.micro_batch_size if self.job.spread.processes > 1 else len(rows)
            return self.collate(rows + [self._nothing] * (size - len(rows)), len(rows), rows_of_step)

        def collate(self, rows: list[Any], count: int, rows_of_step: int) -> Any:
            """Return the inputs of a forward pass; `count` of the `rows` are of the data."""
            return self.data_collator(rows)

    def _loader_class() -> Any:
        class Loader(DataLoader):
            def set_epoch(self, epoch: int) -> None:
                self.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]

        return Loader

    return EvenBatches


def round_passes(model: Any, device: str) -> None:
    """Make `model` compute in bfloat16 where autocast would; weights, gradients and what it returns stay in float32.

    accelerate would do so in one process alone. Elsewhere it would have weights, returned log-probabilities and sums
    over processes rounded, so that a policy would differ from its own reference. DeepSpeed turns off an autocast around
    a model, not one inside.
    """
    from accelerate.utils import convert_to_fp32

    context = ExitStack()
    model.register_forward_pre_hook(lambda *_: context.enter_context(autocast("bfloat16", device)) and None)

    def end(module: Any, arguments: Any, returned: Any) -> Any:
        context.close()
        return convert_to_fp32(returned)

    model.register_forward_hook(end, always_call=True)


def _rows_of_passes(dataset: "Dataset") -> Any:
    """Wrap the data set so that forward passes of it can be had, also one without rows."""

    class Rows:
        def __len__(self) -> int:
            return len(dataset)

        def __getitem__(self, index: int) -> Any:
            return dataset[index]

        def __getitems__(self, taken: ForwardPass) -> tuple[list[Any], int]:
            return list(dataset.__getitems__(taken.rows)) if taken.rows else [], taken.rows_of_step

    return Rows()

"""Training with TRL: the only module that imports it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.backends.hf import load_checkpoint
from harness.core.artifacts import Tracker
from harness.core.records import PreferencePair, Response

if TYPE_CHECKING:
    from datasets import Dataset

Track = Callable[[int, str], Tracker]
"""Opens a progress display for (amount of work, unit): `Output.track`."""


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Optimisation settings, named as in the paper's section 4.2; `batch_size` is the effective one."""

    learning_rate: float
    epochs: int
    batch_size: int
    max_length: int
    warmup_share: float


@dataclass(frozen=True, slots=True)
class PreferenceSettings:
    """Settings of a DPO stage: `beta` is Eq. 6's."""

    beta: float
    training: TrainingSettings


def train_sft(
    model_folder: Path, examples: Sequence[Response], settings: TrainingSettings, *, seed: int, out: Path, track: Track
) -> dict[str, float]:
    """Supervised fine-tuning on (prompt, response) examples, loss on the response only; saves to `out`.

    Returns TRL's last logged metrics.
    """
    from trl import SFTConfig, SFTTrainer

    model, tokenizer = _load_for_training(model_folder)
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(**_arguments(settings, seed, out), completion_only_loss=True, shuffle_dataset=False),
        train_dataset=_sft_dataset(examples),
        processing_class=tokenizer,
        callbacks=[_progress_callback(track)],
    )
    return _train(trainer, tokenizer, out)


def train_dpo(
    model_folder: Path,
    reference_folder: Path,
    pairs: Sequence[PreferencePair],
    settings: PreferenceSettings,
    *,
    seed: int,
    out: Path,
    track: Track,
) -> dict[str, float]:
    """DPO (Eq. 6) of the policy in `model_folder` against the frozen reference; saves to `out`.

    Returns TRL's last logged metrics.
    """
    from trl import DPOConfig, DPOTrainer

    model, tokenizer = _load_for_training(model_folder)
    reference, _ = load_checkpoint(reference_folder)
    trainer = DPOTrainer(
        model=model,
        ref_model=reference,
        args=DPOConfig(**_arguments(settings.training, seed, out), beta=settings.beta),
        train_dataset=_preference_dataset(pairs),
        processing_class=tokenizer,
        callbacks=[_progress_callback(track)],
    )
    return _train(trainer, tokenizer, out)


def _load_for_training(folder: Path) -> tuple[Any, Any]:
    import torch

    model, tokenizer = load_checkpoint(folder)
    return model.to(torch.float32), tokenizer


def _arguments(settings: TrainingSettings, seed: int, out: Path) -> dict[str, Any]:
    return {
        "output_dir": str(out / "trainer"),
        "learning_rate": settings.learning_rate,
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": settings.batch_size,
        "max_length": settings.max_length,
        "lr_scheduler_type": "cosine",
        "warmup_steps": settings.warmup_share,
        "seed": seed,
        "data_seed": seed,
        "save_strategy": "no",
        "report_to": "none",
        "logging_steps": 10,
        "disable_tqdm": True,
        "bf16": False,
        "gradient_checkpointing": False,  # TRL's default trades time for memory that is not scarce here
        "dataloader_pin_memory": False,
    }


def _sft_dataset(examples: Sequence[Response]) -> "Dataset":
    from datasets import Dataset

    return Dataset.from_list([{"prompt": _user(row.prompt.text), "completion": _answer(row.text)} for row in examples])


def _preference_dataset(pairs: Sequence[PreferencePair]) -> "Dataset":
    from datasets import Dataset

    return Dataset.from_list(
        [
            {"prompt": _user(row.prompt.text), "chosen": _answer(row.chosen), "rejected": _answer(row.rejected)}
            for row in pairs
        ]
    )


def _user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def _answer(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def _progress_callback(track: Track) -> Any:
    from transformers import TrainerCallback

    class ProgressCallback(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.tracker = track(state.max_steps, "steps")

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.tracker.advance()

    return ProgressCallback()


def _train(trainer: Any, tokenizer: Any, out: Path) -> dict[str, float]:
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    trainer.train()
    trainer.model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    return {name: float(value) for name, value in (logged[-1] if logged else {}).items()}

"""Training with TRL: the only module that imports it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.backends.chat import answer_ids, conversation, prompt_ids
from harness.backends.hf import load_checkpoint
from harness.core.artifacts import Tracker
from harness.core.records import PreferencePair, Response

if TYPE_CHECKING:
    from datasets import Dataset

UNSCORED = -100
"""The label of a token that bears no loss."""

Track = Callable[[int, str], Tracker]
"""Opens a progress display for (amount of work, unit): `Output.track`."""


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Optimisation settings (section 4.2). `global_batch_size` is the effective one, whatever it is spread over.

    `precision` is that of the forward and backward passes; weights and optimizer are kept in float32.
    """

    learning_rate: float
    epochs: int
    global_batch_size: int
    max_length: int
    warmup_share: float
    precision: Literal["float32", "bfloat16"] = "float32"


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
        args=SFTConfig(**_arguments(settings, seed, out), shuffle_dataset=False),
        train_dataset=_sft_dataset(examples, tokenizer),
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
    from trl import DPOConfig

    model, tokenizer = _load_for_training(model_folder)
    reference, _ = load_checkpoint(reference_folder)
    trainer = _tokenized_dpo_trainer()(
        model=model,
        ref_model=reference,
        args=DPOConfig(**_arguments(settings.training, seed, out), beta=settings.beta),
        train_dataset=_preference_dataset(pairs, tokenizer),
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
        "per_device_train_batch_size": settings.global_batch_size,
        "max_length": settings.max_length,
        "lr_scheduler_type": "cosine",
        "warmup_steps": settings.warmup_share,
        "seed": seed,
        "data_seed": seed,
        "save_strategy": "no",
        "report_to": "none",
        "logging_steps": 10,
        "disable_tqdm": True,
        "bf16": settings.precision == "bfloat16",
        "gradient_checkpointing": False,  # TRL's default trades time for memory that is not scarce here
        "dataloader_pin_memory": False,
    }


def _sft_dataset(examples: Sequence[Response], tokenizer: Any) -> "Dataset":
    from datasets import Dataset

    rows = []
    for row in examples:
        prompt, answer = prompt_ids(tokenizer, conversation(row.prompt)), answer_ids(tokenizer, row.text)
        rows.append({"input_ids": [*prompt, *answer], "labels": [UNSCORED] * len(prompt) + answer})
    return Dataset.from_list(rows)


def _preference_dataset(pairs: Sequence[PreferencePair], tokenizer: Any) -> "Dataset":
    from datasets import Dataset

    return Dataset.from_list(
        [
            {
                "prompt_ids": prompt_ids(tokenizer, conversation(row.prompt)),
                "chosen_ids": answer_ids(tokenizer, row.chosen),
                "rejected_ids": answer_ids(tokenizer, row.rejected),
            }
            for row in pairs
        ]
    )


def _tokenized_dpo_trainer() -> Any:
    """TRL's DPOTrainer for rows that are token ids already; its SFTTrainer takes such rows as it is."""
    from trl import DPOTrainer

    class TokenizedDPOTrainer(DPOTrainer):
        def _prepare_dataset(
            self, dataset: "Dataset", processing_class: Any, args: Any, dataset_name: str
        ) -> "Dataset":
            """Without the pairs whose prompt alone fills the length, as TRL does it."""
            return dataset.filter(lambda row: len(row["prompt_ids"]) < args.max_length)

    return TokenizedDPOTrainer


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

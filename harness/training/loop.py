"""The course of a training: in this process or in several, resumed, recorded and saved."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.engine.compute import Compute, Tracking
from harness.models.hf import load_config, load_pretrained, silence_libraries
from harness.records import write_rows
from harness.training.batches import rows_at_once, spread
from harness.training.checkpoints import commit_checkpoint, latest_checkpoint, prune_checkpoints
from harness.training.job import CURVES, SINGLE, Job, Progress, Track, TrainingStep
from harness.training.launch import launch, mendable_errors, require_launchable
from harness.training.losses import PreferenceLoss
from harness.training.rows import TrainingRows
from harness.training.settings import OnlineSettings, TrainingSettings
from harness.training.tracking import tracked
from harness.training.trainer import merged_model, require_packages

if TYPE_CHECKING:
    from datasets import Dataset

MakeTrainer = Callable[[Job, "Dataset"], Any]


def make_job(
    model: Path,
    settings: TrainingSettings,
    seed: int,
    out: Path,
    compute: Compute,
    loss: PreferenceLoss | None = None,
    *,
    scored_tokens: int | None = None,
    is_own_reference: bool = False,
    online: OnlineSettings | None = None,
    tracking: Tracking | None = None,
) -> Job:
    """Return the job, with its batch spread as `compute` says; `scored_tokens` are those of the longest row.

    Raises UserError where it cannot train that way.
    """
    require_launchable(compute.accelerate, compute.processes)
    require_packages(settings)
    most_rows = rows_at_once(load_config(model).vocab_size, scored_tokens or settings.max_length)
    return Job(
        model=str(model),
        out=str(out),
        settings=settings,
        seed=seed,
        spread=spread(settings.global_batch_size, compute, most_rows),
        accelerate=compute.accelerate,
        gradient_checkpointing=compute.gradient_checkpointing,
        save_every=compute.save_every,
        loss=loss,
        is_own_reference=is_own_reference,
        online=online,
        tracking=tracking,
    )


def train(job: Job, rows: TrainingRows, track: Track, make_trainer: MakeTrainer) -> dict[str, float]:
    """Train in this process or in several; leave the trained checkpoint and no intermediate files.

    Returns the metrics of the last step and the counts of `rows`.
    """
    found = latest_checkpoint(job)
    prune_checkpoints(job, found)
    if job.accelerate == SINGLE:
        with mendable_errors(Path(job.out)):
            metrics = run(job, rows.dataset, track, make_trainer)
    else:
        load_pretrained(Path(job.model), device="meta")  # once for all processes: would be drawn what is missing
        metrics = launch(job, rows.dataset, f"{__package__}.worker", track)
    prune_checkpoints(job, None)
    job.trainer_folder.rmdir()
    return {**metrics, **rows.counts}


def run(job: Job, rows: "Dataset", track: Track, make_trainer: MakeTrainer) -> dict[str, float]:
    """Train as one of the job's processes, of which the first one saves. Returns the metrics of the last step."""
    from transformers import PrinterCallback

    silence_libraries()
    with tracked(job.tracking):
        trainer = make_trainer(job, rows)
        found = latest_checkpoint(job)
        trainer.add_callback(_course_callback(trainer, track, found))
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=str(found) if found else None)
    _save(trainer, job)
    steps = [_training_step(entry) for entry in trainer.state.log_history if "loss" in entry]
    if trainer.is_world_process_zero():
        trainer.write_more(Path(job.out))
        write_rows(Path(job.out) / CURVES, steps)
    return {name: value for name, value in asdict(steps[-1]).items() if value is not None}


def _training_step(entry: Mapping[str, float]) -> TrainingStep:
    """Return one entry of a trainer's log as a row."""
    renamed = {"gradient_norm": entry.get("grad_norm"), **entry}
    finite = {name: value for name, value in renamed.items() if value is not None and math.isfinite(value)}
    return TrainingStep(
        int(entry["step"]), **{each.name: finite.get(each.name) for each in fields(TrainingStep) if each.name != "step"}
    )


def _save(trainer: Any, job: Job) -> None:
    """Save the trained weights, gathered by the first process, and the tokenizer beside them."""
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)  # all processes take part
    if trainer.is_world_process_zero():
        if job.settings.lora is None:
            trainer.accelerator.unwrap_model(trainer.model).save_pretrained(job.out, state_dict=weights)
        else:
            merged_model(job, weights).save_pretrained(job.out)
        trainer.processing_class.save_pretrained(job.out)


def _course_callback(trainer: Any, track: Track, found: Path | None) -> Any:
    """Return the callback that reports progress, and makes checkpoints ones that can be resumed, as `found` is."""
    from transformers import TrainerCallback

    class CourseCallback(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if trainer.job.is_own_reference:
                trainer.take_own_reference(track)
            if found is not None:
                trainer.load_more(found)
            self.progress: Progress = track(state.max_steps, "steps", state.global_step)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.progress.advance()

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            checkpoint = trainer.job.trainer_folder / f"checkpoint-{state.global_step}"
            trainer.save_more(checkpoint)
            trainer.accelerator.wait_for_everyone()  # all have written when all are here
            if state.is_world_process_zero:
                commit_checkpoint(checkpoint, trainer.job)

    return CourseCallback()

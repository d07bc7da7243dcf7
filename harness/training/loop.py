"""The course of a training: in this process or in several, resumed, recorded and saved."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.engine.compute import Compute
from harness.models.hf import load_pretrained, silence_libraries
from harness.records import write_rows
from harness.training.batches import spread
from harness.training.checkpoints import commit_checkpoint, latest_checkpoint, prune_checkpoints
from harness.training.job import LOSSES, SINGLE, Job, Progress, StepLoss, Track
from harness.training.launch import launch, mendable_errors, require_launchable
from harness.training.rows import TrainingRows
from harness.training.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset

MakeTrainer = Callable[[Job, "Dataset"], Any]


def make_job(
    kind: Any, model: Path, settings: TrainingSettings, beta: float, seed: int, out: Path, compute: Compute
) -> Job:
    """Return the job, with its batch spread as `compute` says. Raises UserError where it cannot train that way."""
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


def train(job: Job, rows: TrainingRows, track: Track, make_trainer: MakeTrainer) -> dict[str, float]:
    """Train in this process or in several; leave the trained checkpoint and no intermediate files.

    Returns TRL's last logged metrics and the counts of `rows`.
    """
    found = latest_checkpoint(job)
    prune_checkpoints(job, found[0] if found else None)
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
    """Train as one of the job's processes, of which the first one saves. Returns TRL's last logged metrics."""
    from transformers import PrinterCallback

    silence_libraries()
    trainer = make_trainer(job, rows)
    record = _TrainerRecord(trainer)
    trainer.add_callback(_record_callback(record, job, track))
    trainer.remove_callback(PrinterCallback)
    found = latest_checkpoint(job)
    if found is not None:
        record.log_state = found[1]
    trainer.train(resume_from_checkpoint=str(found[0]) if found else None)
    _save(trainer, job)
    if trainer.is_world_process_zero():
        write_rows(Path(job.out) / LOSSES, record.losses)
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    return {name: float(value) for name, value in (logged[-1] if logged else {}).items()}


def _save(trainer: Any, job: Job) -> None:
    """Save the trained weights, gathered by the first process, and the tokenizer beside them."""
    if job.accelerate == SINGLE:
        trainer.model.save_pretrained(job.out)
    else:
        weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)  # all processes take part
        model = trainer.accelerator.unwrap_model(trainer.model)
        if trainer.is_world_process_zero():
            model.save_pretrained(job.out, state_dict=weights)
    if trainer.is_world_process_zero():
        trainer.processing_class.save_pretrained(job.out)


class _TrainerRecord:
    """The losses so far and TRL's counters since it last logged, neither of which its own checkpoints have."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        self.losses: list[StepLoss] = []

    def end_step(self) -> None:
        """Record the mean loss of a step's forward passes."""
        loss = self._mean(sum(self._trainer.pass_losses))
        self._trainer.pass_losses.clear()
        step = self._trainer.state.global_step
        self.losses.append(StepLoss(step, loss if math.isfinite(loss) else None))

    @property
    def log_state(self) -> dict[str, Any]:
        """Trainer counters since the last log, as JSON, saved with a checkpoint."""
        trainer = self._trainer
        return {
            "losses": [[each.step, each.loss] for each in self.losses],
            "loss": self._mean(trainer._tr_loss),
            "logged": trainer._globalstep_last_logged,
            "metrics": dict(trainer._metrics["train"]),
            "tokens": trainer._total_train_tokens,
        }

    @log_state.setter
    def log_state(self, saved: Mapping[str, Any]) -> None:
        self.losses = [StepLoss(step, loss) for step, loss in saved["losses"]]
        self._trainer._metrics["train"].update(saved["metrics"])
        self._trainer._total_train_tokens = saved["tokens"]
        self._since = saved["logged"], saved["loss"]

    def begin(self, job: Job, track: Track) -> None:
        """Restore the counters, and score the own reference, once the trainer has set up its loop."""
        if job.is_own_reference:
            self._trainer.take_own_reference(track)
        if self.losses:
            self._trainer._globalstep_last_logged = self._since[0]
            self._trainer._tr_loss += self._since[1]

    def _mean(self, loss: Any) -> float:
        return float(self._trainer.accelerator.gather(loss.reshape(1)).mean())


def _record_callback(record: _TrainerRecord, job: Job, track: Track) -> Any:
    from transformers import TrainerCallback

    class RecordCallback(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            record.begin(job, track)
            self.progress: Progress = track(state.max_steps, "steps", state.global_step)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            record.end_step()
            self.progress.advance()

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            log_state = record.log_state  # all processes take part, and all have written when they have
            if state.is_world_process_zero:
                commit_checkpoint(job.trainer_folder / f"checkpoint-{state.global_step}", job, log_state)

    return RecordCallback()

"""One of the processes that `launch` starts for a training."""

import os
import sys
from pathlib import Path

from harness.engine.artifacts import Tracker
from harness.engine.progress import silent
from harness.training.job import Progress
from harness.training.launch import Reporter, die_with_parent, emit, end, mendable_errors, read_job, reported_errors
from harness.training.loop import run
from harness.training.preferences import preference_trainer
from harness.training.sft import sft_trainer


def _main(file: str) -> None:
    import torch

    die_with_parent()
    job, rows = read_job(file)
    with reported_errors(Path(job.out)), mendable_errors(Path(job.out)):
        first = _process() == 0
        make_trainer = sft_trainer if job.loss is None else preference_trainer
        metrics = run(job, rows, Reporter if first else _silent_reporter, make_trainer)
        torch.distributed.barrier()
        if first:
            emit(result=metrics)
        torch.distributed.destroy_process_group()
    end()


def _process() -> int:
    return int(os.environ.get("RANK", "0"))


def _silent_reporter(work: int, unit: str, done: int = 0) -> Progress:
    return Tracker(work, unit, done, silent)


if __name__ == "__main__":
    _main(sys.argv[1])

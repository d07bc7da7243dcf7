"""Training in child processes: `accelerate launch`, the events they report, and how they end."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.config.yaml_files import named_config
from harness.errors import UserError
from harness.files import disk_full_error
from harness.records import from_json, to_json
from harness.training.job import CURVES, SINGLE, Job, Progress, Track

if TYPE_CHECKING:
    from datasets import Dataset

JOB = "job.json"
ROWS = "rows"
EVENT_PREFIX = "\x1eharness "
"""Start of an output line that is an event for the step: a JSON object follows."""
LAST_LINES = 20
OUT_OF_MEMORY = (
    "training ran out of memory on {place}; in the file of the recipe's machine, set a smaller micro_batch_size,"
    " gradient_checkpointing: true, or accelerate: fsdp with more processes"
)


def accelerate_config(name: str) -> Path:
    """Return the path of ``configs/accelerate/<name>.yaml``. Raises UserError for an unknown name."""
    return named_config("accelerate config", name, "accelerate/*.yaml")


def require_launchable(accelerate: str, processes: int) -> None:
    """Raise UserError where this machine cannot train that way."""
    accelerate_config(accelerate)
    if accelerate == SINGLE and processes != 1:
        raise UserError(
            f"accelerate: {SINGLE} trains in one process, not {processes}; in the file of the recipe's machine, set"
            " accelerate: fsdp"
        )
    if accelerate.startswith("deepspeed") and find_spec("deepspeed") is None:
        raise UserError(f"accelerate: {accelerate} needs DeepSpeed; install deepspeed, or set accelerate to fsdp")


def require_one_process(accelerate: str) -> None:
    """Raise UserError where a training that makes its own pairs would be spread: it knows one process."""
    if accelerate != SINGLE:
        raise UserError(
            f"a training that makes its own pairs runs in one process, not with accelerate: {accelerate}; in the file"
            f" of the recipe's machine, set accelerate: {SINGLE} and processes: 1"
        )


def launch(job: Job, rows: "Dataset", module: str, track: Track) -> dict[str, float]:
    """Run ``python -m module JOB.json`` in `job.spread.processes` processes; return the metrics of the first.

    They end with this process. Raises the error that they raised: UserError, OSError where a disk is full, else
    RuntimeError with their last lines.
    """
    folder = Path(job.out) / "job"
    shutil.rmtree(folder, ignore_errors=True)  # of a killed run
    folder.mkdir(parents=True)
    try:
        rows.save_to_disk(folder / ROWS)
        (folder / JOB).write_text(json.dumps(to_json(job)), encoding="utf-8")
        return _follow(job, _command(job, module, folder / JOB), track)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _command(job: Job, module: str, file: Path) -> list[str]:
    options = {
        "config_file": accelerate_config(job.accelerate),
        "num_processes": job.spread.processes,
        "main_process_port": 0,  # a free one
        "gradient_accumulation_steps": job.spread.accumulation,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-m", "accelerate.commands.launch", *words, "-m", module, str(file)]


def _follow(job: Job, command: list[str], track: Track) -> dict[str, float]:
    log = _Log(track)
    with _running(command) as process:
        assert process.stdout is not None
        for line in process.stdout:
            log.read(line)
        code = process.wait()
    if log.result is not None and (code == 0 or (log.no_errors and _is_saved(Path(job.out)))):
        return log.result  # what a process dies of once all have trained and the first has saved is no matter
    raise log.error(job, code)


def _is_saved(checkpoint: Path) -> bool:
    """Return whether a trained checkpoint is complete: `CURVES` is written last, and no weight file is cut short."""
    from safetensors import SafetensorError, safe_open

    weights = sorted(checkpoint.glob("*.safetensors"))
    try:
        for path in weights:
            with safe_open(path, framework="pt"):
                pass
    except (OSError, SafetensorError):
        return False
    return bool(weights) and (checkpoint / CURVES).exists()


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator["subprocess.Popen[str]"]:
    """Start the command in its own process group; kill it with the context, and with this process by its stdin."""
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


class _Log:
    """The output of the launched processes: their events, and the last lines of the rest."""

    def __init__(self, track: Track) -> None:
        self.result: dict[str, float] | None = None
        self._track = track
        self._progress: Progress | None = None
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._errors: list[Mapping[str, Any]] = []

    def read(self, line: str) -> None:
        printed, prefix, event = line.partition(EVENT_PREFIX)
        if printed.strip():
            print(printed.rstrip(), flush=True)  # for the log that the worker keeps of a failed step
            self._lines.append(printed.rstrip())
        if prefix:
            self._handle(json.loads(event))

    def _handle(self, event: Mapping[str, Any]) -> None:
        match event:
            case {"begin": total, "unit": unit, "done": done}:
                self._progress = self._track(total, unit, done)
            case {"advance": count} if self._progress is not None:
                self._progress.advance(count)
            case {"result": result}:
                self.result = result
            case _:
                self._errors.append(event)

    @property
    def no_errors(self) -> bool:
        """Whether no process has reported an error."""
        return not self._errors

    def error(self, job: Job, code: int) -> Exception:
        """Return the exception to raise: the first error that a process reported, or how they ended."""
        for event in self._errors:
            if "user_error" in event:
                return UserError(event["user_error"])
        processes = f"{job.spread.processes} processes ({job.accelerate})"
        if any("SIGKILL" in line or "exitcode: -9" in line for line in self._lines):
            return UserError(OUT_OF_MEMORY.format(place="this machine (a process was killed)"))
        raised = next((event["raised"] for event in self._errors), None)
        last = raised or "\n".join(self._lines)
        return RuntimeError(f"training in {processes} ended with exit code {code}; the last they printed:\n{last}")


# In a launched process


def read_job(file: str) -> tuple[Job, "Dataset"]:
    """Return the job in `file` and its rows."""
    from datasets import load_from_disk

    path = Path(file)
    job = from_json(Job, json.loads(path.read_text(encoding="utf-8")), file)
    return job, load_from_disk(str(path.parent / ROWS))


def emit(**event: Any) -> None:
    """Write an event for the step to stdout, in one write."""
    os.write(1, f"{EVENT_PREFIX}{json.dumps(event)}\n".encode())


class Reporter:
    """The `Progress` of the first of the launched processes, reported to the step."""

    def __init__(self, work: int, unit: str, done: int = 0) -> None:
        emit(begin=work, unit=unit, done=done)

    def advance(self, count: int = 1) -> None:
        """Report `count` more done."""
        emit(advance=count)


def die_with_parent() -> None:
    """End this process when the step's ends: nobody then holds the other end of standard input."""

    def watch() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def end() -> None:
    """End this process at once.

    At the interpreter's own end, threads of libraries, and the one that waits for stdin, may still bring it down.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


@contextlib.contextmanager
def reported_errors(out: Path) -> Iterator[None]:
    """Report an error to the step: one line where the user can mend it, else the end of its traceback."""
    try:
        yield
    except Exception as error:
        mendable = error if isinstance(error, UserError) else disk_full_error(error, out)
        if mendable is not None:
            emit(user_error=str(mendable))
        else:
            emit(raised="\n".join(traceback.format_exc().splitlines()[-LAST_LINES:]))
        raise


@contextlib.contextmanager
def mendable_errors(out: Path) -> Iterator[None]:
    """Turn what libraries raise into a UserError where memory ran out, into an OSError where a disk is full."""
    import torch
    from safetensors import SafetensorError

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError):
        raise UserError(OUT_OF_MEMORY.format(place=_device())) from None
    except (RuntimeError, SafetensorError) as error:
        if "can't allocate memory" in str(error):
            raise UserError(OUT_OF_MEMORY.format(place="this machine")) from None
        if number := _disk_error(str(error)):
            raise OSError(number, os.strerror(number), str(out)) from error
        raise


def _device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "this machine"


def _disk_error(message: str) -> int | None:
    """Return the errno in the message of safetensors or torch about a file that cannot be written."""
    import errno
    import re

    if found := re.search(r"os error (\d+)", message):
        return int(found[1])
    of_torch = ("PytorchStreamWriter failed writing", "file write failed", "unexpected pos")
    return errno.ENOSPC if any(words in message for words in of_torch) else None

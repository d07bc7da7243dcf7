"""Training in processes of their own: `accelerate launch`, what they tell, and how they end."""

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

from harness.config.yaml_files import CONFIGS
from harness.errors import UserError, unknown
from harness.files import no_room
from harness.records import from_json, to_json
from harness.training.job import LOSSES, SINGLE, Job, Progress, Track

if TYPE_CHECKING:
    from datasets import Dataset

JOB = "job.json"
ROWS = "rows"
TOLD = "\x1eharness "
"""What starts a line of a process's output that is meant for the step: a JSON object follows."""
LAST_LINES = 20
OUT_OF_MEMORY = (
    "training ran out of memory on {place}; in the scale's compute, set a smaller micro_batch_size,"
    " gradient_checkpointing: true, or accelerate: fsdp with more processes"
)


def accelerate_config(name: str) -> Path:
    """The file ``configs/accelerate/<name>.yaml``. Raises UserError for an unknown name."""
    configs = {path.stem: path for path in (CONFIGS / "accelerate").glob("*.yaml")}
    if name not in configs:
        raise unknown("accelerate config", name, configs)
    return configs[name]


def require_launchable(accelerate: str, processes: int) -> None:
    """Raises UserError where this machine cannot train that way."""
    accelerate_config(accelerate)
    if accelerate == SINGLE and processes != 1:
        raise UserError(
            f"accelerate: {SINGLE} trains in one process, not {processes}; in the scale's compute, set accelerate: fsdp"
        )
    if accelerate.startswith("deepspeed") and find_spec("deepspeed") is None:
        raise UserError(f"accelerate: {accelerate} needs DeepSpeed; install deepspeed, or set accelerate to fsdp")


def launch(job: Job, rows: "Dataset", module: str, track: Track) -> dict[str, float]:
    """Runs ``python -m module JOB.json`` in `job.spread.processes` processes; what the first of them made of it.

    They end with this process. Raises what they raised: UserError, OSError where a disk is full, RuntimeError with
    their last lines otherwise.
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
    """Whether a trained checkpoint is there as a whole: `LOSSES` comes last, and no file of weights ends early."""
    from safetensors import SafetensorError, safe_open

    weights = sorted(checkpoint.glob("*.safetensors"))
    try:
        for path in weights:
            with safe_open(path, framework="pt"):
                pass
    except (OSError, SafetensorError):
        return False
    return bool(weights) and (checkpoint / LOSSES).exists()


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator["subprocess.Popen[str]"]:
    """The command in a group of its own, which ends with this context; with this process too, by its standard input."""
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
    """What processes print: what is told to the step, and the last of the rest."""

    def __init__(self, track: Track) -> None:
        self.result: dict[str, float] | None = None
        self._track = track
        self._progress: Progress | None = None
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._errors: list[Mapping[str, Any]] = []

    def read(self, line: str) -> None:
        said, marked, told = line.partition(TOLD)
        if said.strip():
            print(said.rstrip(), flush=True)  # for the log that the worker keeps of a failed step
            self._lines.append(said.rstrip())
        if marked:
            self._hear(json.loads(told))

    def _hear(self, told: Mapping[str, Any]) -> None:
        match told:
            case {"begin": total, "unit": unit, "done": done}:
                self._progress = self._track(total, unit, done)
            case {"advance": count} if self._progress is not None:
                self._progress.advance(count)
            case {"result": result}:
                self.result = result
            case _:
                self._errors.append(told)

    @property
    def no_errors(self) -> bool:
        """Whether no process has told of one."""
        return not self._errors

    def error(self, job: Job, code: int) -> Exception:
        """What to raise: the first thing that a process told of, or how they ended."""
        for told in self._errors:
            if "user_error" in told:
                return UserError(told["user_error"])
        processes = f"{job.spread.processes} processes ({job.accelerate})"
        if any("SIGKILL" in line or "exitcode: -9" in line for line in self._lines):
            return UserError(OUT_OF_MEMORY.format(place="this machine (a process was killed)"))
        raised = next((told["raised"] for told in self._errors), None)
        last = raised or "\n".join(self._lines)
        return RuntimeError(f"training in {processes} ended with exit code {code}; the last they printed:\n{last}")


# In a launched process


def told_job(file: str) -> tuple[Job, "Dataset"]:
    """The job and its rows."""
    from datasets import load_from_disk

    path = Path(file)
    job = from_json(Job, json.loads(path.read_text(encoding="utf-8")), file)
    return job, load_from_disk(str(path.parent / ROWS))


def tell(**what: Any) -> None:
    """Tells the step something, in one piece."""
    os.write(1, f"{TOLD}{json.dumps(what)}\n".encode())


class Told:
    """The `Progress` of the first of the launched processes, for the step."""

    def __init__(self, work: int, unit: str, done: int = 0) -> None:
        tell(begin=work, unit=unit, done=done)

    def advance(self, count: int = 1) -> None:
        """`count` more are done."""
        tell(advance=count)


def die_with_parent() -> None:
    """Ends this process when the step's does: then nobody holds the other end of standard input any more."""

    def watch() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def end() -> None:
    """Ends this process, which has done its work: without the interpreter's end, in which threads of libraries, and the
    one that waits for standard input, may still bring it down."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


@contextlib.contextmanager
def errors_told(out: Path) -> Iterator[None]:
    """Tells the step of an error: in one line where the user can mend it, else by the end of its traceback."""
    try:
        yield
    except Exception as error:
        mendable = error if isinstance(error, UserError) else no_room(error, out)
        if mendable is not None:
            tell(user_error=str(mendable))
        else:
            tell(raised="\n".join(traceback.format_exc().splitlines()[-LAST_LINES:]))
        raise


@contextlib.contextmanager
def mendable_errors(out: Path) -> Iterator[None]:
    """Makes UserErrors of what libraries raise for want of memory, and OSErrors of it for want of room on a disk."""
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
    """The number of the system's error in what safetensors and torch say of a file that cannot be written."""
    import errno
    import re

    if found := re.search(r"os error (\d+)", message):
        return int(found[1])
    torch_says = ("PytorchStreamWriter failed writing", "file write failed", "unexpected pos")
    return errno.ENOSPC if any(words in message for words in torch_says) else None

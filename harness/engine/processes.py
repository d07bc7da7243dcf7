"""Processes of our own: started with an environment of theirs, deaf to Ctrl-C, dead when their parent is."""

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnProcess
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

from harness.engine.signals import ENDINGS


def threads_of(cpus: int) -> dict[str, str]:
    """Return the environment of a process with `cpus` processors: its thread count, and a fixed order of sets."""
    return {
        "OMP_NUM_THREADS": str(cpus),
        "MKL_NUM_THREADS": str(cpus),
        "OPENBLAS_NUM_THREADS": str(cpus),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONHASHSEED": "0",
    }


def spawn(target: Callable[..., None], arguments: tuple[Any, ...], environment: Mapping[str, str]) -> SpawnProcess:
    """Start a fresh Python process that runs `target`, leaves Ctrl-C to this one, and dies when this one does."""
    task = _Later((target, arguments))
    process = multiprocessing.get_context("spawn").Process(target=_begin, args=(task,))
    start_resource_tracker()  # by itself: starting it lets interrupts through
    with _environment(environment), _interrupts_held():
        process.start()
    return process


def start_resource_tracker() -> None:
    """Start multiprocessing's tracker, if it does not run, without its warnings.

    It frees the semaphores that killed workers leave; what it would say about that is noise.
    """
    with _environment({"PYTHONWARNINGS": "ignore:resource_tracker:UserWarning"}):
        resource_tracker.ensure_running()


class _Later:
    """A value that the new process unpickles when it asks for it: what a class's module imports can take seconds."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __getstate__(self) -> bytes:
        return bytes(ForkingPickler.dumps(self._value))

    def __setstate__(self, pickled: bytes) -> None:
        self._pickled = pickled

    def unpickled(self) -> Any:
        """Return the value, in the new process."""
        return pickle.loads(self._pickled)


def _begin(task: _Later) -> None:
    """Run the body of a process, which belongs to its parent before it does anything that takes long."""
    _belong_to_parent()
    target, arguments = task.unpickled()
    target(*arguments)


def _belong_to_parent() -> None:
    """Leave Ctrl-C to the parent, for what this process starts too, and die when the parent does."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # until here it was held back


def print_to(log: Path) -> None:
    """Send what this process prints to the end of `log`: the terminal belongs to the parent."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for processes started inside: OpenMP and Python's hash seed are read when a process starts."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Delay interrupts: a process started inside never gets them, and this one gets them on leaving.

    Ctrl-C reaches the whole group; ignoring it here meanwhile would lose it, and the run would go on.
    """
    heard: list[int] = []
    numbers = (signal.SIGINT, *ENDINGS)
    handlers = [signal.signal(number, lambda number, _frame: heard.append(number)) for number in numbers]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # the new process inherits it
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in zip(numbers, handlers, strict=True):
            signal.signal(number, handler)
        if heard:
            signal.raise_signal(heard[0])

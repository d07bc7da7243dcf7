"""Worker processes: one thread each, alive for a whole run (importing torch takes seconds), dead when the parent is."""

import contextlib
import gc
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.core.artifacts import Artifact
from harness.core.compute import Compute
from harness.core.errors import HarnessError, StepFailed, UserError, WorkerDied
from harness.core.files import no_room
from harness.core.limits import Limits
from harness.core.progress import Event
from harness.core.store import Store

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONHASHSEED": "0",
    "PYTHONWARNINGS": "ignore:resource_tracker:UserWarning",
}
"""One thread a worker, and the same order of sets in each. Killed workers leave semaphores, which multiprocessing's
tracker frees; its warning about that would be noise."""


@dataclass(frozen=True, slots=True)
class Done:
    """A step is made; `built` is False when another process had made it meanwhile."""

    built: bool
    seconds: float
    counts: Mapping[str, int | float]


@dataclass(frozen=True, slots=True)
class Failed:
    """A step raised: the one line of a UserError, or a traceback."""

    message: str
    by_user: bool

    def error(self) -> HarnessError:
        """The exception to raise in the parent."""
        return UserError(self.message) if self.by_user else StepFailed(self.message)


class Workers:
    """Up to `limit` worker processes, started when first needed and killed on leaving the context.

    Killing is safe at any moment: the store holds whole artifacts only.
    """

    def __init__(self, store: Store, limit: int, limits: Limits | None = None, compute: Compute | None = None) -> None:
        """`limits` bounds what the steps may ask of endpoints; `compute` says how they run models."""
        self._store, self._limit = store, limit
        self._limits, self._compute = limits or Limits(), compute or Compute()
        self._workers: list[_Worker] = []

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for worker in self._workers:
            worker.kill()

    @property
    def available(self) -> bool:
        """Whether `start` can take a step now."""
        return len(self._busy()) < self._limit

    def start(self, artifact: Artifact) -> None:
        """Gives the step to an idle worker, a new one if there is none."""
        idle = next((worker for worker in self._workers if worker.artifact is None), None)
        if idle is None:
            idle = _Worker(self._store.root, self._limits, self._compute)
            self._workers.append(idle)
        idle.start(artifact)

    def messages(self, timeout: float) -> Iterator[tuple[Artifact, Event | Done | Failed]]:
        """What running steps say within `timeout` seconds. Raises WorkerDied when a worker has ended."""
        connections: dict[Any, _Worker] = {worker.connection: worker for worker in self._busy()}
        for connection in wait(list(connections), timeout):
            yield connections[connection].receive()

    def _busy(self) -> "list[_Worker]":
        return [worker for worker in self._workers if worker.artifact is not None]


class _Worker:
    """The parent's end of one worker process."""

    def __init__(self, root: Path, limits: Limits, compute: Compute) -> None:
        self._root = root
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.artifact: Artifact | None = None
        self._process = context.Process(target=_work, args=(theirs, root, limits, compute))
        with _environment(ENVIRONMENT):
            resource_tracker.ensure_running()  # by itself: starting it lets interrupts through
            with _interrupts_held():
                self._process.start()
        theirs.close()  # so that the worker's death shows as end of file

    def start(self, artifact: Artifact) -> None:
        self.artifact = artifact
        with contextlib.suppress(OSError):  # if it died while idle, receive says so
            self.connection.send_bytes(pickle.dumps(artifact))

    def receive(self) -> tuple[Artifact, Event | Done | Failed]:
        artifact = self.artifact
        assert artifact is not None
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            raise WorkerDied(self._obituary()) from None
        if isinstance(message, (Done, Failed)):
            self.artifact = None
        return artifact, message

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()

    def _obituary(self) -> str:
        self._process.join()
        code = self._process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        why = ", perhaps because memory ran out" if code == -signal.SIGKILL else ""
        printed = _printed(_log(self._root, self.artifact)) if self.artifact else ""
        return f"the worker process of step {self.artifact} {how}{why}; finished steps are kept{printed}"


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Sets variables for processes started inside: OpenMP and Python's hash seed are read when a process starts."""
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
    """Ctrl-C reaches the whole group: a process started inside is spared from its first moment, and this one hears of
    it on leaving. Ignoring it here meanwhile would lose it, and the run would go on."""
    heard: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _frame: heard.append(number))  # other threads may take it
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # the new process inherits it
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if heard:
            signal.raise_signal(signal.SIGINT)


def _work(connection: Connection, root: Path, limits: Limits, compute: Compute) -> None:
    """The worker process: makes one artifact after the other until it is killed."""
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for what it starts too; until here it was held back
    store = Store(root)
    while True:
        try:
            task = connection.recv_bytes()
        except EOFError:
            return
        connection.send(_attempt(task, store, limits, compute, connection.send))
        gc.collect()  # models lie in reference cycles
        gc.freeze()  # the libraries stay: looking through them again would cost more than most steps


def _attempt(
    task: bytes, store: Store, limits: Limits, compute: Compute, report: Callable[[Event], None]
) -> Done | Failed:
    try:
        artifact: Artifact = pickle.loads(task)
    except Exception:  # the module of a parameter's class cannot be imported
        return Failed(f"a worker process cannot read its task\n{traceback.format_exc()}", by_user=False)
    log = _log(store.root, artifact)
    try:
        with _output_to(log):
            built = store.build(artifact, report, limits, compute)
        record = store.record(artifact)
        return Done(built, record["seconds"], record["counts"])
    except UserError as error:
        log.unlink(missing_ok=True)
        return Failed(str(error), by_user=True)
    except Exception as error:
        if full := no_room(error, store.root):
            with contextlib.suppress(OSError):
                log.unlink(missing_ok=True)
            return Failed(str(full), by_user=True)
        return Failed(f"step {artifact} failed{_printed(log)}\n{traceback.format_exc().rstrip()}", by_user=False)


def _log(root: Path, artifact: Artifact) -> Path:
    return root / ".logs" / f"{artifact.step}-{artifact.key}.log"


def _printed(log: Path) -> str:
    """Where to read what a failed step printed, if it did."""
    return f"; it printed: {log}" if log.exists() and log.stat().st_size else ""


@contextlib.contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """Sends what a step prints to `log`, kept only if the step fails: the terminal belongs to the parent."""
    log.parent.mkdir(exist_ok=True)
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    yield
    log.unlink(missing_ok=True)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()

"""Worker processes on this machine, alive for a whole run (importing torch takes seconds), dead when the parent is."""

import contextlib
import gc
import pickle
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.engine.artifacts import Artifact
from harness.engine.compute import Compute, Resources
from harness.engine.executor import (
    Done,
    Executor,
    Failed,
    ResourcePool,
    Share,
    StepMessage,
    format_resources,
    in_turn,
    local_resources,
    needs_of,
    side_by_side,
    threads_for,
)
from harness.engine.limits import Limits
from harness.engine.processes import print_to, spawn, threads_of
from harness.engine.progress import Event
from harness.engine.store import Store
from harness.errors import UserError, WorkerDied
from harness.files import disk_full_error


class Workers(Executor):
    """The executor of one machine: worker processes, started when first needed and killed on leaving the context.

    Where `Compute.resources` is empty, a step has one processor and sees every GPU. Where it is not, a step has as many
    threads as processors, shared among the processes of a training, and sees its own GPUs alone; its process ends with
    it where it had any, so that nothing of it stays on them. On a machine without GPUs no step has one.

    Killing is safe at any moment: the store holds whole artifacts only.
    """

    def __init__(self, store: Store, jobs: int, limits: Limits | None = None, compute: Compute | None = None) -> None:
        """Prepare workers on `jobs` processors; `limits` bounds what steps may ask of endpoints."""
        self._store, self._limits, self._compute = store, limits or Limits(), compute or Compute()
        self._machine = local_resources(jobs) if self._compute.resources else ResourcePool("this machine", jobs)
        self._workers: list[_Worker] = []

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for worker in self._workers:
            worker.kill()

    def prepare(self, steps: Sequence[Artifact]) -> float:
        """Raise UserError for a step that needs more GPUs than the machine has, if it has any.

        A step that needs more processors or memory than there are gets all there are.
        """
        needs = {step.key: self._needs(step) for step in steps}
        for step in steps:
            if not self._machine.has(needs[step.key]):
                raise UserError(
                    f"step {step} needs {format_resources(needs[step.key])}, and there is only {self._machine};"
                    " take a larger machine, several with `harness reproduce --executor ray`, or change the resources"
                    " of the recipe's machine"
                )
        return side_by_side(map(self._machine.share_of, needs.values()))

    def pick(self, ready: Sequence[Artifact]) -> Artifact | None:
        """Return one of `ready` that fits now."""
        return in_turn(ready, self._needs, self._machine.fits)

    def start(self, artifact: Artifact) -> None:
        """Give the step to an idle worker that has what it needs, else to a new one."""
        share = self._machine.take(self._needs(artifact))
        environment = self._environment(artifact, share)
        idle = [worker for worker in self._workers if worker.artifact is None]
        worker = next((each for each in idle if each.environment == environment), None)
        if worker is None:
            for other in idle:  # of no use now: its memory is worth more than its imports
                self._end(other)
            worker = _Worker(self._store, self._limits, self._compute, environment)
            self._workers.append(worker)
        worker.start(artifact, share)

    def messages(self, timeout: float) -> Iterator[tuple[Artifact, StepMessage]]:
        """Return the messages of running steps within `timeout` seconds. Raises WorkerDied when a worker has ended."""
        connections: dict[Any, _Worker] = {each.connection: each for each in self._workers if each.artifact is not None}
        for connection in wait(list(connections), timeout):
            worker = connections[connection]
            artifact, message = worker.receive()
            if worker.artifact is None:
                self._machine.give_back(worker.share)
                if worker.share.gpus:
                    self._end(worker)
            yield artifact, message

    def _needs(self, artifact: Artifact) -> Resources:
        needs, machine = needs_of(artifact, self._compute), self._machine
        return replace(
            needs,
            gpus=needs.gpus if machine.gpus else 0,
            cpus=min(needs.cpus, int(machine.cpus)),
            memory_gb=min(needs.memory_gb, machine.memory_gb),
        )

    def _environment(self, artifact: Artifact, share: Share) -> dict[str, str]:
        gpus = {"CUDA_VISIBLE_DEVICES": ",".join(share.gpus)} if self._machine.gpus else {}
        return {**threads_of(threads_for(artifact, share.needs, self._compute)), **gpus}

    def _end(self, worker: "_Worker") -> None:
        self._workers.remove(worker)
        worker.kill()


class _Worker:
    """The parent's end of one worker process."""

    def __init__(self, store: Store, limits: Limits, compute: Compute, environment: dict[str, str]) -> None:
        self._store, self.environment = store, environment
        self.share = Share(Resources())
        self.artifact: Artifact | None = None
        self.connection, theirs = Pipe()
        self._process = spawn(_work, (theirs, store, limits, compute), environment)
        theirs.close()  # so that the worker's death shows as end of file

    def start(self, artifact: Artifact, share: Share) -> None:
        self.artifact, self.share = artifact, share
        with contextlib.suppress(OSError):  # if it died while idle, receive says so
            self.connection.send_bytes(pickle.dumps(artifact))

    def receive(self) -> tuple[Artifact, StepMessage]:
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
        what = printed(log_of(self._store, self.artifact)) if self.artifact else ""
        return f"the worker process of step {self.artifact} {how}{why}; finished steps are kept{what}"


def _work(connection: Connection, store: Store, limits: Limits, compute: Compute) -> None:
    """Run the worker process: make one artifact after the other until it is killed."""
    while True:
        try:
            task = connection.recv_bytes()
        except EOFError:
            return
        connection.send(attempt(task, store, limits, compute, connection.send))
        tidy()


def tidy() -> None:
    """Free what a step has left in this process."""
    gc.collect()  # models lie in reference cycles
    gc.freeze()  # the libraries stay: looking through them again would cost more than most steps


def attempt(
    task: bytes, store: Store, limits: Limits, compute: Compute, report: Callable[[Event], None]
) -> Done | Failed:
    """Make the artifact that `task` is the pickle of. Its output goes to a log, which is kept if it fails."""
    try:
        artifact: Artifact = pickle.loads(task)
    except Exception:  # the module of a parameter's class cannot be imported
        return Failed(f"a worker process cannot read its task\n{traceback.format_exc()}", by_user=False)
    log = log_of(store, artifact)
    try:
        print_to(log)
        built = store.build(artifact, report, limits, compute)
        log.unlink(missing_ok=True)
        return Done(built, store.record(artifact)["seconds"])
    except UserError as error:
        log.unlink(missing_ok=True)
        return Failed(str(error), by_user=True)
    except Exception as error:
        if full := disk_full_error(error, store.root):
            with contextlib.suppress(OSError):
                log.unlink(missing_ok=True)
            return Failed(str(full), by_user=True)
        return Failed(f"step {artifact} failed{printed(log)}\n{traceback.format_exc().rstrip()}", by_user=False)


def log_of(store: Store, artifact: Artifact) -> Path:
    """Return the log of a step, there until it has ended well."""
    return store.logs / f"{artifact.step}-{artifact.key}.log"


def printed(log: Path) -> str:
    """Return a remark on where to read a failed step's output, if it printed any."""
    return f"; it printed: {log}" if log.exists() and log.stat().st_size else ""

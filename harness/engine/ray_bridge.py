"""The use of Ray: it gives each step to a node that has room, and runs those of lost nodes again.

`Cluster` is the command's connection to it, `make` the task that runs on a node.
"""

import logging
import os
import pickle
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.engine.artifacts import Artifact
from harness.engine.compute import Compute, Resources
from harness.engine.executor import Done, Failed, ResourcePool, StepMessage
from harness.engine.limits import Limits
from harness.engine.main_memory import GIB
from harness.engine.processes import threads_of
from harness.engine.progress import Event, Note
from harness.engine.store import Store
from harness.engine.workers import attempt, tidy
from harness.errors import UserError, WorkerDied

RETRIES = 3
"""How often Ray runs a step again whose node is lost or whose process is killed."""
GONE_SECONDS = 30.0
"""Without an answer, after which the cluster is gone. Ray itself would end this process after 60."""
NODES_SECONDS = 2.0
"""Between looks at the nodes."""
MAX_FOR_SOCKETS = 38
"""Characters of the folder that holds a cluster's own, so that the names of its sockets stay below the system's 108."""


@dataclass(frozen=True, slots=True)
class TaskContext:
    """The context that every task of a run is given."""

    store: Store
    marker: Path
    """A file in the run directory: a node that does not see it does not share that."""
    limits: Limits
    compute: Compute
    working_folder: Path
    """Where the command was given: what references that are relative paths, as they stand in keys, start from."""
    environment: Mapping[str, str]
    home: str = ""
    """The node of the command."""


class EventQueue:
    """An actor on the command's node, to which steps say how far they are."""

    def __init__(self) -> None:
        self._events: list[tuple[str, Event]] = []
        self._begun: set[str] = set()

    def begin(self, key: str, node: str) -> None:
        """Note that the step `key` begins on `node`, for the first time or once more."""
        if key in self._begun:
            self.put(key, Note(f"its node was lost, or its process killed; it starts again on {node}"))
        self._begun.add(key)

    def put(self, key: str, event: Event) -> None:
        """Queue an event of the step `key`."""
        self._events.append((key, event))

    def drain(self) -> list[tuple[str, Event]]:
        """Return the events since the last call."""
        events, self._events = self._events, []
        return events


class Cluster:
    """The command's connection to a Ray cluster."""

    def __init__(self, address: str, jobs: int, context: TaskContext) -> None:
        """Connect to the cluster at `address`; else to one that runs on this machine; else to a new one with `jobs`
        processors.

        Raises UserError where that fails.
        """
        self._address = address
        _connect(address, jobs)
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        at = ray.get_runtime_context()
        self._head, home = at.gcs_address, at.get_node_id()
        self._context = replace(context, home=home)
        here = NodeAffinitySchedulingStrategy(home, soft=False)
        self._events = ray.remote(EventQueue).options(num_cpus=0, max_restarts=-1, scheduling_strategy=here).remote()
        self._make = ray.remote(make)
        self._make_on_gpus = ray.remote(max_calls=1)(make)  # what a step leaves on them goes with its process
        self._running: dict[Any, Artifact] = {}
        self._nodes: list[ResourcePool] = []
        self._seen_at = self._look_at = time.monotonic()

    def close(self) -> None:
        """End all tasks, and the cluster if it was started here."""
        import ray

        ray.shutdown()

    @property
    def running(self) -> list[Artifact]:
        """Whatever was submitted and has not ended."""
        return list(self._running.values())

    def nodes(self) -> list[ResourcePool]:
        """Return the nodes that are up, idle or not, as seen not long ago.

        Raises UserError when the cluster has gone away.
        """
        import ray

        now = time.monotonic()
        if now >= self._look_at:
            if _listens(self._head):  # else Ray would wait for it
                self._nodes = [_machine(node["Resources"]) for node in ray.nodes() if node["Alive"]]
                self._seen_at = now
            elif now > self._seen_at + GONE_SECONDS:
                raise self._gone()
            self._look_at = now + NODES_SECONDS
        return self._nodes

    def submit(self, artifact: Artifact, needs: Resources, threads: int) -> None:
        """Let Ray run the step on a node with room for it, as soon as there is one."""
        task = (self._make_on_gpus if needs.gpus else self._make).options(
            num_cpus=needs.cpus,
            num_gpus=needs.gpus,
            memory=int(needs.memory_gb * GIB) or None,
            max_retries=RETRIES,
            runtime_env={"env_vars": threads_of(threads)},
            name=str(artifact),
        )
        self._running[task.remote(artifact.key, pickle.dumps(artifact), self._context, self._events)] = artifact

    def messages(self, timeout: float) -> Iterator[tuple[Artifact, StepMessage]]:
        """Yield the messages of running steps, once one has ended or after `timeout` seconds.

        Raises WorkerDied for a step whose node or process was lost too often, UserError when the cluster has gone away.
        """
        import ray

        if not self._running:
            return
        ended, _ = ray.wait(list(self._running), timeout=timeout)
        by_key = {artifact.key: artifact for artifact in self.running}
        for key, event in self._drain():  # an ended step has said everything before
            if key in by_key:
                yield by_key[key], event
        for reference in ended:
            artifact = self._running.pop(reference)
            yield artifact, self._outcome(artifact, reference)

    def _drain(self) -> list[tuple[str, Event]]:
        import ray

        try:
            events: list[tuple[str, Event]] = ray.get(self._events.drain.remote(), timeout=GONE_SECONDS)
        except (ray.exceptions.ActorUnavailableError, ray.exceptions.GetTimeoutError):  # it starts, perhaps again
            return []
        except ray.exceptions.RayError:
            raise self._gone() from None
        return events

    def _outcome(self, artifact: Artifact, reference: Any) -> Done | Failed:
        import ray
        from ray import exceptions

        try:
            outcome: Done | Failed = ray.get(reference)
        except exceptions.LocalRayletDiedError:
            raise self._gone() from None
        except (exceptions.NodeDiedError, exceptions.WorkerCrashedError, exceptions.OutOfMemoryError):
            raise WorkerDied(
                f"step {artifact} has lost its node, or its process there was killed, {1 + RETRIES} times, perhaps"
                " because memory ran out; finished steps are kept"
            ) from None
        except exceptions.RayError as error:
            return Failed(f"Ray could not run step {artifact}\n{error}", by_user=False)
        return outcome

    def _gone(self) -> UserError:
        where = f" at {self._address}" if self._address else ""
        return UserError(
            f"the Ray cluster{where} has gone away; finished steps are kept, and the same command goes on from there"
            " once it is back"
        )


def _connect(address: str, jobs: int) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    try:
        _init(address, jobs)
    except Exception as error:
        why = str(error).strip().partition("\n")[0] or type(error).__name__
        where = f"no connection to the Ray cluster at {address}" if address else "Ray did not start here"
        raise UserError(f"{where} ({why}); see that it is up (`ray status`), or give another --ray-address") from None
    finally:
        signal.signal(signal.SIGTERM, handler)  # Ray has put one of its own in its place


def _init(address: str, jobs: int) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "2")  # of 40 seconds, where another program listens
    if len(tempfile.gettempdir()) > MAX_FOR_SOCKETS:
        os.environ.setdefault("RAY_TMPDIR", "/tmp")
    import ray

    if address.rpartition(":")[2].isdecimal() and not _listens(address):
        raise ConnectionError("nothing listens there")
    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    try:
        ray.init(address=address or "auto", **quiet)
    except ConnectionError:
        if address:
            raise
        objects = 100 * 2**20  # bytes; artifacts are files
        ray.init(address="local", num_cpus=jobs, include_dashboard=False, object_store_memory=objects, **quiet)


def _listens(address: str) -> bool:
    """Return whether a connection to ``host:port`` is taken, within some seconds."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (OSError, OverflowError):
        return False
    return True


def _machine(node: Mapping[str, float]) -> ResourcePool:
    gpus = [str(number) for number in range(int(node.get("GPU", 0)))]
    return ResourcePool("", node.get("CPU", 0.0), gpus, node.get("memory", 0.0) / GIB)


# On a node


def make(key: str, task: bytes, context: TaskContext, events: Any) -> Done | Failed:
    """Make the artifact that `task` is the pickle of, and tell on the way how far it is to `events`, an EventQueue."""
    import ray

    os.environ.update(context.environment)
    ray.get(events.begin.remote(key, os.uname().nodename))
    try:
        enter(context.working_folder)
        store = store_here(context)
    except UserError as error:
        return Failed(str(error), by_user=True)

    def report(event: Event) -> None:
        ray.get(events.put.remote(key, event))  # it is there before the step has ended

    try:
        return attempt(task, store, context.limits, context.compute, report)
    finally:
        tidy()


def enter(folder: Path) -> None:
    """Make `folder` the working directory of this process. Raises UserError where the node does not have it."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise UserError(
            f"the node {os.uname().nodename} cannot work in {folder}, where the command was given ({error.strerror});"
            " run it in a folder that all nodes have under the same path"
        ) from None


def store_here(context: TaskContext) -> Store:
    """Return the run directory, or what this node has of the shared store.

    Raises UserError where it sees neither, or cannot write there.
    """
    import ray

    root, shared, node = context.store.root, context.store.shared, ray.get_runtime_context().get_node_id()
    if shared and node != context.home:
        root = shared.cache(node)
    elif not context.marker.exists():
        raise UserError(
            f"the node {os.uname().nodename} does not see the run directory {root}; put it on a file system that all"
            " nodes share (--run-dir), or share artifacts at a URL (--store)"
        )
    return Store(root, shared, remakes_stale=context.store.remakes_stale)

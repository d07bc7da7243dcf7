"""The process that is connected to a Ray cluster, and the tasks that it starts there.

A cluster that goes away ends the process that is connected to it, and what Ray has to say belongs into a log: hence a
process of its own. It is told which node takes which step, and tells what becomes of them.
"""

import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from harness.engine.compute import Compute, Resources
from harness.engine.executor import Failed, StepMessage
from harness.engine.limits import Limits
from harness.engine.main_memory import GIB
from harness.engine.processes import print_to, threads_of
from harness.engine.progress import Advance, Event, Note, Waiting
from harness.engine.shared_store import SharedStore
from harness.engine.store import Store
from harness.engine.workers import attempt, tidy
from harness.errors import UserError

TIME_TO_KNOCK = 10.0
"""Seconds in which the head of a cluster takes a connection."""

# What the bridge and its parent say to each other


@dataclass(frozen=True, slots=True)
class Start:
    """Run the step `key` on `node`; `task` is the pickled artifact."""

    key: str
    task: bytes
    node: str
    needs: Resources
    threads: int


@dataclass(frozen=True, slots=True)
class Node:
    """A node that is up; `memory` is in bytes."""

    id: str
    name: str
    cpus: float
    gpus: int
    memory: float


@dataclass(frozen=True, slots=True)
class Nodes:
    """All nodes that are up now. Said every few seconds."""

    up: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """What the step `key` says."""

    key: str
    message: StepMessage


@dataclass(frozen=True, slots=True)
class Lost:
    """The node of the step `key` is lost."""

    key: str


@dataclass(frozen=True, slots=True)
class Crashed:
    """The process of the step `key` ended, on a node that is up."""

    key: str
    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """There is no connection to a cluster."""

    why: str


@dataclass(frozen=True, slots=True)
class Errand:
    """What every task of a run is given."""

    root: Path
    shared: SharedStore | None
    remakes_stale: bool
    marker: Path
    limits: Limits
    compute: Compute
    home: str
    """The node of the command, which has the run directory."""
    working_folder: Path
    """Where the command was given: what references that are relative paths, as they stand in keys, start from."""
    environment: Mapping[str, str]


# The process


def bridge(connection: Connection, log: Path, address: str, jobs: int, errand: Errand) -> None:
    """The process that is connected to the cluster."""
    print_to(log)
    try:
        _connect(address, jobs)
    except BaseException as error:
        connection.send(Refused(str(error).strip().partition("\n")[0] or type(error).__name__))
        return
    import ray

    try:
        _Bridge(connection, errand).serve()
    finally:
        ray.shutdown()


def _connect(address: str, jobs: int) -> None:
    """Connects to the cluster at `address`; else to one that runs on this machine; else starts one here."""
    import ray

    if address:
        _knock(address)
    quiet = {"log_to_driver": False, "configure_logging": False, "logging_level": "CRITICAL"}
    try:
        ray.init(address=address or "auto", **quiet)
    except ConnectionError:
        if address:
            raise
        ray.init(
            address="local",
            num_cpus=jobs,
            include_dashboard=False,
            object_store_memory=100 * 2**20,  # artifacts are files
            **quiet,
        )


def _knock(address: str) -> None:
    """Raises ConnectionError where nothing listens at ``host:port``: Ray itself would try for two minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):
        return  # "auto", or what Ray alone understands
    try:
        socket.create_connection((host, int(port)), TIME_TO_KNOCK).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(f"nothing listens there: {error}") from None


class Mailbox:
    """An actor on the command's node, to which tasks tell how far they are."""

    def __init__(self) -> None:
        self._events: list[tuple[str, Event]] = []

    def put(self, key: str, event: Event) -> None:
        """The step `key` says `event`."""
        self._events.append((key, event))

    def drain(self) -> list[tuple[str, Event]]:
        """What has come since the last time."""
        events, self._events = self._events, []
        return events


class _Bridge:
    """Starts tasks as it is told, and tells what becomes of them."""

    _POLL, _NODES_EVERY, _TIME_TO_NOTICE = 0.1, 2.0, 30.0
    """Seconds: between looks at pipe and tasks; between looks at the nodes; until Ray has noticed a node's death."""

    def __init__(self, connection: Connection, errand: Errand) -> None:
        import ray

        self._connection = connection
        home = ray.get_runtime_context().get_node_id()
        self._errand = replace(errand, home=home)
        self._new_mailbox = ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=_on(home)).remote
        self._open_mailbox()
        self._make = ray.remote(make)
        self._make_on_gpus = ray.remote(max_calls=1)(make)  # what a step leaves on them goes with its process
        self._running: dict[Any, Start] = {}
        self._in_doubt: dict[str, tuple[Start, float]] = {}
        self._up: frozenset[str] = frozenset()
        self._nodes_at = float("-inf")

    def serve(self) -> None:
        """Until the parent says None or is gone."""
        while True:
            self._look_at_nodes()
            while self._connection.poll(0 if self._running else self._POLL):
                try:
                    start = self._connection.recv()
                except EOFError:
                    start = None
                if start is None:
                    self._cancel()
                    return
                self._start(start)
            self._look_at_tasks()

    def _open_mailbox(self) -> None:
        self._mailbox = self._new_mailbox()
        self._mail = self._mailbox.drain.remote()

    def _start(self, start: Start) -> None:
        needs = start.needs
        function = self._make_on_gpus if needs.gpus else self._make
        task = function.options(
            num_cpus=needs.cpus,
            num_gpus=needs.gpus,
            memory=int(needs.memory_gb * GIB) or None,
            max_retries=0,
            scheduling_strategy=_on(start.node),
            runtime_env={"env_vars": threads_of(start.threads)},
            name=start.key,
        )
        self._running[task.remote(start.key, start.task, start.node, self._errand, self._mailbox)] = start

    def _look_at_tasks(self) -> None:
        import ray

        if not self._running:
            return
        ended, _ = ray.wait(list(self._running), timeout=self._POLL)
        self._look_at_mail()
        for reference in ended:
            start = self._running.pop(reference)
            for said in self._outcome(start, reference):
                self._connection.send(said)

    def _look_at_mail(self) -> None:
        """Progress only, so that nothing waits for it, and nothing ends where Ray has lost the mailbox."""
        import ray

        if not ray.wait([self._mail], timeout=0)[0]:
            return
        try:
            for key, event in ray.get(self._mail):
                self._connection.send(Said(key, event))
            self._mail = self._mailbox.drain.remote()
        except ray.exceptions.RayError:
            self._open_mailbox()

    def _outcome(self, start: Start, reference: Any) -> Sequence[Said | Lost | Crashed]:
        import ray
        from ray import exceptions

        try:
            return [Said(start.key, message) for message in ray.get(reference)]
        except (exceptions.NodeDiedError, exceptions.TaskUnschedulableError):
            return [Lost(start.key)]
        except exceptions.OutOfMemoryError:
            return [Crashed(start.key, "memory ran out on the node")]
        except exceptions.WorkerCrashedError:
            self._in_doubt[start.key] = start, time.monotonic() + self._TIME_TO_NOTICE
            return []
        except exceptions.RayError as error:
            return [Said(start.key, Failed(f"Ray could not run a step\n{error}", by_user=False))]

    def _look_at_nodes(self) -> None:
        import ray

        now = time.monotonic()
        if now < self._nodes_at + self._NODES_EVERY:
            return
        self._nodes_at = now
        up = tuple(_node(each) for each in ray.nodes() if each["Alive"])
        self._up = frozenset(node.id for node in up)
        self._connection.send(Nodes(up))
        for key, (start, deadline) in list(self._in_doubt.items()):
            if start.node not in self._up:
                self._connection.send(Lost(key))
            elif now > deadline:
                self._connection.send(Crashed(key, "killed, perhaps because memory ran out"))
            else:
                continue
            del self._in_doubt[key]

    def _cancel(self) -> None:
        import ray

        for reference in self._running:
            with suppress(Exception):
                ray.cancel(reference, force=True)


def _on(node: str) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node, soft=False)


def _node(told: Mapping[str, Any]) -> Node:
    there = told["Resources"]
    return Node(
        told["NodeID"],
        told["NodeManagerHostname"] or told["NodeManagerAddress"],
        there.get("CPU", 0),
        int(there.get("GPU", 0)),
        there.get("memory", 0),
    )


# On a node


def make(key: str, task: bytes, node: str, errand: Errand, mailbox: Any) -> list[StepMessage]:
    """The task: makes the artifact in a worker process of `node`. What the step says that must not be lost, and how it
    ended."""
    os.environ.update(errand.environment)
    told: list[Event] = []

    def report(event: Event) -> None:
        if told and isinstance(event, Advance) and isinstance(told[-1], Advance):
            told.pop()
        told.append(event)
        if not isinstance(event, Note):
            mailbox.put.remote(key, event)

    try:
        _go_to(errand.working_folder)
        store = _store(node, errand)
    except UserError as error:
        return [Failed(str(error), by_user=True)]
    try:
        outcome = attempt(task, store, errand.limits, errand.compute, report)
    finally:
        tidy()
    return [*(event for event in told if not isinstance(event, Waiting)), outcome]


def _go_to(folder: Path) -> None:
    """Makes `folder` this process's working directory."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise UserError(
            f"the node {os.uname().nodename} cannot work in {folder}, where the command was given ({error.strerror});"
            " run it in a folder that all nodes have under the same path"
        ) from None


def _store(node: str, errand: Errand) -> Store:
    """The run directory, or what this node has of the shared store."""
    if errand.shared and node != errand.home:
        return Store(errand.shared.cache(node), errand.shared, remakes_stale=errand.remakes_stale)
    if not errand.marker.exists():
        raise UserError(
            f"the node {os.uname().nodename} does not see the run directory {errand.root}; put it on a file system"
            " that all nodes share (--run-dir), or share artifacts at a URL (--store)"
        )
    return Store(errand.root, errand.shared, remakes_stale=errand.remakes_stale)

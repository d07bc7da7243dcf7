"""Steps as tasks of a Ray cluster: which node takes which step, and what becomes of the steps of a node that is lost.

Ray itself is in a process of its own (`harness.engine.ray_bridge`), which starts tasks as it is told here.
"""

import importlib.util
import os
import pickle
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Pipe, wait
from pathlib import Path
from types import TracebackType
from uuid import uuid4

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
    needs_of,
    side_by_side,
    threads_for,
    work_of,
)
from harness.engine.limits import Limits
from harness.engine.locks import locked
from harness.engine.main_memory import GIB
from harness.engine.processes import spawn, threads_of
from harness.engine.progress import Note
from harness.engine.ray_bridge import Crashed, Errand, Lost, Nodes, Refused, Said, Start, bridge
from harness.engine.store import Store
from harness.engine.workers import Workers
from harness.errors import UserError, WorkerDied

TIME_TO_CONNECT = 120.0
"""Seconds that a cluster may take to answer, or to start on this machine."""
TIME_TO_JOIN = 30.0
"""Seconds that nodes which a step needs may join later than the command starts."""
MAX_SILENCE = 150.0
"""Seconds without a word of the cluster after which it is gone. Ray gives it up after 60 by itself."""
PATIENCE = 600.0
"""Seconds to wait for a lost node to be replaced, while a step fits on no other."""
MAX_LOSSES = 3
"""A step whose node is lost more often is taken to be what brings them down."""
MAX_FOR_SOCKETS = 38
"""Characters of the folder that holds a cluster's own, so that the names of its sockets stay below the system's 108."""
TIME_TO_STOP = 15.0
"""Seconds for running tasks to be cancelled, and for a cluster of our own to stop."""
FORWARDED = ("HARNESS_", "HF_", "HUGGINGFACE_", "TRANSFORMERS_", "VLLM_")
"""Variables of the command's environment that its steps have on every node begin with one of these.

None of an endpoint's: the steps that ask one run beside the command, and its key stays there.
"""


@dataclass(slots=True)
class _Running:
    artifact: Artifact
    node: str
    share: Share


@dataclass(slots=True)
class _Cluster:
    """The nodes that are up, with what is free on each."""

    machines: dict[str, ResourcePool] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """Of lost nodes too."""
    lost: set[str] = field(default_factory=set)

    def update(self, nodes: Nodes) -> None:
        """Ray notices after some seconds only that a node is down: what is lost stays lost."""
        up = {node.id: node for node in nodes.up if node.id not in self.lost}
        for gone in self.machines.keys() - up.keys():
            del self.machines[gone]
        for id, node in up.items():
            self.names[id] = node.name
            if id not in self.machines:
                gpus = tuple(map(str, range(node.gpus)))
                self.machines[id] = ResourcePool(node.name, node.cpus, gpus, node.memory / GIB)

    def lose(self, id: str) -> str:
        """The name of the node, which is not used again."""
        self.lost.add(id)
        self.machines.pop(id, None)
        return self.names[id]

    def has(self, needs: Resources) -> bool:
        """Whether there is a node that such a step fits on while it is idle."""
        return any(machine.has(needs) for machine in self.machines.values())

    def fits(self, needs: Resources) -> bool:
        """Whether there is one that it fits on now."""
        return any(machine.fits(needs) for machine in self.machines.values())

    def take(self, needs: Resources) -> tuple[str, Share]:
        """Gives the step the node that has least left and yet enough."""
        fitting = [id for id, machine in self.machines.items() if machine.fits(needs)]
        node = min(fitting, key=lambda id: self.machines[id].free_capacity)
        return node, self.machines[node].take(needs)

    def give_back(self, node: str, share: Share) -> None:
        """Frees what a step had, if its node is still there."""
        if node in self.machines:
            self.machines[node].give_back(share)

    def share_of(self, needs: Resources) -> float:
        """The part of the cluster that such a step occupies."""
        able = [machine for machine in self.machines.values() if machine.has(needs)]
        return 1 / sum(1 / machine.share_of(needs) for machine in able)

    def __str__(self) -> str:
        alike = Counter(str(machine).removeprefix(machine.name) for machine in self.machines.values())
        nodes = [f"{count} node{'s' * (count != 1)}{what}" for what, count in alike.items()]
        return " and ".join(nodes) or "no node"


class RayExecutor(Executor):
    """Runs steps on the nodes of a Ray cluster, each on one node that has what it needs.

    Steps that ask an endpoint run beside the command: the key is there, and so is the record of paid replies, by which
    the limits of rate and spending hold for the whole run.
    """

    def __init__(self, store: Store, jobs: int, limits: Limits | None = None, compute: Compute | None = None) -> None:
        """`jobs`: how many processors of this machine may be used, by steps that ask and by a cluster started here.

        Raises UserError where Ray is not installed.
        """
        if not _is_installed():
            raise UserError(
                "--executor ray needs Ray, which is not installed; pip install 'preference-harness[ray]' on every node"
            )
        self._store, self._compute = store, compute or Compute()
        self._address = self._compute.ray_address or os.environ.get("RAY_ADDRESS") or ""
        if self._address.startswith("ray://"):
            raise UserError(
                f"{self._address} is for Ray's client; run harness on a node of the cluster, with the address of"
                " `ray start --head`, such as 10.0.0.1:6379"
            )
        self._jobs, self._limits = jobs, limits or Limits()
        self._beside = Workers(store, jobs, limits, replace(self._compute, resources={}))
        self._cluster = _Cluster()
        self._running: dict[str, _Running] = {}
        self._again: list[Artifact] = []
        self._losses: Counter[str] = Counter()
        self._short_since: dict[str, float] = {}
        self._log = Path(tempfile.gettempdir()) / f"ray-{uuid4().hex}.log"
        self._marker = store.root / ".locks" / f"run-{uuid4().hex}.lock"
        self._marked = locked(self._marker)

    def __enter__(self) -> "RayExecutor":
        self._marker.parent.mkdir(exist_ok=True)
        self._marked.__enter__()
        self._pipe, theirs = Pipe()
        errand = Errand(
            self._store.root,
            self._store.shared,
            self._store.remakes_stale,
            self._marker,
            self._limits,
            self._compute,
            home="",
            working_folder=Path.cwd(),
            environment={name: value for name, value in os.environ.items() if name.startswith(FORWARDED)},
        )
        environment = {"RAY_USAGE_STATS_ENABLED": "0", **threads_of(1), **_place_for_sockets()}
        self._bridge = spawn(bridge, (theirs, self._log, self._address, self._jobs, errand), environment)
        theirs.close()
        self._heard = time.monotonic()
        try:
            self._await_nodes()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._beside.__exit__(kind, error, at)
        self._stop()

    def prepare(self, steps: Sequence[Artifact]) -> float:
        """Raises UserError, naming what the cluster has, where no node has what a step needs."""
        wanted = [(step, self._needs(step)) for step in steps if not self._asks(step)]
        deadline = time.monotonic() + TIME_TO_JOIN
        while short := next(((step, needs) for step, needs in wanted if not self._cluster.has(needs)), None):
            if time.monotonic() > deadline:
                raise self._too_small(*short)
            if self._pipe.poll(0.5):
                list(self._heed(self._receive()))
        return side_by_side(self._cluster.share_of(needs) for _, needs in wanted)

    def pick(self, ready: Sequence[Artifact]) -> Artifact | None:
        """Which of `ready` has room now. Steps of lost nodes go before them, and are started by themselves.

        Raises UserError for a step that has fitted on no node for long.
        """
        asking = [artifact for artifact in ready if self._asks(artifact)]
        if picked := self._beside.pick(asking):
            return picked
        return self._next([artifact for artifact in ready if not self._asks(artifact)])

    def _next(self, ready: Sequence[Artifact]) -> Artifact | None:
        """Which of `ready` has room on a node, once the steps of lost nodes have been started again."""
        self._mind_what_fits_nowhere([*self._again, *ready])
        while (chosen := in_turn([*self._again, *ready], self._needs, self._cluster.fits)) in self._again:
            assert chosen is not None
            self._again.remove(chosen)
            self.start(chosen)
        return chosen

    def start(self, artifact: Artifact) -> None:
        """Gives the step to a node that has room, or to a process of this machine where it asks an endpoint."""
        if self._asks(artifact):
            self._beside.start(artifact)
            return
        needs = self._needs(artifact)
        node, share = self._cluster.take(needs)
        self._running[artifact.key] = _Running(artifact, node, share)
        threads = threads_for(artifact, needs, self._compute)
        with suppress(OSError):  # if the bridge has ended, messages says so
            self._pipe.send(Start(artifact.key, pickle.dumps(artifact), node, needs, threads))

    def messages(self, timeout: float) -> Iterator[tuple[Artifact, StepMessage]]:
        """What running steps say within `timeout` seconds.

        Raises WorkerDied when the process of a step has ended on a node that is up, or its node was lost too often;
        UserError when the cluster has gone away.
        """
        self._next([])
        readable = wait([self._pipe, *self._beside.connections], timeout)
        yield from self._beside.messages(0)
        if self._pipe in readable:
            yield from self._heed(self._receive())
            while self._pipe.poll():
                yield from self._heed(self._receive())
        elif time.monotonic() - self._heard > MAX_SILENCE:
            raise self._gone()

    def _heed(self, said: object) -> Iterator[tuple[Artifact, StepMessage]]:
        if isinstance(said, Nodes):
            self._cluster.update(said)
        elif isinstance(said, Said) and said.key in self._running:
            running = self._running[said.key]
            if isinstance(said.message, (Done, Failed)):
                self._release(said.key)
                self._see_what_others_wrote(running.artifact)
            yield running.artifact, said.message
        elif isinstance(said, Crashed):
            running = self._running[said.key]
            where = self._cluster.machines[running.node].name if running.node in self._cluster.machines else "a node"
            raise WorkerDied(
                f"the worker process of step {running.artifact} on {where} ended ({said.why}); finished steps are kept"
            )
        elif isinstance(said, Lost):
            yield self._recover(said.key)

    def _recover(self, key: str) -> tuple[Artifact, StepMessage]:
        """Has the step of a lost node start again."""
        running = self._release(key)
        name = self._cluster.lose(running.node)
        self._losses[key] += 1
        if self._losses[key] > MAX_LOSSES:
            raise WorkerDied(
                f"step {running.artifact} has lost its node {self._losses[key]} times, the last of them {name}, perhaps"
                " because memory ran out there; finished steps are kept"
            )
        self._again.append(running.artifact)
        return running.artifact, Note(f"{name} is lost, the step starts again on another node")

    def _release(self, key: str) -> _Running:
        running = self._running.pop(key)
        self._cluster.give_back(running.node, running.share)
        return running

    def _see_what_others_wrote(self, artifact: Artifact) -> None:
        """A network file system may remember for a while that a file was not there; listing its folder mends that."""
        with suppress(OSError):
            os.listdir(self._store.folder(artifact).parent)

    def _mind_what_fits_nowhere(self, artifacts: Sequence[Artifact]) -> None:
        """Nodes that were there when the run started may be lost. They may be replaced, but need not be."""
        now = time.monotonic()
        short = {one.key: one for one in artifacts if not self._cluster.has(self._needs(one))}
        self._short_since = {key: self._short_since.get(key, now) for key in short}
        for key, since in self._short_since.items():
            if now - since > PATIENCE:
                raise self._too_small(short[key], self._needs(short[key]))

    def _too_small(self, step: Artifact, needs: Resources) -> UserError:
        return UserError(
            f"no node of the Ray cluster has what step {step} needs, {format_resources(needs)}:"
            f" there is {self._cluster}; add a node that has it,"
            " or change compute.resources of the scale; finished steps are kept"
        )

    def _asks(self, artifact: Artifact) -> bool:
        return work_of(artifact) == "asking"

    def _needs(self, artifact: Artifact) -> Resources:
        return needs_of(artifact, self._compute)

    def _await_nodes(self) -> None:
        while not self._cluster.machines:
            if not self._pipe.poll(max(0.0, self._heard + TIME_TO_CONNECT - time.monotonic())):
                raise self._no_cluster("no answer")
            try:
                said = self._pipe.recv()
            except (EOFError, OSError):
                raise self._no_cluster("the connection was closed") from None
            if isinstance(said, Refused):
                raise self._no_cluster(said.why)
            if isinstance(said, Nodes):
                self._cluster.update(said)

    def _receive(self) -> object:
        try:
            said: object = self._pipe.recv()
        except (EOFError, OSError):
            raise self._gone() from None
        self._heard = time.monotonic()
        return said

    def _no_cluster(self, why: str) -> UserError:
        where = f"no connection to the Ray cluster at {self._address}" if self._address else "Ray did not start here"
        return UserError(f"{where} ({why}); see that it is up (`ray status`), or give another --ray-address")

    def _gone(self) -> UserError:
        kept = self._store.logs / self._log.name
        kept.parent.mkdir(exist_ok=True)
        with suppress(OSError):
            shutil.copyfile(self._log, kept)
        where = f" at {self._address}" if self._address else ""
        return UserError(
            f"the Ray cluster{where} has gone away; finished steps are kept, and the same command goes on from there"
            f" once it is back; what Ray says: {kept}"
        )

    def _stop(self) -> None:
        """Ends what runs, also where the cluster does not answer any more."""
        with suppress(OSError):
            self._pipe.send(None)
        self._bridge.join(TIME_TO_STOP)
        self._bridge.kill()
        self._bridge.join()
        self._pipe.close()
        self._marked.__exit__(None, None, None)
        self._log.unlink(missing_ok=True)


def _place_for_sockets() -> dict[str, str]:
    """Where a cluster that is started here lies, if it is not the folder for temporary files: the names of sockets are
    short."""
    is_short = len(tempfile.gettempdir()) <= MAX_FOR_SOCKETS
    return {} if is_short or "RAY_TMPDIR" in os.environ else {"RAY_TMPDIR": "/tmp"}


def _is_installed() -> bool:
    return importlib.util.find_spec("ray") is not None

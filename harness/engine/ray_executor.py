"""Steps as tasks of a Ray cluster (`harness.engine.ray_bridge`), except those that ask an endpoint."""

import importlib.util
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from uuid import uuid4

from harness.engine.artifacts import Artifact
from harness.engine.compute import Compute, Resources
from harness.engine.executor import (
    Done,
    Executor,
    ResourcePool,
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
from harness.engine.ray_bridge import Cluster, TaskContext
from harness.engine.store import Store
from harness.engine.workers import Workers
from harness.errors import UserError

JOIN_SECONDS = 30.0
"""For nodes which a step needs to join after the command has started."""
REPLACE_SECONDS = 600.0
"""For a lost node to be replaced, while a step fits on no other."""
POLL_SECONDS = 0.1
"""Between looks at what steps say."""
FORWARDED = ("HARNESS_", "HF_", "HUGGINGFACE_", "TRANSFORMERS_", "VLLM_")
"""Variables of the command's environment that its steps have on every node begin with one of these.

None of an endpoint's: the steps that ask one run beside the command, and its key stays there.
"""


class RayExecutor(Executor):
    """Runs steps on a Ray cluster, each on one node that has what it needs.

    Ray chooses the node, and is given no more steps than the cluster as a whole has room for: the most urgent come
    first, and a large one is not kept waiting by small ones for ever. Steps that ask an endpoint run beside the
    command: the key is there, and so is the record of paid replies, by which the limits of rate and spending hold for
    the whole run.
    """

    def __init__(self, store: Store, jobs: int, limits: Limits | None = None, compute: Compute | None = None) -> None:
        """Connect on first use; `jobs` processors of this machine may be used, by steps that ask and by a cluster
        started here.

        Raises UserError where Ray is not installed.
        """
        if importlib.util.find_spec("ray") is None:
            raise UserError(
                "--executor ray needs Ray, which is not installed; pip install 'preference-harness[ray]' on every node"
            )
        self._store, self._jobs = store, jobs
        self._limits, self._compute = limits or Limits(), compute or Compute()
        self._address = self._compute.ray_address or os.environ.get("RAY_ADDRESS") or ""
        if self._address.startswith("ray://"):
            raise UserError(
                f"{self._address} is for Ray's client; run harness on a node of the cluster, with the address of"
                " `ray start --head`, such as 10.0.0.1:6379"
            )
        self._beside = Workers(store, jobs, limits, replace(self._compute, resources={}))
        self._placed_at = time.monotonic()

    def __enter__(self) -> "RayExecutor":
        marker = self._store.root / ".locks" / f"run-{uuid4().hex}.lock"
        marker.parent.mkdir(exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if name.startswith(FORWARDED)}
        context = TaskContext(self._store, marker, self._limits, self._compute, Path.cwd(), environment)
        with ExitStack() as stack:
            stack.enter_context(locked(marker))
            stack.enter_context(redirect_stdout(stack.enter_context(open(os.devnull, "w"))))  # Ray's own telling
            self._cluster = Cluster(self._address, self._jobs, context)
            stack.callback(self._cluster.close)
            stack.enter_context(self._beside)
            self._exit = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._exit.__exit__(kind, error, at)

    def prepare(self, steps: Sequence[Artifact]) -> float:
        """Raise UserError, naming what the cluster has, where no node has what a step needs."""
        wanted = [step for step in steps if not _asks(step)]
        deadline = time.monotonic() + JOIN_SECONDS
        while unplaceable := self._unplaceable(wanted):
            if time.monotonic() > deadline:
                raise self._too_small(unplaceable)
            time.sleep(POLL_SECONDS)
        return side_by_side(self._whole().share_of(self._needs(step)) for step in wanted)

    def pick(self, ready: Sequence[Artifact]) -> Artifact | None:
        """Choose the one of `ready` that has room now: beside the command, or on the cluster."""
        asking = [artifact for artifact in ready if _asks(artifact)]
        if picked := self._beside.pick(asking):
            return picked
        return in_turn([artifact for artifact in ready if not _asks(artifact)], self._needs, self._fits)

    def start(self, artifact: Artifact) -> None:
        """Give the step to Ray, or to a process of this machine where it asks an endpoint."""
        if _asks(artifact):
            self._beside.start(artifact)
        else:
            needs = self._needs(artifact)
            self._cluster.submit(artifact, needs, threads_for(artifact, needs, self._compute))

    def messages(self, timeout: float) -> Iterator[tuple[Artifact, StepMessage]]:
        """Yield the messages of running steps within `timeout` seconds.

        Raises WorkerDied for a step whose node or process was lost too often; UserError when the cluster has gone
        away, or no node has had room for a step for long.
        """
        self._fail_unplaceable()
        yield from self._beside.messages(0 if self._cluster.running else timeout)
        for artifact, message in self._cluster.messages(min(timeout, POLL_SECONDS)):
            if isinstance(message, Done):
                self._refresh_directory_cache(artifact)
            yield artifact, message

    def _fail_unplaceable(self) -> None:
        """Raise UserError where a lost node was not replaced in time, and a running step fits on none that is left."""
        unplaceable = self._unplaceable(self._cluster.running)
        if unplaceable is None:
            self._placed_at = time.monotonic()
        elif time.monotonic() > self._placed_at + REPLACE_SECONDS:
            raise self._too_small(unplaceable)

    def _refresh_directory_cache(self, artifact: Artifact) -> None:
        """List the folder: a network file system may remember for a while that a file was not there."""
        with suppress(OSError):
            os.listdir(self._store.folder(artifact).parent)

    def _unplaceable(self, steps: Sequence[Artifact]) -> Artifact | None:
        """Return the first of `steps` that fits on no node, however idle."""
        return next((step for step in steps if not self._is_placeable(self._needs(step))), None)

    def _is_placeable(self, needs: Resources) -> bool:
        return any(node.has(needs) for node in self._cluster.nodes())

    def _fits(self, needs: Resources) -> bool:
        """Return whether the cluster has room for such a step beside those that run; Ray waits for a node where none
        could."""
        free = self._whole()
        for other in map(self._needs, self._cluster.running):
            if self._is_placeable(other):
                free.take(other)
        return free.fits(needs) or not self._is_placeable(needs)

    def _whole(self) -> ResourcePool:
        """Return all nodes as one machine, on which nothing runs."""
        nodes = self._cluster.nodes()
        gpus = [str(number) for number in range(sum(len(node.gpus) for node in nodes))]
        return ResourcePool("", sum(node.cpus for node in nodes), gpus, sum(node.memory_gb for node in nodes))

    def _too_small(self, step: Artifact) -> UserError:
        needs, nodes = self._needs(step), self._cluster.nodes()
        one_by_one = {
            "GPUs": Resources(gpus=needs.gpus, cpus=0),
            "processors": Resources(cpus=needs.cpus),
            "memory": Resources(cpus=0, memory_gb=needs.memory_gb),
        }
        lacking = [name for name, need in one_by_one.items() if not self._is_placeable(need)] or ["of all at once"]
        there = [f"{count}{resources}" for resources, count in Counter(map(str, nodes)).items()]
        return UserError(
            f"no node of the Ray cluster has enough {' and '.join(lacking)} for step {step}, which needs"
            f" {format_resources(needs)} (nodes: {', '.join(there)}); add a node that has it, or change the"
            " resources of the recipe's machine; finished steps are kept"
        )

    def _needs(self, artifact: Artifact) -> Resources:
        return needs_of(artifact, self._compute)


def _asks(artifact: Artifact) -> bool:
    return work_of(artifact) == "asking"

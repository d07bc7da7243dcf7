"""The executor protocol, and the account of which machine can take a step."""

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from harness.engine.artifacts import Artifact, find_step
from harness.engine.compute import Compute, Resources, Work
from harness.engine.main_memory import GIB, main_memory
from harness.engine.progress import Event
from harness.errors import HarnessError, StepFailed, UserError


@dataclass(frozen=True, slots=True)
class Done:
    """A step is made; `built` is False when another process had made it meanwhile."""

    built: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """A step raised: the one line of a UserError, or a traceback."""

    message: str
    by_user: bool

    def error(self) -> HarnessError:
        """Return the exception to raise in the parent."""
        return UserError(self.message) if self.by_user else StepFailed(self.message)


StepMessage = Event | Done | Failed


class Executor(AbstractContextManager["Executor"], Protocol):
    """A runner of steps. Leaving the context ends those that run, which is safe: the store holds whole artifacts."""

    def prepare(self, steps: Sequence[Artifact]) -> float:
        """Return how many of `steps`, all that a run has to make, run side by side on the average.

        Raises UserError where one of them needs what there is not.
        """
        ...

    def pick(self, ready: Sequence[Artifact]) -> Artifact | None:
        """Return one of `ready`, the most urgent first, that can be started now. Raises UserError as `prepare`."""
        ...

    def start(self, artifact: Artifact) -> None:
        """Start the step that was picked."""
        ...

    def messages(self, timeout: float) -> Iterator[tuple[Artifact, StepMessage]]:
        """Return the messages of running steps within `timeout` seconds.

        Raises WorkerDied when the process of one has ended.
        """
        ...


@dataclass(frozen=True, slots=True)
class Share:
    """A step's share of a machine; `gpus` are the names of its GPUs."""

    needs: Resources
    gpus: tuple[str, ...] = ()


class ResourcePool:
    """The free resources of a machine."""

    def __init__(self, name: str, cpus: float, gpus: Sequence[str] = (), memory_gb: float = float("inf")) -> None:
        """Start with everything free; `gpus` are the names of the GPUs, as in CUDA_VISIBLE_DEVICES."""
        self.name, self.cpus, self.memory_gb = name, cpus, memory_gb
        self.gpus = tuple(gpus)
        self._free_gpus = list(gpus)
        self._free_cpus, self._free_memory = cpus, memory_gb

    def __str__(self) -> str:
        return f"{self.name} with {_amount(len(self.gpus), self.cpus, self.memory_gb)}"

    def has(self, needs: Resources) -> bool:
        """Return whether a step of these needs fits while nothing else runs."""
        return needs.gpus <= len(self.gpus) and needs.cpus <= self.cpus and needs.memory_gb <= self.memory_gb

    def fits(self, needs: Resources) -> bool:
        """Return whether a step of these needs fits now."""
        enough = needs.cpus <= self._free_cpus and needs.memory_gb <= self._free_memory
        return enough and needs.gpus <= len(self._free_gpus)

    def take(self, needs: Resources) -> Share:
        """Occupy what a step needs, which must fit."""
        gpus = tuple(self._free_gpus[: needs.gpus])
        del self._free_gpus[: needs.gpus]
        self._free_cpus -= needs.cpus
        self._free_memory -= needs.memory_gb
        return Share(needs, gpus)

    def give_back(self, share: Share) -> None:
        """Free what `take` occupied."""
        self._free_gpus = sorted([*self._free_gpus, *share.gpus], key=self.gpus.index)
        self._free_cpus += share.needs.cpus
        self._free_memory += share.needs.memory_gb

    def share_of(self, needs: Resources) -> float:
        """Return the part of the machine that a step of these needs occupies, by what it is shortest of."""
        parts = [(needs.cpus, self.cpus), (needs.gpus, len(self.gpus)), (needs.memory_gb, self.memory_gb)]
        return max(need / there for need, there in parts if need)


def format_resources(needs: Resources) -> str:
    """Describe the machine, such as ``8 GPUs, 16 processors and 200 GiB of memory``."""
    return _amount(needs.gpus, needs.cpus, needs.memory_gb)


def _amount(gpus: int, cpus: float, memory_gb: float) -> str:
    parts = [f"{gpus} GPU{'s' * (gpus != 1)}", f"{cpus:g} processor{'s' * (cpus != 1)}"]
    parts += [f"{memory_gb:.0f} GiB of memory"] if 0 < memory_gb < float("inf") else []
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def needs_of(artifact: Artifact, compute: Compute) -> Resources:
    """Return the resources that the step of `artifact` occupies while it runs."""
    return compute.needs(work_of(artifact)) if compute.resources else Resources()


def threads_for(artifact: Artifact, needs: Resources, compute: Compute) -> int:
    """Return the threads of each process of the step: a training shares its processors among several."""
    processes = compute.processes if compute.resources and work_of(artifact) == "training" else 1
    return max(1, needs.cpus // processes)


def work_of(artifact: Artifact) -> Work:
    """Return the kind of work that makes `artifact`."""
    return find_step(artifact).work_of(artifact)


def in_turn(
    ready: Sequence[Artifact], needs: Callable[[Artifact], Resources], fits: Callable[[Resources], bool]
) -> Artifact | None:
    """Return the first of `ready` that fits.

    One that does not fit holds back those behind it, or small steps might keep it waiting for as long as there are any;
    but a step without GPUs may pass one that waits for GPUs.
    """
    waits_for_gpus = False
    for artifact in ready:
        wanted = needs(artifact)
        if waits_for_gpus and wanted.gpus:
            continue
        if fits(wanted):
            return artifact
        if not wanted.gpus:
            return None
        waits_for_gpus = True
    return None


def side_by_side(shares: Iterable[float]) -> float:
    """Return how many steps run at once on the average, where each occupies its share of all there is."""
    each = list(shares)
    return max(1.0, len(each) / sum(each)) if each else 1.0


def local_resources(cpus: int) -> ResourcePool:
    """Return the machine at hand, of which `cpus` processors may be used."""
    return ResourcePool("this machine", cpus, visible_gpus(), main_memory().total / GIB)


def visible_gpus() -> tuple[str, ...]:
    """Return those of CUDA_VISIBLE_DEVICES where it is set, else all that nvidia-smi lists."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(name.strip() for name in visible.split(",") if name.strip() not in ("", "-1"))
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(map(str, range(sum(line.startswith("GPU ") for line in listed.splitlines()))))

"""What is decided of steps on a cluster, without Ray: a list of nodes stands for it, on which steps end at once."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.engine import ray_bridge, ray_executor
from harness.engine.artifacts import Artifact
from harness.engine.compute import Compute, Resources
from harness.engine.executor import Done, Failed, ResourcePool, StepMessage
from harness.engine.limits import Limits
from harness.engine.pipeline import run
from harness.engine.progress import Note
from harness.engine.ray_bridge import EventQueue, TaskContext
from harness.engine.store import Store
from harness.errors import StepFailed, UserError, WorkerDied
from tests.engine.sample_steps import ask, ask_user, numbers, occupy, occupy_much, sample_graph

BIG = ResourcePool("", 16, [str(number) for number in range(8)], 512)
SMALL = ResourcePool("", 4, [], 16)
RESOURCES = {"training": Resources(gpus=8, cpus=16, memory_gb=256), "generation": Resources(gpus=1)}


class Cluster:
    """Stands for that of Ray: a step is made when it is asked what it says, unless `outcome` says how it ends."""

    def __init__(self) -> None:
        self.machines = [BIG, SMALL]
        self.running: list[Artifact] = []
        self.at_once: list[set[str]] = []
        """Names of the steps that Ray had at a time."""
        self.outcome: Callable[[Artifact], StepMessage | Exception | None] = lambda artifact: None

    def __call__(self, address: str, jobs: int, context: TaskContext) -> "Cluster":
        self.context = context
        return self

    def nodes(self) -> list[ResourcePool]:
        return self.machines

    def submit(self, artifact: Artifact, needs: Resources, threads: int) -> None:
        self.running.append(artifact)

    def messages(self, timeout: float) -> Iterator[tuple[Artifact, StepMessage]]:
        self.at_once.append({artifact.step for artifact in self.running})
        for artifact in list(self.running):
            outcome = self.outcome(artifact)
            if isinstance(outcome, Exception):
                raise outcome
            if outcome is None:
                self.context.store.build(artifact)
            if not isinstance(outcome, Note):
                self.running.remove(artifact)
            yield artifact, outcome or Done(True, 0.1)

    def close(self) -> None:
        self.running.clear()


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    monkeypatch.setattr(ray_executor, "Cluster", made)
    monkeypatch.setattr(ray_executor, "JOIN_SECONDS", 0.0)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return made


def compute(**settings: Any) -> Compute:
    return Compute(executor="ray", **{"resources": RESOURCES, **settings})


def test_ray_has_no_more_steps_than_the_cluster_has_room_for(cluster: Cluster, store: Store):
    run([occupy_much(), occupy(), *sample_graph()], store, jobs=1, compute=compute())
    assert {"occupy_much", "numbers"} in cluster.at_once or {"occupy", "numbers"} in cluster.at_once
    assert not any({"occupy_much", "occupy"} <= steps for steps in cluster.at_once)
    assert not list((store.root / ".locks").glob("run-*"))


def test_what_fits_on_no_node_is_one_line_before_anything_runs(cluster: Cluster, store: Store):
    cluster.machines = [SMALL, SMALL, ResourcePool("", 16, ["0"], 64)]
    with pytest.raises(UserError) as raised:
        run([occupy_much(after=[numbers(count=1)])], store, jobs=1, compute=compute())
    assert str(raised.value) == (
        "no node of the Ray cluster has enough GPUs and memory for step occupy_much, which needs 8 GPUs, 16 processors"
        " and 256 GiB of memory (nodes: 2 with 0 GPUs, 4 processors and 16 GiB of memory, 1 with 1 GPU, 16 processors"
        " and 64 GiB of memory); add a node that has it, or change the resources of the recipe's machine; finished"
        " steps are kept"
    )
    assert cluster.at_once == []


def test_what_no_node_has_at_once_is_one_line(cluster: Cluster, store: Store):
    cluster.machines = [ResourcePool("", 1, list("01234567"), 512), ResourcePool("", 16, [], 512)]
    with pytest.raises(UserError, match="has enough of all at once for step occupy_much, which needs 8 GPUs, 16 proc"):
        run([occupy_much()], store, jobs=1, compute=compute())


def test_a_node_that_is_needed_and_lost_is_waited_for_but_not_for_ever(
    cluster: Cluster, store: Store, monkeypatch: pytest.MonkeyPatch
):
    def lose_and_replace(artifact: Artifact) -> StepMessage:
        cluster.machines = [SMALL] if len(cluster.at_once) < 3 else [SMALL, BIG]
        return Done(True, 0.1) if BIG in cluster.machines else Note("it waits")

    cluster.outcome = lose_and_replace
    run([occupy_much()], store, jobs=1, compute=compute())
    assert len(cluster.at_once) == 3

    cluster.at_once.clear()
    monkeypatch.setattr(ray_executor, "REPLACE_SECONDS", -1.0)
    with pytest.raises(
        UserError, match="no node of the Ray cluster has enough GPUs and processors and memory for step"
    ):
        run([occupy_much(name="again")], store, jobs=1, compute=compute())


def test_what_a_step_raises_ends_the_run(cluster: Cluster, store: Store):
    finished = numbers(count=1)
    for outcome, kind in (
        (Failed("no model; name one", by_user=True), UserError),
        (Failed("no model; name one", by_user=False), StepFailed),
        (WorkerDied("no model; name one"), WorkerDied),
    ):
        cluster.outcome = lambda artifact, outcome=outcome: outcome if artifact.step == "ask_user" else None
        with pytest.raises(kind, match=r"^no model; name one$"):
            run([ask_user(after=[finished])], store, jobs=1, compute=compute())
        assert store.has(finished)


def test_steps_that_ask_run_beside_the_command(cluster: Cluster, store: Store):
    run([ask(name="a"), numbers(count=1)], store, jobs=1, compute=compute())
    assert store.bind(ask(name="a")).json("asked.json")["parent"] == os.getpid()
    assert {step for steps in cluster.at_once for step in steps} == {"numbers"}


def test_tasks_get_the_commands_working_folder_and_no_key_of_an_endpoint(
    cluster: Cluster, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("HF_TOKEN", "token")
    monkeypatch.chdir(tmp_path)
    run([numbers(count=1)], store, jobs=1, compute=compute())
    assert cluster.context.working_folder == tmp_path
    assert cluster.context.environment["HF_TOKEN"] == "token"
    assert not any(name.startswith("OPENAI") for name in cluster.context.environment)


def test_a_node_that_lacks_the_working_folder_or_the_run_directory_says_so(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    gone = tmp_path / "gone"
    with pytest.raises(UserError, match=r"cannot work in .+/gone, where the command was given \(No such file or dir"):
        ray_bridge.enter(gone)

    class Node:
        get_node_id = staticmethod(lambda: "1")

    ray = pytest.importorskip("ray", reason="needs Ray: pip install 'preference-harness[ray]'")
    monkeypatch.setattr(ray, "get_runtime_context", Node)
    context = TaskContext(store, gone, Limits(), compute(), tmp_path, {}, home="2")
    with pytest.raises(UserError, match=r"does not see the run directory .+; put it on a file system that all nodes"):
        ray_bridge.store_here(context)


def test_a_step_that_begins_once_more_says_so():
    events = EventQueue()
    events.begin("a", "big")
    events.begin("b", "big")
    events.begin("a", "small")
    assert events.drain() == [("a", Note("its node was lost, or its process killed; it starts again on small"))]
    assert events.drain() == []


def test_without_ray_it_says_what_to_install(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'preference-harness\[ray\]' on every node$"):
        run([numbers(count=1)], store, jobs=1, compute=compute())


def test_the_address_of_a_client_is_none(cluster: Cluster, store: Store):
    with pytest.raises(UserError, match="run harness on a node of the cluster, with the address of `ray start --head`"):
        run([numbers(count=1)], store, jobs=1, compute=compute(ray_address="ray://10.0.0.1:10001"))

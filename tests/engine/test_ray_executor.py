"""What is decided of steps on a cluster, without one: a thread of the test stands for the process that has Ray."""

import os
import pickle
import threading
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from harness.engine import ray_executor
from harness.engine.artifacts import Artifact
from harness.engine.compute import Compute, Resources
from harness.engine.executor import GIB, Done, Failed
from harness.engine.limits import Limits
from harness.engine.pipeline import run
from harness.engine.progress import Advance
from harness.engine.ray_bridge import Crashed, Errand, Lost, Node, Nodes, Refused, Said, Start, make
from harness.engine.store import Store
from harness.errors import StepFailed, UserError, WorkerDied
from tests.engine.sample_steps import ask, ask_user, numbers, occupy, occupy_much, sample_graph

BIG, SMALL = Node("1", "big", 16, 8, 512 * GIB), Node("2", "small", 4, 0, 16 * GIB)
RESOURCES = {"training": Resources(gpus=8, cpus=16, memory_gb=256), "generation": Resources(gpus=1)}


class Cluster:
    """Stands for the bridge: builds what it is told to start, unless `on_start` says something else of it."""

    def __init__(self, *nodes: Node) -> None:
        self.nodes = list(nodes)
        self.started: list[tuple[str, str]] = []
        """Step and node of each start."""
        self.on_start: Callable[[Artifact, Start], object] = lambda artifact, start: None
        """What is said instead; "end" ends the connection."""

    def spawn(self, target: object, arguments: tuple[Any, ...], environment: object) -> "Cluster":
        connection, _, _, _, errand = arguments
        duplicate = Connection(os.dup(connection.fileno()))  # the parent closes its own
        self._thread = threading.Thread(target=self._serve, args=(duplicate, errand), daemon=True)
        self._thread.start()
        return self

    def join(self, timeout: float | None = None) -> None:
        self._thread.join(timeout)

    def kill(self) -> None:
        pass

    def _serve(self, connection: Connection, errand: Errand) -> None:
        with connection:
            self._work(connection, errand)

    def _work(self, connection: Connection, errand: Errand) -> None:
        connection.send(Nodes(tuple(self.nodes)))
        store = Store(errand.root)
        while (start := connection.recv()) is not None:
            artifact = pickle.loads(start.task)
            self.started.append((artifact.step, start.node))
            said = self.on_start(artifact, start)
            if said == "end":
                break
            if said is None:
                connection.send(Said(start.key, Advance(1, 2, "rows", 1.0)))
                store.build(artifact)
                said = Said(start.key, Done(True, 0.1, {}))
            connection.send(said)
            connection.send(Nodes(tuple(self.nodes)))


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster(BIG, SMALL)
    monkeypatch.setattr(ray_executor, "spawn", made.spawn)
    monkeypatch.setattr(ray_executor, "_is_installed", lambda: True)
    monkeypatch.setattr(ray_executor, "TIME_TO_JOIN", 0.0)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return made


def compute(**settings: Any) -> Compute:
    return Compute(executor="ray", **{"resources": RESOURCES, **settings})


def test_each_step_goes_where_it_fits_and_leaves_the_gpus_to_those_that_need_them(cluster: Cluster, store: Store):
    run([occupy_much(), occupy(), *sample_graph()], store, jobs=1, compute=compute())
    assert set(cluster.started) == {
        ("occupy_much", "1"),
        ("occupy", "1"),
        ("numbers", "2"),
        ("squares", "2"),
        ("total", "2"),
    }
    assert not list(store.logs.glob("*"))
    assert not list((store.root / ".locks").glob("run-*"))


def test_the_step_of_a_lost_node_runs_again_elsewhere_and_no_other(
    cluster: Cluster, store: Store, capfd: pytest.CaptureFixture[str]
):
    lost = []

    def lose(artifact: Artifact, start: Start) -> object:
        if artifact.step == "squares" and start.node == "2":
            lost.append(start.key)
            return Lost(start.key)
        return None

    cluster.on_start = lose
    run(sample_graph(), store, jobs=1, compute=compute())
    assert 1 <= len(lost) <= 3
    assert Counter(step for step, _ in cluster.started) == {"numbers": 3, "squares": 3 + len(lost), "total": 4}
    after = cluster.started[cluster.started.index(("squares", "2")) + 1 :]
    assert {node for step, node in after if step == "total"} == {"1"}  # though the cluster still says that 2 is up
    assert "squares seed 0: small is lost, the step starts again on another node" in capfd.readouterr().err


def test_a_step_that_brings_nodes_down_is_given_up(cluster: Cluster, store: Store):
    cluster.nodes = [Node(str(number), f"node-{number}", 1, 0, 0) for number in range(6)]
    cluster.on_start = lambda artifact, start: Lost(start.key)
    with pytest.raises(WorkerDied, match=r"^step numbers has lost its node 4 times, the last of them node-\d, perhaps"):
        run([numbers(count=1)], store, jobs=1, compute=compute(resources={}))
    assert len({node for _, node in cluster.started}) == 4


def test_what_fits_on_no_node_is_one_line_before_anything_runs(cluster: Cluster, store: Store):
    cluster.nodes = [SMALL, Node("3", "other", 4, 0, 16 * GIB), Node("4", "third", 8, 4, 64 * GIB)]
    with pytest.raises(UserError) as raised:
        run([occupy_much(after=[numbers(count=1)])], store, jobs=1, compute=compute())
    assert str(raised.value) == (
        "no node of the Ray cluster has what step occupy_much needs, 8 GPUs, 16 processors and 256 GiB of memory: there"
        " is 2 nodes with 0 GPUs, 4 processors and 16 GiB of memory and 1 node with 4 GPUs, 8 processors and 64 GiB of"
        " memory; add a node that has it, or change compute.resources of the scale; finished steps are kept"
    )
    assert cluster.started == []


def test_a_node_that_is_needed_and_lost_is_waited_for_but_not_for_ever(
    cluster: Cluster, store: Store, monkeypatch: pytest.MonkeyPatch
):
    replacement = Node("5", "new", 16, 8, 512 * GIB)

    def lose(artifact: Artifact, start: Start) -> object:
        if start.node != "1":
            return None
        cluster.nodes = [SMALL, replacement] if artifact == occupy_much() else [SMALL]
        return Lost(start.key)

    cluster.on_start = lose
    run([occupy_much()], store, jobs=1, compute=compute())
    assert cluster.started == [("occupy_much", "1"), ("occupy_much", "5")]

    monkeypatch.setattr(ray_executor, "PATIENCE", 0.2)
    cluster.nodes = [BIG, SMALL]
    with pytest.raises(UserError, match="no node of the Ray cluster has what step occupy_much needs"):
        run([occupy_much(name="again")], store, jobs=1, compute=compute())


def test_a_process_that_dies_on_a_node_that_is_up(cluster: Cluster, store: Store):
    cluster.on_start = lambda artifact, start: Crashed(start.key, "memory ran out on the node")
    with pytest.raises(WorkerDied) as raised:
        run([numbers(count=1)], store, jobs=1, compute=compute())
    assert str(raised.value) == (
        "the worker process of step numbers on small ended (memory ran out on the node); finished steps are kept"
    )


@pytest.mark.parametrize(("by_user", "kind"), [(True, UserError), (False, StepFailed)])
def test_what_a_step_raises_ends_the_run(cluster: Cluster, store: Store, by_user: bool, kind: type[Exception]):
    finished = numbers(count=1)
    cluster.on_start = lambda artifact, start: (
        Said(start.key, Failed("no model; name one", by_user)) if artifact.step == "ask_user" else None
    )
    with pytest.raises(kind, match=r"^no model; name one$"):
        run([ask_user(after=[finished])], store, jobs=1, compute=compute())
    assert store.has(finished)


def test_a_cluster_that_goes_away_is_one_line_and_what_is_finished_is_kept(cluster: Cluster, store: Store):
    finished = numbers(count=1)
    cluster.on_start = lambda artifact, start: "end" if artifact.step == "ask_user" else None
    with pytest.raises(UserError, match=r"^the Ray cluster at 10.0.0.1:6379 has gone away; finished steps are kept,"):
        run([ask_user(after=[finished])], store, jobs=1, compute=compute(ray_address="10.0.0.1:6379"))
    assert store.has(finished)


def test_a_cluster_that_falls_silent_has_gone_away(cluster: Cluster, store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ray_executor, "MAX_SILENCE", 0.2)
    monkeypatch.setattr(ray_executor, "TIME_TO_STOP", 0.2)
    hold = threading.Event()
    cluster.on_start = lambda artifact, start: hold.wait(1)
    with pytest.raises(UserError, match=r"^the Ray cluster has gone away"):
        run([numbers(count=1)], store, jobs=1, compute=compute())
    hold.set()


def test_no_cluster_is_one_line(cluster: Cluster, store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        cluster, "_work", lambda connection, errand: connection.send(Refused("Version mismatch: 2.9 and 2.60"))
    )
    with pytest.raises(UserError) as raised:
        run([numbers(count=1)], store, jobs=1, compute=compute(ray_address="10.0.0.1:6379"))
    assert str(raised.value) == (
        "no connection to the Ray cluster at 10.0.0.1:6379 (Version mismatch: 2.9 and 2.60); see that it is up"
        " (`ray status`), or give another --ray-address"
    )


def test_steps_that_ask_run_beside_the_command(cluster: Cluster, store: Store):
    run([ask(name="a"), numbers(count=1)], store, jobs=1, compute=compute())
    assert store.bind(ask(name="a")).json("asked.json")["parent"] == os.getpid()
    assert cluster.started == [("numbers", "2")]


def test_tasks_get_the_commands_working_folder_and_no_key_of_an_endpoint(
    cluster: Cluster, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("HF_TOKEN", "token")
    monkeypatch.chdir(tmp_path)
    errands = []
    work = cluster._work
    monkeypatch.setattr(cluster, "_work", lambda pipe, errand: (errands.append(errand), work(pipe, errand)))
    run([numbers(count=1)], store, jobs=1, compute=compute())
    assert errands[0].working_folder == tmp_path
    assert errands[0].environment["HF_TOKEN"] == "token"
    assert not any(name.startswith("OPENAI") for name in errands[0].environment)


def test_a_node_without_the_working_folder_says_so(store: Store, tmp_path: Path):
    gone = tmp_path / "gone"
    errand = Errand(store.root, None, False, store.root, Limits(), compute(), "1", gone, {})
    [said] = make("key", b"", "1", errand, None)
    assert isinstance(said, Failed) and said.by_user
    assert f"cannot work in {gone}, where the command was given (No such file or directory); run it in" in said.message


def test_without_ray_it_says_what_to_install(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ray_executor, "_is_installed", lambda: False)
    with pytest.raises(UserError, match=r"pip install 'preference-harness\[ray\]' on every node$"):
        run([numbers(count=1)], store, jobs=1, compute=compute())


def test_the_address_of_a_client_is_none(cluster: Cluster, store: Store):
    with pytest.raises(UserError, match="run harness on a node of the cluster, with the address of `ray start --head`"):
        run([numbers(count=1)], store, jobs=1, compute=compute(ray_address="ray://10.0.0.1:10001"))

"""Runs on a real Ray cluster of two nodes, both on this machine."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.engine import ray_bridge, ray_executor
from harness.engine.artifacts import Artifact
from harness.engine.compute import Compute, Resources
from harness.engine.pipeline import run
from harness.engine.store import Store, open_store
from harness.errors import UserError, WorkerDied
from harness.steps.data import data
from tests.engine.sample_steps import (
    Item,
    ask,
    ask_user,
    count_slowly,
    describe_process,
    get_killed,
    numbers,
    occupy,
    occupy_much,
    sample_graph,
    where,
)

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray", reason="needs Ray: pip install 'preference-harness[ray]'")

ROOT = Path(__file__).parents[2]


class Cluster:
    """Nodes of one logical processor and GPU each; the steps on them log to one file."""

    def __init__(self, folder: Path, nodes: int) -> None:
        from ray.cluster_utils import Cluster

        self.log = folder / "log"
        self.log.touch()
        self._patch = pytest.MonkeyPatch()
        self._patch.setenv("STEP_LOG", str(self.log))
        self._patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        self._patch.setenv("TMPDIR", str(folder))  # where nodes keep what they fetch
        self._patch.setenv("RAY_TMPDIR", "/tmp")  # the path of a socket must be short
        self._settings = {"num_cpus": 1, "num_gpus": 1, "object_store_memory": 80 * 2**20}
        self.ray = Cluster(initialize_head=True, head_node_args={**self._settings, "include_dashboard": False})
        for _ in range(nodes - 1):
            self.add_node()
        resources = {"generation": Resources(gpus=1)}
        self.compute = Compute(executor="ray", ray_address=self.ray.address, resources=resources)

    def add_node(self) -> Any:
        return self.ray.add_node(**self._settings)

    def events(self, pattern: str) -> list[tuple[str, str]]:
        """Key and what follows `pattern`, for each line of the log that matches."""
        return re.findall(rf"^(\w+) {pattern} ?(.*)$", self.log.read_text(), re.MULTILINE)

    def stop(self) -> None:
        self.ray.shutdown()
        self._patch.undo()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"), nodes=2)
    yield made
    made.stop()


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def once(condition: Callable[[], object], action: Callable[[], object]) -> threading.Thread:
    """Waits for `condition` and does `action`, while the test runs steps."""

    def wait_and_act() -> None:
        wait_until(condition)
        action()

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    return thread


def on_two_nodes(folder: Path) -> list[Artifact]:
    """Two steps that wait for each other; no node has room for both."""
    folder.mkdir()
    return [where(name=name, meeting=str(folder)) for name in ("one", "other")]


def payload(store: Store) -> dict[str, bytes]:
    files = [path for path in store.root.rglob("*") if path.is_file() and path.name != "artifact.json"]
    return {str(path.relative_to(store.root)): path.read_bytes() for path in files if ".locks" not in path.parts}


def test_without_a_cluster_one_is_started_here_and_stopped_afterwards(store: Store):
    run([numbers(count=1)], store, jobs=1, compute=Compute(executor="ray"))
    assert store.has(numbers(count=1))
    assert not ray.is_initialized()


def test_the_same_bytes_as_on_one_machine_on_all_nodes_each_step_once_and_the_terminal_stays_clean(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)  # the nodes were started elsewhere
    Path("rows.jsonl").write_text('{"instruction": "a", "output": "b"}\n')
    rows = data("rows.jsonl", 1)
    local, spread = Store(tmp_path / "local"), Store(tmp_path / "spread")
    run(sample_graph(), local, jobs=2)
    before = len(cluster.events("start"))
    capfd.readouterr()
    apart = on_two_nodes(tmp_path / "meeting")
    others = [rows, describe_process(), ask(), occupy()]
    run([*sample_graph(), *others, *apart], spread, compute=cluster.compute)
    started = [key for key, _ in cluster.events("start")[before:]]
    assert set(Counter(started).values()) == {1}
    assert len(started) == 12
    assert len({spread.bind(each).json("where.json")["node"] for each in apart}) == 2
    assert payload(local).items() <= payload(spread).items()
    assert spread.bind(rows).json("reference.json")["reference"] == "rows.jsonl"
    assert spread.bind(occupy()).json("seen.json")["CUDA_VISIBLE_DEVICES"] == "0"
    assert spread.bind(ask()).json("asked.json")["parent"] == os.getpid()
    assert (
        spread.bind(describe_process()).json("process.json").items()
        >= {
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "PYTHONHASHSEED": "0",
        }.items()
    )
    out, err = capfd.readouterr()
    assert out == ""
    assert [line for line in err.splitlines() if not re.match(r"^(\[[ \d]+/16\] |        )\w", line)] == []
    assert re.search(r"squares seed 0: 20 rows in ", err)  # what a step on a node said of its progress
    assert not list(spread.logs.glob("*"))


def test_an_error_is_that_of_one_machine(cluster: Cluster, store: Store):
    finished = numbers(count=1)
    with pytest.raises(UserError, match=r"^no model in /nowhere; name another one$"):
        run([ask_user(after=[finished])], store, compute=cluster.compute)
    assert store.has(finished)


def test_what_no_node_has_is_one_line(cluster: Cluster, store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ray_executor, "JOIN_SECONDS", 0.0)
    compute = Compute(executor="ray", ray_address=cluster.ray.address, resources={"training": Resources(gpus=8)})
    with pytest.raises(UserError, match=r"enough GPUs for step occupy_much, .+ \(nodes: \d with 1 GPU, 1 processor"):
        run([occupy_much()], store, compute=compute)


def test_machines_without_a_common_folder_share_artifacts_at_a_url(cluster: Cluster, tmp_path: Path):
    compute = Compute(executor="ray", ray_address=cluster.ray.address, store=f"file://{tmp_path / 'bucket'}")
    store = open_store(tmp_path / "run" / "store", compute)
    first = on_two_nodes(tmp_path / "meeting")
    last = where(after=first)
    run([last], store, compute=compute)
    assert len({store.bind(each).json("where.json")["node"] for each in first}) == 2
    found = store.bind(last).json("where.json")
    assert len(found["folders"]) == 2
    assert all(folder.startswith(str(store.root)) or found["node"] in folder for folder in found["folders"])
    assert open_store(tmp_path / "other", compute).has(last)


def test_a_killed_node_costs_its_step_a_second_start_and_no_other(
    cluster: Cluster, store: Store, capfd: pytest.CaptureFixture[str]
):
    cluster.add_node()
    slow = [count_slowly(to=15 + number) for number in range(3)]
    before = len(cluster.events("start"))
    killed = []

    def counting() -> list[tuple[str, Any]]:
        """Steps that are under way on other nodes than the command's, which is not to be lost."""
        counted = {key for key, row in cluster.events("row") if int(row) >= 3}
        nodes = {node.node_id: node for node in cluster.ray.worker_nodes}
        return [(key, nodes[at]) for key, at in cluster.events("start") if key in counted and at in nodes]

    def kill() -> None:
        key, node = counting()[0]
        killed.append(key)
        cluster.ray.remove_node(node, allow_graceful=False)  # SIGKILL to its processes

    killing = once(counting, kill)
    run([where(after=slow)], store, compute=cluster.compute)
    killing.join()
    starts = Counter(key for key, _ in cluster.events("start")[before:])
    [key] = killed
    assert starts.pop(key) == 2
    assert list(starts.values()) == [1, 1, 1]
    out, err = capfd.readouterr()
    assert out == ""
    assert "count_slowly: its node was lost, or its process killed; it starts again on " in err
    rows = [row for counted, row in cluster.events("row") if counted == key]
    assert len(rows) == len(set(rows))  # it went on where it was
    done = next(each for each in slow if each.key == key)
    assert [row.value for row in store.bind(done).rows(Item)] == list(range(len(rows)))


def test_a_step_whose_process_is_always_killed_is_given_up(cluster: Cluster, store: Store):
    with pytest.raises(
        WorkerDied, match=r"^step get_killed has lost its node, or its process there was killed, 4 time"
    ):
        run([get_killed()], store, compute=cluster.compute)


def test_ctrl_c_and_sigterm_end_the_tasks(cluster: Cluster, tmp_path: Path):
    command = [sys.executable, "-m", "tests.engine.test_ray_cluster", cluster.ray.address]
    endings = (signal.SIGINT, signal.SIGTERM)
    runs = [
        subprocess.Popen(
            [*command, tmp_path / str(ending)], cwd=ROOT, text=True, stderr=subprocess.PIPE, start_new_session=True
        )
        for ending in endings
    ]
    wait_until(lambda: len(cluster.events("pid")) == 2)
    for process, ending in zip(runs, endings, strict=True):
        os.killpg(process.pid, ending)
        _, stderr = process.communicate(timeout=60)
        assert stderr.splitlines()[-1] == (
            "error: interrupted; finished steps are kept, run the same command to continue"
        )
        assert process.returncode == 128 + ending
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for _, pid in cluster.events("pid")))


def test_a_cluster_that_goes_away_is_one_line_and_finished_steps_are_kept(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(ray_bridge, "GONE_SECONDS", 1.0)
    doomed = Cluster(tmp_path, nodes=1)
    finished, head = where(name="finished"), doomed.ray.head_node
    end = once(lambda: doomed.events("row"), lambda: head.kill_all_processes(check_alive=False, allow_graceful=False))
    with pytest.raises(UserError, match=rf"^the Ray cluster at {doomed.ray.address} has gone away; finished steps are"):
        run([count_slowly(to=200, after=[finished])], store, compute=doomed.compute)
    end.join()
    doomed.stop()
    assert store.has(finished)
    assert capfd.readouterr().out == ""


def test_no_cluster_at_the_address_is_one_line(store: Store):
    with pytest.raises(UserError, match=r"^no connection to the Ray cluster at 127.0.0.1:1 \(nothing listens there\);"):
        run([numbers(count=1)], store, compute=Compute(executor="ray", ray_address="127.0.0.1:1"))


def main(address: str, store: str) -> None:
    """A run in a process of its own, which ends as the command does."""
    from harness.engine.signals import endings_interrupt, interrupted_code
    from harness.errors import Interrupted
    from tests.engine.sample_steps import sleep_long

    with endings_interrupt() as heard:
        try:
            run([sleep_long()], Store(store), compute=Compute(executor="ray", ray_address=address))
        except Interrupted as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(interrupted_code(heard))


if __name__ == "__main__":
    main(*sys.argv[1:])

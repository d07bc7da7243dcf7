"""Runs on a real Ray cluster of three nodes, all on this machine."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.engine import ray_executor
from harness.engine.artifacts import Artifact
from harness.engine.compute import Compute, Resources
from harness.engine.pipeline import run
from harness.engine.store import Store, open_store
from harness.errors import StepFailed, UserError, WorkerDied
from harness.steps.data import data
from tests.engine.sample_steps import (
    Item,
    ask,
    ask_user,
    break_down,
    count_slowly,
    describe_process,
    get_killed,
    numbers,
    occupy_much,
    sample_graph,
    where,
)

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray", reason="needs Ray: pip install 'preference-harness[ray]'")

ROOT = Path(__file__).parents[2]
NODES = 3


class Cluster:
    """Three nodes of one logical processor each; the steps on them log to one file."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster

        self.log = folder / "log"
        self.log.touch()
        self._patch = pytest.MonkeyPatch()
        self._patch.setenv("STEP_LOG", str(self.log))
        self._patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        self._patch.setenv("TMPDIR", str(folder))  # where nodes keep what they fetch
        self._patch.setenv("RAY_TMPDIR", "/tmp")  # the path of a socket must be short
        settings = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
        self.ray = Cluster(initialize_head=True, head_node_args={**settings, "include_dashboard": False})
        self.workers = [self.ray.add_node(wait=False, **settings) for _ in range(NODES - 1)]
        self.ray.wait_for_nodes()
        self.address = self.ray.address
        self.compute = Compute(executor="ray", ray_address=self.address)

    def events(self, pattern: str) -> list[tuple[str, str]]:
        """Key and what follows `pattern`, for each line of the log that matches."""
        return re.findall(rf"^(\w+) {pattern} ?(.*)$", self.log.read_text(), re.MULTILINE)

    def stop(self) -> None:
        self.ray.shutdown()
        self._patch.undo()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    yield made
    made.stop()


@pytest.fixture
def doomed(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster of the test's own."""
    made = Cluster(tmp_path)
    yield made
    made.stop()


def wait_until(condition: Callable[[], object], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def start(cluster: Cluster, what: str, store: Path, **environment: str) -> "subprocess.Popen[str]":
    """A run in a process of its own."""
    command = [sys.executable, "-m", "tests.engine.test_ray_cluster", what, str(store), cluster.address]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        text=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def payload(store: Store) -> dict[str, bytes]:
    files = [path for path in store.root.rglob("*") if path.is_file() and path.name != "artifact.json"]
    return {str(path.relative_to(store.root)): path.read_bytes() for path in files if ".locks" not in path.parts}


def slow_graph() -> list[Artifact]:
    """Three steps that take three seconds each, what needs them, and some that do not."""
    slow = [count_slowly(to=15 + number) for number in range(NODES)]
    return [where(after=slow), *(where(name=str(number)) for number in range(4))]


def test_the_same_bytes_as_on_one_machine_on_all_nodes_each_step_once(cluster: Cluster, tmp_path: Path):
    local, spread = Store(tmp_path / "local"), Store(tmp_path / "spread")
    run(sample_graph(), local, jobs=2)
    before = len(cluster.events("start"))
    run([*sample_graph(), *(where(name=str(number)) for number in range(6))], spread, compute=cluster.compute)
    started = [key for key, _ in cluster.events("start")[before:]]
    assert Counter(started).most_common(1)[0][1] == 1
    assert len(started) == 16
    nodes = {spread.bind(where(name=str(number))).json("where.json")["node"] for number in range(6)}
    assert len(nodes) >= 2
    assert {name: text for name, text in payload(spread).items() if not name.startswith("where")} == payload(local)


def test_steps_have_the_environment_of_workers_and_the_terminal_stays_clean(
    cluster: Cluster, store: Store, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    artifact = describe_process()
    run([artifact, ask()], store, compute=cluster.compute)
    format_resources = store.bind(artifact).json("process.json")
    del format_resources["pid"]
    assert format_resources == {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONHASHSEED": "0",
    }
    assert store.bind(ask()).json("asked.json")["parent"] == os.getpid()
    out, err = capfd.readouterr()
    assert out == ""
    assert [line for line in err.splitlines() if not re.match(r"^(\[\d/2\] |      )(describe_process|ask)", line)] == []
    assert not list(store.logs.glob("*"))


def test_errors_are_those_of_one_machine(cluster: Cluster, store: Store):
    finished = numbers(count=1)
    with pytest.raises(UserError, match=r"^no model in /nowhere; name another one$"):
        run([ask_user(after=[finished])], store, compute=cluster.compute)
    assert store.has(finished)
    with pytest.raises(StepFailed, match=r"ZeroDivisionError: something unexpected$"):
        run([break_down()], store, compute=cluster.compute)


def test_a_process_that_is_killed_on_a_node_that_is_up(cluster: Cluster, store: Store):
    with pytest.raises(WorkerDied, match=r"^the worker process of step get_killed on .+ ended \(killed, perhaps"):
        run([get_killed()], store, compute=cluster.compute)


def test_a_relative_path_means_on_a_node_what_it_means_in_the_command(
    cluster: Cluster, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)  # the nodes were started elsewhere
    Path("rows.jsonl").write_text('{"instruction": "a", "output": "b"}\n')
    rows = data("rows.jsonl", 1)
    run([rows], store, compute=cluster.compute)
    assert store.bind(rows).json("reference.json")["reference"] == "rows.jsonl"


def test_what_no_node_has_is_one_line(cluster: Cluster, store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ray_executor, "TIME_TO_JOIN", 0.0)
    compute = Compute(executor="ray", ray_address=cluster.address, resources={"training": Resources(gpus=8, cpus=2)})
    with pytest.raises(UserError, match=r"needs, 8 GPUs and 2 processors: there is \d nodes? with 0 GPUs, 1 processor"):
        run([occupy_much()], store, compute=compute)


def test_machines_without_a_common_folder_share_artifacts_at_a_url(cluster: Cluster, tmp_path: Path):
    compute = Compute(executor="ray", ray_address=cluster.address, store=f"file://{tmp_path / 'bucket'}")
    store = open_store(tmp_path / "run" / "store", compute)
    first = [where(name=f"shared {number}") for number in range(6)]
    last = where(after=first)
    run([last], store, compute=compute)
    nodes = {store.bind(each).json("where.json")["node"] for each in first}
    assert len(nodes) >= 2
    found = store.bind(last).json("where.json")
    assert len(found["folders"]) == 6
    assert all(folder.startswith(str(store.root)) or found["node"] in folder for folder in found["folders"])
    other = open_store(tmp_path / "other", compute)
    assert other.has(last)


def test_a_node_killed_in_mid_run_costs_its_step_a_second_start_and_no_other(doomed: Cluster, store: Store):
    process = start(doomed, "slow", store.root)
    workers = {node.node_id: node for node in doomed.workers}

    def counting() -> list[tuple[str, str]]:
        counted = {key for key, row in doomed.events("row") if int(row) >= 3}
        return [(key, node) for key, node in doomed.events("start") if key in counted and node in workers]

    wait_until(counting)
    key, node = counting()[0]
    doomed.ray.remove_node(workers[node], allow_graceful=False)  # SIGKILL to all of its processes
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    starts = Counter(key for key, _ in doomed.events("start"))
    assert starts.pop(key) == 2
    assert set(starts.values()) == {1}
    assert len(starts) == 7
    assert [at for started, at in doomed.events("start") if started == key][1] != node
    assert "is lost, the step starts again on another node" in stderr
    rows = [row for counted, row in doomed.events("row") if counted == key]
    assert len(rows) == len(set(rows))  # it went on where it was
    done = next(each for each in slow_graph()[0].parents() if each.key == key)
    assert [row.value for row in store.bind(done).rows(Item)] == list(range(len(rows)))


def test_a_cluster_that_goes_away_in_mid_run_is_one_line_and_finished_steps_are_kept(doomed: Cluster, store: Store):
    process = start(doomed, "slow", store.root, RAY_gcs_rpc_server_reconnect_timeout_s="5")
    wait_until(lambda: store.has(where(name="0")) and doomed.events("row"))
    doomed.ray.shutdown()
    out, stderr = process.communicate(timeout=120)
    assert process.returncode == 2, stderr
    assert out == ""
    last = stderr.splitlines()[-1]
    assert last.startswith(f"error: the Ray cluster at {doomed.address} has gone away; finished steps are kept, and")
    assert len([line for line in stderr.splitlines() if not re.match(r"^(\[| )", line)]) == 1
    assert store.has(where(name="0"))
    run(slow_graph(), store, jobs=1, compute=Compute(executor="ray"))  # a cluster of its own, on this machine
    assert store.has(slow_graph()[0])
    starts = Counter(key for key, _ in doomed.events("start"))
    assert starts[where(name="0").key] == 1


def test_ctrl_c_cancels_the_tasks(cluster: Cluster, store: Store):
    process = start(cluster, "sleep", store.root)
    before = len(cluster.events("pid"))
    wait_until(lambda: len(cluster.events("pid")) > before)
    pid = int(cluster.events("pid")[-1][1])
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "error: interrupted; finished steps are kept, run the same command to continue"
    wait_until(lambda: not Path(f"/proc/{pid}").exists())


def test_no_cluster_at_the_address_is_one_line(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "3")
    with pytest.raises(UserError, match=r"^no connection to the Ray cluster at 127.0.0.1:1 \(.+\); see that it is up"):
        run([numbers(count=1)], store, compute=Compute(executor="ray", ray_address="127.0.0.1:1"))


def main(what: str, store: str, address: str) -> Any:
    """The run of a process of its own."""
    from harness.errors import HarnessError
    from tests.engine.sample_steps import sleep_long

    try:
        targets = [sleep_long()] if what == "sleep" else slow_graph()
        run(targets, Store(store), compute=Compute(executor="ray", ray_address=address))
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main(*sys.argv[1:])

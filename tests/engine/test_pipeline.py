import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest

from harness.engine import pipeline, workers
from harness.engine.artifacts import ancestry
from harness.engine.pipeline import plan, print_plan, run
from harness.engine.store import Store
from harness.errors import Interrupted, StepFailed, UserError, WorkerDied
from tests.engine.sample_steps import (
    BATCH,
    ask_user,
    break_down,
    describe_process,
    get_killed,
    numbers,
    sample_graph,
    squares,
    total,
)

ROOT = Path(__file__).parents[2]


class Runs:
    """Runs of the sample graph in processes of their own, in one store, with a common log of what was executed."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.store = Store(folder / "store")
        self._log = folder / "log"
        self._log.touch()

    def kill_one_after(self, seconds: float) -> None:
        """SIGKILLs a run `seconds` after it has begun its first step; the workers are left to notice by themselves."""
        before = len(self.executed())
        process = self.start()
        wait_until(lambda: process.poll() is not None or len(self.executed()) > before)
        time.sleep(seconds)
        process.kill()
        process.communicate()

    def start(self, what: str = "graph") -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "tests.engine.sample_steps", what, str(self.store.root)]
        environment = {**os.environ, "STEP_LOG": str(self._log)}
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stderr=subprocess.PIPE, start_new_session=True
        )

    def finish(self) -> None:
        process = self.start()
        _, stderr = process.communicate()
        assert process.returncode == 0, stderr

    def events(self, pattern: str) -> list[tuple[str, str]]:
        """Key and what follows `pattern`, for each line of the log that matches."""
        return re.findall(rf"^(\w+) {pattern} ?(.*)$", self._log.read_text(), re.MULTILINE)

    def executed(self) -> list[str]:
        return [key for key, _ in self.events("start")]

    def payload(self) -> dict[str, bytes]:
        """Every file that is not a record, a lock or the log of a killed step."""
        files = [path for path in self.store.root.rglob("*") if path.is_file() and path.name != "artifact.json"]
        names = {str(path.relative_to(self.store.root)): path for path in files}
        return {name: path.read_bytes() for name, path in names.items() if not name.startswith((".locks", ".logs"))}

    def made(self) -> set[str]:
        return {artifact.key for artifact in ancestry(sample_graph()) if self.store.has(artifact)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    runs = Runs(tmp_path_factory.mktemp("undisturbed") / "run")
    runs.finish()
    return runs


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "run")


def wait_until(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_whole_graph_is_executed_once(undisturbed: Runs):
    assert sorted(undisturbed.executed()) == sorted(artifact.key for artifact in ancestry(sample_graph()))
    assert undisturbed.made() == set(undisturbed.executed())


def test_killed_at_any_moment_and_run_again_gives_the_same_bytes_and_repeats_no_finished_step(
    undisturbed: Runs, runs: Runs
):
    draw = random.Random(0)
    kills = 0
    while kills < 8 and len(runs.made()) < len(undisturbed.made()):
        made, executed = runs.made(), len(runs.executed())
        runs.kill_one_after(draw.uniform(0, 0.15))
        kills += 1
        assert made.isdisjoint(runs.executed()[executed:])
    made, executed = runs.made(), len(runs.executed())
    runs.finish()
    assert made.isdisjoint(runs.executed()[executed:])
    assert runs.payload() == undisturbed.payload()
    assert kills >= 3
    rows = runs.events("row")
    assert len(rows) - len(set(rows)) <= kills * 2 * BATCH  # what was in flight in two workers


def test_two_runs_in_one_store_at_once_share_the_work(undisturbed: Runs, runs: Runs):
    processes = [runs.start(), runs.start()]
    for process in processes:
        _, stderr = process.communicate()
        assert process.returncode == 0, stderr
    assert sorted(runs.executed()) == sorted(undisturbed.executed())
    assert runs.payload() == undisturbed.payload()


def test_workers_die_with_their_parent(runs: Runs):
    process = runs.start("sleep")
    wait_until(lambda: runs.events("pid"))
    [(_, pid)] = runs.events("pid")
    assert is_running(int(pid))
    process.kill()
    process.communicate()
    wait_until(lambda: not is_running(int(pid)), seconds=3)


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(runs: Runs):
    process = runs.start("sleep")
    wait_until(lambda: runs.events("pid"))
    [(_, pid)] = runs.events("pid")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the parent and its workers
    _, stderr = process.communicate(timeout=40)  # the step sleeps for 60 s; a busy machine takes its time
    assert process.returncode == 130
    assert stderr.splitlines()[1:] == ["error: interrupted; finished steps are kept, run the same command to continue"]
    assert not is_running(int(pid))


def test_ctrl_c_while_a_worker_starts_is_not_lost(store: Store, monkeypatch: pytest.MonkeyPatch):
    start = SpawnProcess.start

    def interrupted(process: SpawnProcess) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        start(process)

    monkeypatch.setattr(SpawnProcess, "start", interrupted)
    with pytest.raises(Interrupted):
        run([numbers(count=1)], store, jobs=1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_user_error_in_a_step_travels_as_one_line(store: Store):
    finished = numbers(count=1)
    with pytest.raises(UserError) as raised:
        run([ask_user(after=[finished])], store, jobs=1)
    assert str(raised.value) == "no model in /nowhere; name another one"
    assert store.has(finished)
    assert not list(store.logs.glob("*"))


def test_any_other_error_is_shown_in_full(store: Store):
    with pytest.raises(StepFailed) as raised:
        run([break_down().append_label("of qwen")], store, jobs=1)
    message = str(raised.value)
    [log] = (store.root / ".logs").iterdir()
    assert message.startswith(
        f"step break_down of qwen failed; it printed: {log}\nTraceback (most recent call last):\n"
    )
    assert 'raise ZeroDivisionError("something unexpected")' in message
    assert message.endswith("\nZeroDivisionError: something unexpected")
    assert log.read_text() == "before the fall\n"


def test_a_worker_that_is_killed_ends_the_run_with_one_line(store: Store):
    with pytest.raises(WorkerDied) as raised:
        run([get_killed()], store, jobs=1)
    assert str(raised.value) == (
        "the worker process of step get_killed was killed by SIGKILL, perhaps because memory ran out;"
        " finished steps are kept"
    )


def test_workers_have_one_thread_live_on_and_keep_the_terminal_clean(store: Store, capfd: pytest.CaptureFixture[str]):
    first = [describe_process(name=str(number)) for number in range(4)]
    last = describe_process(after=first)
    run([last], store, jobs=2)
    processes = [store.bind(artifact).json("process.json") for artifact in [*first, last]]
    assert len({process.pop("pid") for process in processes} - {os.getpid()}) <= 2
    expected = {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONHASHSEED": "0",
    }
    assert processes == [expected] * 5
    assert "PYTHONHASHSEED" not in os.environ
    out, err = capfd.readouterr()
    assert out == ""
    assert "goes to a log" not in err
    assert re.search(r"^\[5/5\] describe_process: \d\.\d s$", err, re.MULTILINE)


def test_a_plan_needs_only_what_is_missing(store: Store):
    items = numbers(count=3)
    parts = [squares(items=items), items]
    target = total(parts=parts)
    behind = (items, parts[0], target)
    assert plan([target, target], store) == pipeline.Plan((), (items, parts[0], target), behind)
    store.build(items)
    assert plan([target], store) == pipeline.Plan((items,), (parts[0], target), behind)
    store.build(parts[0])
    store.build(target)
    for part in parts:  # what a found target was made from may be gone
        (store.folder(part) / "artifact.json").unlink()
    assert plan([target], store) == pipeline.Plan((target,), (), behind)


def test_a_second_run_starts_no_worker(store: Store, monkeypatch: pytest.MonkeyPatch):
    store.build(numbers(count=3))
    monkeypatch.setattr(workers, "Workers", None)
    run([numbers(count=3)], store)


def test_the_printed_plan(store: Store, capsys: pytest.CaptureFixture[str]):
    store.build(numbers(count=20))
    print_plan(plan(sample_graph(), store))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "step     total  found  to run",
        "numbers      3      1       2",
        "squares      3      0       3",
        "total        4      0       4",
        "in all      10      1       9  (10% found)",
    ]


def test_the_printed_plan_counts_what_found_results_were_made_from(store: Store, capsys: pytest.CaptureFixture[str]):
    """Of a target that is there nothing behind it is looked at; it is none the less among the steps, as found."""
    items = numbers(count=3)
    target = total(parts=[squares(items=items), items])
    run([target], store, jobs=1)
    capsys.readouterr()
    print_plan(plan([target], store))
    assert capsys.readouterr().err.splitlines()[-1] == "in all       3      3       0  (100% found)"


def test_jobs_must_be_one_or_more(store: Store):
    with pytest.raises(UserError, match="jobs must be 1 or more, not 0"):
        run([numbers(count=1)], store, jobs=0)

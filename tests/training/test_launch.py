"""Processes that train for a step: what they tell, and how they end."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.config.yaml_files import CONFIGS
from harness.engine.artifacts import Tracker
from harness.engine.progress import Advance, Event
from harness.errors import UserError
from harness.training import launch
from harness.training.batches import Spread
from harness.training.job import Job
from harness.training.launch import accelerate_config, require_launchable
from harness.training.settings import TrainingSettings

JOB = Job("model", "out", TrainingSettings(1e-3, 1, 4, 256, 0.1), 0, Spread(2, 2, 1), "fsdp", False, None)


@pytest.fixture
def follow() -> Callable[[str], Any]:
    """What comes of a program that imports what launched processes use."""

    def run(program: str, heard: list[Event] | None = None) -> Any:
        command = [sys.executable, "-c", f"import os, signal\nfrom harness.training.launch import *\n{program}"]
        listener = (heard if heard is not None else []).append
        return launch._follow(JOB, command, lambda work, unit, done=0: Tracker(work, unit, done, listener))

    return run


def test_the_step_hears_of_progress_and_of_the_result(follow: Any, capfd: pytest.CaptureFixture[str]) -> None:
    heard: list[Event] = []
    program = (
        "r = Reporter(4, 'steps', 1)\nprint('a word', end='', flush=True)\nr.advance(3)\nemit(result={'loss': 0.5})"
    )
    assert follow(program, heard) == {"loss": 0.5}
    [last] = heard
    assert isinstance(last, Advance)
    assert (last.done, last.total, last.unit) == (4, 4, "steps")
    assert "a word" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("program", "kind", "says"),
    [
        ("with reported_errors(Path('o')): raise UserError('give less')", UserError, "^give less$"),
        ("with reported_errors(Path('o')): raise OSError(28, 'No space left on device', 'f')", UserError, "write to f"),
        ("with reported_errors(Path('o')): raise KeyError('x')", RuntimeError, "(?s)2 processes.*KeyError: 'x'"),
        ("print('a'); print('and b'); raise SystemExit(3)", RuntimeError, "(?s)exit code 3.*a\nand b"),
        ("print('exitcode  : -9 (SIGKILL)'); raise SystemExit(1)", UserError, "out of memory.*micro_batch_size"),
        ("pass", RuntimeError, "exit code 0"),
    ],
)
def test_a_failure_is_one_clear_message(follow: Any, program: str, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        follow(program)


@pytest.mark.parametrize(
    ("spoil", "taken"),
    [
        ("", True),
        ("(out / 'train.jsonl').unlink()", False),
        ("(out / 'model.safetensors').write_bytes((out / 'model.safetensors').read_bytes()[:-4])", False),
        ("emit(raised='late')", False),
    ],
)
def test_a_told_result_outlives_a_process_that_dies_at_its_end(
    follow: Any, spoil: str, taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only with a checkpoint that is whole, and no error."""
    import torch
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(8)}, tmp_path / "model.safetensors")
    (tmp_path / "train.jsonl").touch()
    monkeypatch.setattr("tests.training.test_launch.JOB", replace(JOB, out=str(tmp_path)))
    program = f"out = Path({str(tmp_path)!r})\nemit(result={{'loss': 0.5}})\n{spoil}\nos.abort()"
    if taken:
        assert follow(program) == {"loss": 0.5}
    else:
        with pytest.raises(RuntimeError, match="exit code -6"):
            follow(program)


def test_a_process_that_has_done_its_work_ends_well(follow: Any) -> None:
    assert follow("import atexit\natexit.register(os.abort)\nemit(result={'loss': 0.5})\nend()") == {"loss": 0.5}


@pytest.mark.parametrize(
    ("raised", "kind", "says"),
    [
        ("torch.OutOfMemoryError('CUDA out of memory')", UserError, "gradient_checkpointing: true"),
        ('RuntimeError("DefaultCPUAllocator: can\'t allocate memory: you tried")', UserError, "out of memory"),
        ("SafetensorError('I/O error: No space left on device (os error 28)')", OSError, "No space left"),
        ("RuntimeError('[enforce fail at inline_container] . PytorchStreamWriter failed writing')", OSError, "space"),
        ("RuntimeError('shapes')", RuntimeError, "shapes"),
    ],
)
def test_want_of_memory_and_room_are_recognised(raised: str, kind: type[Exception], says: str) -> None:
    import torch
    from safetensors import SafetensorError

    names = {"torch": torch, "SafetensorError": SafetensorError}
    with pytest.raises(kind, match=says), launch.mendable_errors(Path("out")):
        raise eval(raised, names)


def test_launched_processes_end_with_the_step(tmp_path: Path) -> None:
    """A killed step can clean nothing up; its processes, of which the launcher is only one, see that it is gone."""
    grandchild = "import time; from harness.training.launch import die_with_parent; die_with_parent(); time.sleep(60)"
    launcher = f"""
import subprocess, sys
process = subprocess.Popen([sys.executable, "-c", {grandchild!r}])
print(process.pid, flush=True)
process.wait()
"""
    step = f"""
import sys
from harness.training import launch
with launch._running([sys.executable, "-c", {launcher!r}]) as process:
    print(process.pid, process.stdout.readline(), flush=True)
    process.wait()
"""
    with subprocess.Popen([sys.executable, "-c", step], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
        process.kill()
    deadline = time.monotonic() + 30
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_interrupted_step_kills_what_it_launched() -> None:
    with pytest.raises(KeyboardInterrupt), launch._running([sys.executable, "-c", "import time; time.sleep(60)"]) as it:
        raise KeyboardInterrupt
    assert it.returncode == -9
    with pytest.raises(ProcessLookupError):
        os.killpg(it.pid, 0)


@pytest.mark.parametrize(
    ("name", "processes", "says"),
    [
        ("fdsp", 2, "unknown accelerate config 'fdsp'; did you mean 'fsdp'"),
        ("single", 2, "one process, not 2; .* accelerate: fsdp"),
        ("deepspeed_zero3", 2, "needs DeepSpeed; install deepspeed"),
    ],
)
def test_what_cannot_be_launched_is_refused_in_one_line(
    name: str, processes: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "find_spec", lambda package: None)
    with pytest.raises(UserError, match=says):
        require_launchable(name, processes)


def test_the_configs_are_ones_that_accelerate_reads() -> None:
    from accelerate.commands.config.config_args import ClusterConfig

    for path in (CONFIGS / "accelerate").glob("*.yaml"):
        assert accelerate_config(path.stem) == path
        read = ClusterConfig.from_yaml_file(str(path))
        assert read.distributed_type.value == yaml.safe_load(path.read_text())["distributed_type"]

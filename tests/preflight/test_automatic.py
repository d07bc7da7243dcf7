"""The look before a run is a process of its own: it ends with the run, and leaves nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def processes_with(mark: str) -> list[int]:
    """Of those that are no zombies, the ones whose environment holds `mark`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def wait_for(condition: object, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def command(tmp_path: Path) -> "subprocess.Popen[str]":
    (tmp_path / "tmp").mkdir()
    arguments = ["reproduce", "table3", "--fast", "--methods", "sft"]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.tiny_harness", *arguments, "--run-dir", str(tmp_path / "run")],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp"), "HARNESS_TEST": str(tmp_path)},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_look_before_a_run_ends_with_it(tmp_path: Path, command: "subprocess.Popen[str]", number: int) -> None:
    assert command.stderr is not None
    for line in command.stderr:  # the next thing it does is to look
        if line.startswith("in all"):
            break
    mark = f"TMPDIR={tmp_path / 'tmp'}/harness-"
    assert wait_for(lambda: processes_with(mark), 20)
    assert not list((tmp_path / "run").glob("store/*/.partial-*"))
    command.send_signal(number)
    rest = command.stderr.read()
    assert command.wait() == (-number if number == signal.SIGKILL else 128 + number)
    assert number == signal.SIGKILL or rest.splitlines()[-1].startswith("error: interrupted")
    assert wait_for(lambda: not processes_with(str(tmp_path)) and not list((tmp_path / "tmp").iterdir()), 5)

"""Temporary files and processes of a command are gone when it ends, however it ends."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from harness.engine.scratch import scratch, temporary_folder
from harness.errors import UserError

COMMAND = """
import subprocess, sys, tempfile, time
from pathlib import Path
from harness.engine.scratch import scratch, temporary_folder
from harness.engine.signals import endings_interrupt

with endings_interrupt(), scratch(), temporary_folder() as folder:
    (folder / "rows").write_text("of a data set")
    tempfile.mkdtemp()  # as a library does, without removing it
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE, start_new_session=True)
    child.stdout.readline()
    print(child.pid, flush=True)
    time.sleep(float(sys.argv[1]))
"""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def start(place: Path, seconds: float) -> tuple["subprocess.Popen[str]", int]:
    """A command with temporary files and a process in a session of its own, and that process's id."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(seconds)],
        env={**os.environ, "TMPDIR": str(place)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def is_clear(place: Path, child: int, seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not is_running(child) and not list(place.iterdir()):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_nothing_is_left_of_a_command_that_is_ended(tmp_path: Path, number: int) -> None:
    process, child = start(tmp_path, 60)
    assert is_running(child) and list(tmp_path.iterdir())
    process.send_signal(number)
    process.wait()
    assert is_clear(tmp_path, child)


def test_nothing_is_left_of_a_command_that_ends_by_itself(tmp_path: Path) -> None:
    process, child = start(tmp_path, 0)
    process.wait()
    assert is_clear(tmp_path, child, seconds=0.5)  # the command has waited for it


def test_what_others_run_is_left_alone(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env={"TMPDIR": str(tmp_path)})
    try:
        process, child = start(tmp_path, 0)
        process.wait()
        assert is_clear(tmp_path, child)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_contexts_inside_one_another_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with scratch() as outer:
        with scratch() as inner, temporary_folder() as folder:
            assert inner == outer == folder.parent == Path(tempfile.gettempdir())
        assert outer.is_dir() and not folder.exists()
        assert os.environ["TMPDIR"] == str(outer)
    assert not outer.exists()
    assert (os.environ["TMPDIR"], tempfile.gettempdir()) == (str(tmp_path), str(tmp_path))


def test_what_libraries_noted_of_the_folder_is_forgotten_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBRARY_ELSEWHERE", "/elsewhere")
    with scratch() as folder:
        os.environ["LIBRARY_CACHE"] = str(folder / "cache")  # as torch does of its compiler's
    assert "LIBRARY_CACHE" not in os.environ
    assert os.environ["LIBRARY_ELSEWHERE"] == "/elsewhere"


def test_a_place_that_cannot_be_written_to_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr("harness.engine.scratch.keeper.__file__", "/nowhere.py")
    with pytest.raises(UserError, match=r"cannot make a temporary folder .*; set TMPDIR"), scratch():
        pass

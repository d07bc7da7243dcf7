"""One folder for all temporary files of a command and of every process it starts, gone however the command ends.

A process of its own (`harness.engine.keeper`) makes it. When this process is through, or is no more, it kills what
still runs of the command and removes the folder: also after SIGKILL, when nothing here can tidy up.
"""

import contextlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.engine import keeper
from harness.engine.processes import start_resource_tracker
from harness.errors import UserError

_TMPDIR = "TMPDIR"
_active: list[Path] = []


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Provide the folder, as TMPDIR for processes started inside, until the outermost of these contexts is left.

    In a process that was started inside, it is that one's. Raises UserError where none can be made.
    """
    if _active or multiprocessing.parent_process() is not None:
        yield Path(tempfile.gettempdir())
        return
    start_resource_tracker()  # Python's own, which is this process's for longer than the folder is
    process, folder = _start_keeper()
    before = os.environ.get(_TMPDIR)
    _active.append(folder)
    _use(str(folder))
    try:
        yield folder
    finally:
        _active.clear()
        _use(before)
        _forget(folder)
        process.communicate()  # closes its standard input, which it waits for, and waits for it


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Provide a folder of its own in `scratch`, removed on leaving. Raises UserError where none can be made."""
    with scratch() as place, tempfile.TemporaryDirectory(dir=place, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _start_keeper() -> tuple["subprocess.Popen[bytes]", Path]:
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", keeper.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C and the end of the terminal are not for it
    )
    assert process.stdout is not None
    name = process.stdout.readline().rstrip(b"\n")
    if not name:
        process.communicate()
        raise UserError(f"cannot make a temporary folder ({_why_not()}); set TMPDIR to a folder that can be written to")
    return process, Path(os.fsdecode(name))


def _why_not() -> str:
    try:
        tempfile.TemporaryFile().close()
    except OSError as error:
        return str(error.strerror)
    return "its keeper did not start"


def _forget(folder: Path) -> None:
    """Drop what libraries have noted in the environment of places in `folder`: they would make it once more."""
    for name, value in list(os.environ.items()):
        if value.startswith(f"{folder}{os.sep}"):
            del os.environ[name]


def _use(folder: str | None) -> None:
    """Make `tempfile`, here and in processes started from now on, use `folder`; None: the system's default."""
    if folder is None:
        os.environ.pop(_TMPDIR, None)
    else:
        os.environ[_TMPDIR] = folder
    tempfile.tempdir = None

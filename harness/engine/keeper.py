"""A process that outlives a command by moments: it removes the command's temporary files, and what still runs of it.

Started by `harness.engine.scratch` as a file, by an interpreter without site packages: it has the standard library
alone.
"""

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MAX_SECONDS = 10.0
"""Seconds to go on for: what is in the system's hands (a dump, a driver) may take some to die."""


def main() -> None:
    """Make a folder for temporary files, print its name, and wait for the end of the command's stdin."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # what ends the command may be sent to its processes
        signal.signal(number, signal.SIG_IGN)
    folder = Path(tempfile.mkdtemp(prefix="harness-"))
    try:
        print(folder, flush=True)
        sys.stdin.buffer.read()
    finally:
        clear(folder)


def clear(folder: Path) -> None:
    """Kill every process whose folder for temporary files is `folder`, and remove it."""
    deadline = time.monotonic() + MAX_SECONDS
    while time.monotonic() < deadline:
        running = list(_users_of(folder))
        for process in running:
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
        if not running and not folder.exists():
            return
        time.sleep(0.05)


def _users_of(folder: Path) -> Iterator[int]:
    """Yield this user's processes that were started with it; none without /proc: there they end by themselves."""
    mark = b"TMPDIR=" + os.fsencode(folder)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()  # empty for one that has ended and is not yet gone
        except OSError:  # another user's, or gone
            continue
        if mark in environment.split(b"\0"):
            yield int(process.name)


if __name__ == "__main__":
    main()

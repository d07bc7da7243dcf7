"""What ends a command from outside, in processes of their own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

COMMAND = """
import os, sys, time
from harness.engine.signals import endings_interrupt, interrupted_code

with endings_interrupt() as heard:
    try:
        {slept}
    except KeyboardInterrupt:
        sys.exit(interrupted_code(heard))
"""
SLEEP = 'print("up", flush=True), time.sleep(60)'


def ended(folder: Path, slept: str, number: int, **settings: object) -> int:
    (folder / "command.py").write_text(COMMAND.format(slept=slept))
    process = subprocess.Popen(
        [sys.executable, "-m", "command"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        **settings,  # type: ignore[call-overload]
    )
    process.stdout.readline()
    process.send_signal(number)
    process.communicate(timeout=20)
    return int(process.returncode)


@pytest.mark.parametrize("slept", [SLEEP, f"exec({SLEEP!r})"], ids=["in code", "in code given as text"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_exit_code_tells_what_ended_it(tmp_path: Path, slept: str, number: int) -> None:
    assert ended(tmp_path, slept, number) == 128 + number


def test_what_is_ignored_stays_ignored(tmp_path: Path) -> None:
    wait = 'print("up", flush=True), time.sleep(0.5), sys.exit(7)'
    ignored = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    assert ended(tmp_path, wait, signal.SIGHUP, **ignored) == 7

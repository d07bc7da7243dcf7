"""Fixtures for the whole suite."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from harness import cli
from harness.core.store import Store
from tests.command import Harness, Outcome
from tests.mends import absent, command_of, mends
from tests.plugins import hide_installed

hide_installed()  # before any registry reads them

# On a busy machine drawing an example can take seconds; that says nothing of the code. The examples are the same in
# every run, so that a suite that fails means a program that changed; `--hypothesis-profile=random` draws others.
settings.register_profile("random", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("suite", settings.get_profile("random"), derandomize=True)
settings.load_profile("suite")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as where a shell started the tests in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Harness:
    """Runs the command in this process, in an empty folder. No message may name an option that it does not have."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["harness", *map(str, arguments)])
        capfd.readouterr()
        exit_code: Any = 0
        try:
            cli.main()
        except SystemExit as stop:
            exit_code = stop.code
        outcome = Outcome(exit_code, *capfd.readouterr())
        if command := command_of([str(each) for each in arguments]):
            for line in mends(command, outcome.out, outcome.err):
                assert absent(command, line) == [], line
        return outcome

    return run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "store")


SHARED_DATA = Path(os.environ.get("HARNESS_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public benchmark data; skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the shared data: ../shared/data, or the folder that HARNESS_SHARED_DATA names, is not there")
    return SHARED_DATA

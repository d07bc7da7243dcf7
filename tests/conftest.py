"""Fixtures for the whole suite."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as in the workers of a run: it can change the last bit of a sum

os.environ.pop("COLUMNS", None)  # which processes of pytest-xdist are given

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from harness.cli import app
from harness.engine import pipeline
from harness.engine.store import Store
from harness.models.hf import load_checkpoint
from harness.models.references import checkpoint_folder
from tests.command import Harness, Outcome, use_one_worker
from tests.in_process import InThisProcess
from tests.mends import absent, command_of, mends
from tests.plugins import hide_installed

hide_installed()  # before any registry reads them
use_one_worker()

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
            app.main()
        except SystemExit as stop:
            exit_code = stop.code
        outcome = Outcome(exit_code, *capfd.readouterr())
        if command := command_of([str(each) for each in arguments]):
            for line in mends(command, outcome.out, outcome.err):
                assert absent(command, line) == [], line
        return outcome

    return run


@pytest.fixture(scope="module")
def in_this_process() -> Iterator[None]:
    """Has the runs of a module make their steps in this process, not in workers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "_executor", InThisProcess)
        yield


@pytest.fixture
def without_preflight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the checks before a run, which have tests of their own."""
    monkeypatch.setattr("harness.commands.reproduce.preflight", lambda *_: None)


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


@pytest.fixture(scope="session")
def base() -> Path:
    """The packaged Llama."""
    return checkpoint_folder("mini:llama")


@pytest.fixture(scope="session")
def disturbed(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged Llama with noise added to all of its weights."""
    import torch

    folder = tmp_path_factory.mktemp("disturbed")
    model, tokenizer = load_checkpoint(base)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weights in model.parameters():
            weights += 0.02 * torch.randn(weights.shape, generator=generator)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

"""`harness prefetch`, and runs that touch no network after it."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.hub_harness import DATA, MODEL, publish
from tests.hub_server import COMMIT, MODELS, HubServer, serving

ROOT = Path(__file__).parents[2]
WHAT = ("table3", "--methods", "sft", "--models", "llama")
BLOCKER = """
import os, socket

class Blocked(socket.socket):
    def __init__(self, family=-1, *arguments, **others):
        if family != socket.AF_UNIX:
            refuse(f"socket of family {family}")
        super().__init__(family, *arguments, **others)

def refuse(what, *_, **__):
    with open(os.environ["ATTEMPTS"], "a") as file:
        file.write(f"{what}\\n")
    raise OSError("the network is blocked")

socket.socket, socket.getaddrinfo = Blocked, refuse
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    publish(tmp_path / "hub")
    with serving(tmp_path / "hub") as server:
        yield server


@pytest.fixture
def environment(hub: HubServer, tmp_path: Path) -> Mapping[str, str]:
    """In which the hub is the stand-in and its cache empty."""
    own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    return {**inherited, **own}


@pytest.fixture
def blocked(environment: Mapping[str, str], tmp_path: Path) -> Mapping[str, str]:
    """In which every Python process fails to open a socket but to its own machine's processes, and writes it down."""
    (tmp_path / "blocker").mkdir()
    (tmp_path / "blocker" / "sitecustomize.py").write_text(BLOCKER)
    path = f"{tmp_path / 'blocker'}{os.pathsep}{ROOT}"
    return {**environment, "PYTHONPATH": path, "ATTEMPTS": str(tmp_path / "attempts")}


def harness(environment: Mapping[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.hub_harness", *arguments],
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        text=True,
    )


def test_after_prefetch_a_run_touches_no_network(
    hub: HubServer, environment: Mapping[str, str], blocked: Mapping[str, str], tmp_path: Path
) -> None:
    fetched = harness(environment, tmp_path, "prefetch", *WHAT)
    assert fetched.returncode == 0, fetched.stderr
    lines = fetched.stdout.splitlines()
    assert f"model     {MODEL} @ {COMMIT[:12]}  1.0 MB  fetched" in lines
    assert [line for line in lines if line.startswith(f"data set  {DATA} (demonstrations) @ {COMMIT[:12]}")]
    assert lines[-1] == f"kept in {tmp_path / 'home' / 'hub'}"
    asked = len(hub.requests)

    done = harness(blocked, tmp_path, "reproduce", *WHAT, "--offline")
    assert done.returncode == 0, done.stderr
    assert not Path(blocked["ATTEMPTS"]).exists(), Path(blocked["ATTEMPTS"]).read_text()
    assert len(hub.requests) == asked
    assert "SFT" in done.stdout

    again = harness(environment, tmp_path, "prefetch", *WHAT)
    assert f"model     {MODEL} @ {COMMIT[:12]}  1.0 MB  was there" in again.stdout.splitlines()


def test_the_network_is_blocked_where_it_is_said_to_be(blocked: Mapping[str, str], tmp_path: Path) -> None:
    done = harness(blocked, tmp_path, "reproduce", *WHAT)
    assert done.returncode == 2
    assert Path(blocked["ATTEMPTS"]).read_text()


def test_offline_what_was_not_fetched_is_one_line_that_names_prefetch(
    blocked: Mapping[str, str], tmp_path: Path
) -> None:
    done = harness(blocked, tmp_path, "reproduce", *WHAT, "--offline")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()[-1:]
    assert (
        line.startswith("error: the model maker/tiny-llama is not completely in the local cache")
        and "harness prefetch" in line
    )
    assert not Path(blocked["ATTEMPTS"]).exists()


def test_what_cannot_be_fetched_is_named_and_the_rest_is_fetched(
    hub: HubServer, environment: Mapping[str, str], tmp_path: Path
) -> None:
    (hub.folder / MODELS / MODEL / "model.safetensors").unlink()
    done = harness(environment, tmp_path, "prefetch", *WHAT)
    assert done.returncode == 2
    assert f"missing   {MODEL} @ {COMMIT[:12]}: " in done.stdout and "(demonstrations)" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("error: 1 could not be fetched, of which the first: the model maker")


def test_a_file_that_is_not_there_is_not_told_as_nothing_needed(environment: Mapping[str, str], tmp_path: Path) -> None:
    done = harness(environment, tmp_path, "prefetch", "table3", "--scale", "small")
    assert done.returncode == 2 and "nothing of the hub" not in done.stdout
    assert "run `harness data split` (docs/small.md)" in done.stderr.splitlines()[-1]


def test_prefetch_does_not_work_offline(environment: Mapping[str, str], tmp_path: Path) -> None:
    done = harness({**environment, "HF_HUB_OFFLINE": "1"}, tmp_path, "prefetch", *WHAT)
    assert done.returncode == 2 and "HF_HUB_OFFLINE is set" in done.stderr


def test_the_embedded_scale_needs_nothing_of_the_hub_and_endpoints_cannot_be_fetched(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "harness", "prefetch", "table3", "--teacher", "openai:gpt@http://127.0.0.1:9/v1"]
    done = subprocess.run(command, cwd=tmp_path, env=dict(environment), capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "nothing of the hub is needed"
    assert "cannot be fetched; the run asks it" in done.stdout

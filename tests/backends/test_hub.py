import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.backends.hub import NotOnHub, fetch, file_names
from harness.core.errors import UserError
from tests.hub_server import COMMIT, HubServer, serving, use_hub

SET = "someone/answers"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    folder = tmp_path / "hub" / SET
    (folder / "data" / "v1").mkdir(parents=True)
    (folder / "top.json").write_text("[1]")
    (folder / "data" / "v1" / "deep.jsonl").write_text("{}\n")
    with serving(tmp_path / "hub") as server:
        use_hub(monkeypatch, server.url, tmp_path / "cache")
        yield server


@pytest.mark.parametrize(("name", "content"), [("top.json", "[1]"), ("data/v1/deep.jsonl", "{}\n")])
def test_a_file_is_fetched_with_the_commit_it_comes_from(hub: HubServer, name: str, content: str) -> None:
    fetched = fetch(SET, name)
    assert fetched.path.read_text() == content
    assert fetched.source == f"{SET}@{COMMIT[:12]}"


def test_a_fetched_file_is_sent_once_and_found_when_the_hub_is_down(hub: HubServer) -> None:
    first = fetch(SET, "top.json")
    assert fetch(SET, "top.json") == first
    hub.failing = True
    assert fetch(SET, "top.json") == first
    assert len(hub.downloads()) == 1


def test_a_revision_can_be_asked_for(hub: HubServer) -> None:
    fetch(SET, "top.json", COMMIT)
    assert hub.downloads() == [f"/datasets/{SET}/resolve/{COMMIT}/top.json"]


@pytest.mark.parametrize(
    ("repository", "name", "revision", "complaint"),
    [
        (SET, "gone.json", None, f"the data set {SET} on the hub has no file gone.json"),
        (SET, "gone.json", COMMIT, f"no file gone.json at revision {COMMIT}"),
        (SET, "top.json", "v9", f"the data set {SET} on the hub has no revision 'v9'"),
        ("someone/else", "top.json", None, r"cannot fetch top.json .*\(RepositoryNotFoundError\); pass --data FOLDER"),
        ("no such/name", "top.json", None, r"cannot fetch top.json .*\(HFValidationError\); pass --data FOLDER"),
    ],
)
def test_what_the_hub_does_not_have_is_one_line(
    hub: HubServer, repository: str, name: str, revision: str | None, complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint) as caught:
        fetch(repository, name, revision)
    assert isinstance(caught.value, NotOnHub) == (name == "gone.json")


def test_an_unreachable_hub_is_one_line_that_says_what_to_pass_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path) as closed:
        pass
    use_hub(monkeypatch, closed.url, tmp_path / "cache")
    with pytest.raises(UserError, match=r"cannot fetch top.json .* pass --lc-calibration FILE to read it from this"):
        fetch(SET, "top.json", instead="--lc-calibration FILE")
    assert file_names(SET, "data") == []


def test_a_failing_hub_is_one_line(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.failing = True
    with pytest.raises(UserError, match=r"cannot fetch top.json .* pass --data FOLDER"):
        fetch(SET, "top.json")


def test_the_files_of_a_folder_are_listed(hub: HubServer) -> None:
    assert file_names(SET, "data/v1") == ["deep.jsonl"]
    assert file_names(SET, "nowhere") == []


def test_the_hub_is_the_one_that_the_environment_names(hub: HubServer, tmp_path: Path) -> None:
    code = f"from harness.backends.hub import fetch; print(fetch({SET!r}, 'top.json').path.read_text())"
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[1]\n"


def test_an_unreachable_hub_is_given_up_without_retries_and_in_silence(tmp_path: Path) -> None:
    with serving(tmp_path) as closed:
        pass
    code = f"""
from harness.backends.hub import fetch
from harness.core.errors import UserError
try:
    fetch({SET!r}, "top.json")
except UserError as error:
    print(error)
"""
    environment = {**os.environ, "HF_ENDPOINT": closed.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "cannot fetch top.json" in done.stdout and "(ConnectError)" in done.stdout
    assert done.stderr == "", "huggingface_hub speaks of each retry"


def test_a_fetched_file_is_found_when_the_hub_is_gone(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fetch(SET, "top.json")
    with serving(tmp_path) as closed:
        pass
    monkeypatch.setenv("HF_ENDPOINT", closed.url)
    assert fetch(SET, "top.json") == first

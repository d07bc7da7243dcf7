import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.endpoints.endpoint import endpoint_client
from harness.endpoints.reference import endpoint_reference
from harness.errors import UserError
from harness.models.hub import NotFetched, NotOnHub, at_commit, fetch_file, file_names, hub_repository
from harness.network import OFFLINE_VARIABLES, go_offline
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
    fetched = fetch_file(SET, name)
    assert fetched.path.read_text() == content
    assert fetched.source == f"{SET}@{COMMIT[:12]}"


def test_a_fetched_file_is_sent_once_and_found_when_the_hub_is_down(hub: HubServer) -> None:
    first = fetch_file(SET, "top.json")
    assert fetch_file(SET, "top.json") == first
    hub.failing = True
    assert fetch_file(SET, "top.json") == first
    assert len(hub.downloads()) == 1


def test_a_revision_can_be_asked_for(hub: HubServer) -> None:
    fetch_file(SET, "top.json", COMMIT)
    assert hub.downloads() == [f"/datasets/{SET}/resolve/{COMMIT}/top.json"]


@pytest.mark.parametrize(
    ("repository", "name", "revision", "complaint"),
    [
        (SET, "gone.json", None, f"the data set {SET} on the hub has no file gone.json"),
        (SET, "gone.json", COMMIT, f"no file gone.json at revision {COMMIT}"),
        (SET, "top.json", "v9", f"the data set {SET} on the hub has no revision 'v9'"),
        ("someone/else", "top.json", None, r"cannot fetch top.json .*\(RepositoryNotFoundError\); fix that"),
        ("no such/name", "top.json", None, r"cannot fetch top.json .*\(HFValidationError\); fix that"),
    ],
)
def test_what_the_hub_does_not_have_is_one_line(
    hub: HubServer, repository: str, name: str, revision: str | None, complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint) as caught:
        fetch_file(repository, name, revision)
    assert isinstance(caught.value, NotOnHub) == (name == "gone.json")


def test_an_unreachable_hub_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path) as closed:
        pass
    use_hub(monkeypatch, closed.url, tmp_path / "cache")
    with pytest.raises(NotFetched, match=r"cannot fetch top.json .*; fix that and run the same command again$"):
        fetch_file(SET, "top.json")
    assert file_names(SET, "data") == []


def test_a_failing_hub_is_one_line(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.failing = True
    with pytest.raises(UserError, match=r"cannot fetch top.json .*; fix that"):
        fetch_file(SET, "top.json")


def test_the_files_of_a_folder_are_listed(hub: HubServer) -> None:
    assert file_names(SET, "data/v1") == ["deep.jsonl"]
    assert file_names(SET, "nowhere") == []


def test_the_hub_is_the_one_that_the_environment_names(hub: HubServer, tmp_path: Path) -> None:
    code = f"from harness.models.hub import fetch_file; print(fetch_file({SET!r}, 'top.json').path.read_text())"
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[1]\n"


def test_an_unreachable_hub_is_given_up_without_retries_and_in_silence(tmp_path: Path) -> None:
    with serving(tmp_path) as closed:
        pass
    code = f"""
from harness.models.hub import fetch_file
from harness.errors import UserError
try:
    fetch_file({SET!r}, "top.json")
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
    first = fetch_file(SET, "top.json")
    with serving(tmp_path) as closed:
        pass
    monkeypatch.setenv("HF_ENDPOINT", closed.url)
    assert fetch_file(SET, "top.json") == first


def test_a_gated_data_set_is_one_line(hub: HubServer) -> None:
    hub.gated.add(SET)
    with pytest.raises(UserError, match=f"the data set {SET} is gated: accept its terms"):
        fetch_file(SET, "top.json")


@pytest.mark.parametrize(
    ("reference", "pinned"),
    [
        (SET, f"{SET}@{COMMIT}"),
        (f"{SET}@{COMMIT[::-1]}", f"{SET}@{COMMIT[::-1]}"),
        ("mini:llama", "mini:llama"),
        ("/data/set.jsonl", "/data/set.jsonl"),
        ("data/small/set.jsonl", "data/small/set.jsonl"),
        ("https://host/owner/name", "https://host/owner/name"),
    ],
)
def test_a_commit_is_put_to_a_repository_without_one(reference: str, pinned: str) -> None:
    assert at_commit(reference, COMMIT) == pinned
    assert at_commit(reference, "a digest of something else") == reference


@pytest.mark.parametrize("reference", ["mini:llama", "folder", "a/b/c", "gguf:package/file.gguf", "stored:a/b.jsonl"])
def test_what_names_no_repository_is_not_asked_for(hub: HubServer, reference: str) -> None:
    assert hub_repository("model", reference) is None
    assert hub.requests == []


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after --offline, until the test ends."""
    from huggingface_hub import constants

    for name in OFFLINE_VARIABLES:
        monkeypatch.setenv(name, "0")  # so that it is put back
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    go_offline()


def test_offline_a_file_that_was_not_fetched_is_one_line_that_names_prefetch(hub: HubServer, offline: None) -> None:
    with pytest.raises(UserError, match=r"cannot fetch top.json .*; run `harness prefetch` where there is a network$"):
        fetch_file(SET, "top.json")
    assert hub.requests == []


def test_processes_that_are_started_offline_are_offline(offline: None) -> None:
    code = "from harness.network import is_offline, network_is_refused; print(is_offline(), network_is_refused())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"


def test_offline_no_endpoint_on_another_machine_is_asked(offline: None) -> None:
    endpoint_client(endpoint_reference("judge", "http://127.0.0.1:8000/v1"), "key", 1.0, 1000)
    with pytest.raises(UserError, match="is on another machine, which --offline rules out"):
        endpoint_client(endpoint_reference("judge"), "key", 1.0, 1000)

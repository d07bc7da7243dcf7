import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.endpoints.endpoint import endpoint_client
from harness.endpoints.reference import endpoint_reference
from harness.errors import UserError
from harness.models.hub import NotFetched, NotOnHub, Repository, at_commit, hub_repository, newest
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
    on_hub = newest("dataset", SET)
    assert on_hub.file(name).read_text() == content
    assert on_hub.source == f"{SET}@{COMMIT[:12]}"


def test_a_fetched_file_is_sent_once_and_found_when_the_hub_is_down(hub: HubServer) -> None:
    first = newest("dataset", SET).file("top.json")
    assert newest("dataset", SET).file("top.json") == first
    hub.failing = True
    assert newest("dataset", SET).file("top.json") == first
    assert len(hub.downloads()) == 1


def test_a_revision_can_be_asked_for(hub: HubServer) -> None:
    Repository("dataset", SET, COMMIT).file("top.json")
    assert hub.downloads() == [f"/datasets/{SET}/resolve/{COMMIT}/top.json"]


@pytest.mark.parametrize(
    ("repository", "name", "complaint"),
    [
        (SET, "gone.json", f"the data set {SET}@{COMMIT[:12]} has no file gone.json"),
        ("someone/else", "top.json", "the hub has no data set someone/else, or you have no access to it"),
        ("no such/name", "top.json", "'no such/name' cannot be a data set on the hub"),
    ],
)
def test_what_the_hub_does_not_have_is_one_line(hub: HubServer, repository: str, name: str, complaint: str) -> None:
    with pytest.raises(NotFetched, match=complaint) as caught:
        newest("dataset", repository).file(name)
    assert isinstance(caught.value, NotOnHub) == (name == "gone.json")


def test_a_commit_that_the_hub_does_not_have_is_one_line(hub: HubServer) -> None:
    with pytest.raises(NotFetched, match=f"the data set {SET} on the hub has no revision 'v9'"):
        Repository("dataset", SET, "v9").file("top.json")


def test_an_unreachable_hub_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path) as closed:
        pass
    use_hub(monkeypatch, closed.url, tmp_path / "cache")
    with pytest.raises(NotFetched, match=f"^the data set {SET} is not .* cannot be asked .*; try again, or run"):
        newest("dataset", SET).file("top.json")


def test_a_failing_hub_is_one_line(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.failing = True
    with pytest.raises(UserError, match=r"cannot be asked \(HfHubHTTPError\); try again"):
        newest("dataset", SET).file("top.json")


def test_the_hub_is_the_one_that_the_environment_names(hub: HubServer, tmp_path: Path) -> None:
    code = f"from harness.models.hub import newest; print(newest('dataset', {SET!r}).file('top.json').read_text())"
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[1]\n"


def test_an_unreachable_hub_is_given_up_without_retries_and_in_silence(tmp_path: Path) -> None:
    with serving(tmp_path) as closed:
        pass
    code = f"""
from harness.models.hub import newest
from harness.errors import UserError
try:
    newest("dataset", {SET!r}).file("top.json")
except UserError as error:
    print(error)
"""
    environment = {**os.environ, "HF_ENDPOINT": closed.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "is not completely in the local cache" in done.stdout and "(ConnectError)" in done.stdout
    assert done.stderr == "", "huggingface_hub speaks of each retry"


def test_a_fetched_file_is_found_when_the_hub_is_gone(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = newest("dataset", SET).file("top.json")
    with serving(tmp_path) as closed:
        pass
    monkeypatch.setenv("HF_ENDPOINT", closed.url)
    assert newest("dataset", SET).file("top.json") == first


def test_a_gated_data_set_is_one_line(hub: HubServer) -> None:
    hub.gated.add(SET)
    with pytest.raises(UserError, match=f"the data set {SET} is gated: accept its terms"):
        newest("dataset", SET).file("top.json")


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
    with pytest.raises(UserError, match="the hub is not asked offline; run `harness prefetch`"):
        newest("dataset", SET).file("top.json")
    assert hub.requests == []


def test_processes_that_are_started_offline_are_offline(offline: None) -> None:
    code = "from harness.network import is_offline, network_is_refused; print(is_offline(), network_is_refused())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"


def test_offline_no_endpoint_on_another_machine_is_asked(offline: None) -> None:
    endpoint_client(endpoint_reference("judge", "http://127.0.0.1:8000/v1"), "key", 1.0, 1000)
    with pytest.raises(UserError, match="is on another machine, which --offline rules out"):
        endpoint_client(endpoint_reference("judge"), "key", 1.0, 1000)

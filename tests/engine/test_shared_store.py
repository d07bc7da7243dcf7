import json
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from harness.engine.artifacts import Output, step
from harness.engine.compute import Compute
from harness.engine.pipeline import plan, run
from harness.engine.shared_store import SharedStore
from harness.engine.store import Store, open_store, place
from harness.errors import UserError
from tests.engine.sample_steps import Item, build, numbers, sample_graph, squares


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "file":
        yield f"file://{tmp_path / 'bucket'}"
        return
    yield "memory://bucket/run"
    fsspec.filesystem("memory").store.clear()


def machine(folder: Path, url: str) -> Store:
    """What one machine has of the store."""
    return Store(folder, SharedStore(url))


def test_what_one_machine_makes_another_finds_and_goes_on_from(url: str, tmp_path: Path):
    one, other = machine(tmp_path / "one", url), machine(tmp_path / "other", url)
    items = numbers(count=5)
    assert not other.has(items)
    assert one.build(items)
    assert other.has(items)
    assert other.record(items) == one.record(items)
    assert not other.folder(items).exists()  # known without its payload
    assert not other.build(items)
    assert other.build(squares(items=items))
    assert one.bind(squares(items=items)).rows(Item) == [
        Item(row.id, row.value**2) for row in other.bind(items).rows(Item)
    ]


def test_a_plan_looks_at_records_alone(url: str, tmp_path: Path):
    targets = sample_graph()
    one = machine(tmp_path / "one", url)
    run(targets, one, jobs=1) if url.startswith("file") else build(targets, one)
    other = machine(tmp_path / "other", url)
    assert plan(targets, other).missing == ()
    assert [path for path in other.root.rglob("*") if path.is_file()] == []
    assert other.bind(targets[0]).json("total.json") == other.record(targets[0])["counts"]["total"]


def test_half_of_an_artifact_is_not_found(url: str, tmp_path: Path):
    one, other = machine(tmp_path / "one", url), machine(tmp_path / "other", url)
    items = numbers(count=5)
    one.build(items)
    files, root = fsspec.core.url_to_fs(url)
    files.rm(f"{root}/{place(items)}/artifact.json")
    assert not other.has(items)
    assert not machine(tmp_path / "one", url).build(items)  # it lies there whole, so that it is pushed again
    assert other.has(items)


def test_an_artifact_made_before_there_was_a_shared_store_is_shared(url: str, tmp_path: Path):
    items = numbers(count=5)
    Store(tmp_path / "one").build(items)
    one = machine(tmp_path / "one", url)
    assert not one.has(items)
    assert not one.build(items)
    assert machine(tmp_path / "other", url).bind(items).rows(Item) == one.bind(items).rows(Item)


@step()
def succeed_at_second_try(out: Output, *, tries: str) -> None:
    before = len(Path(tries).read_text())
    Path(tries).write_text("x" * (before + 1))
    out.write_json("try.json", before)
    out.retry = before == 0


def test_what_is_made_again_for_failed_rows_replaces_the_first(url: str, tmp_path: Path):
    tries = tmp_path / "tries"
    tries.touch()
    artifact = succeed_at_second_try(tries=str(tries))
    one, other = machine(tmp_path / "one", url), machine(tmp_path / "other", url)
    one.build(artifact)
    assert not other.has(artifact)
    assert other.bind(artifact).json("try.json") == 0
    one.build(artifact)
    assert other.has(artifact)
    assert other.bind(artifact).json("try.json") == 1
    assert not one.build(artifact)


@step()
def nested(out: Output, *, beside: str) -> None:
    folder = out.folder / "deep" / "deeper"
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(b"\0\1")
    (out.folder / "link").symlink_to(beside)


def test_folders_and_links_arrive_as_files(url: str, tmp_path: Path):
    beside = tmp_path / "beside"
    beside.write_bytes(b"\2\3")
    artifact = nested(beside=str(beside))
    machine(tmp_path / "one", url).build(artifact)
    beside.unlink()
    found = machine(tmp_path / "other", url).bind(artifact).folder
    assert (found / "deep" / "deeper" / "file").read_bytes() == b"\0\1"
    assert (found / "link").read_bytes() == b"\2\3"


@pytest.mark.parametrize("url", ["nothing://bucket", "file:///proc/nowhere"])
def test_a_url_that_cannot_be_used_is_one_line(url: str, tmp_path: Path):
    store = open_store(tmp_path / "one", Compute(store=url))
    with pytest.raises(UserError, match=rf"^the store {url} cannot be used \(.+\); fix that, or give another URL"):
        run([numbers(count=1)], store, jobs=1)


@pytest.mark.parametrize(
    "url",
    [
        "s3://KEY:SECRET@bucket/run",
        "s3://KEY:SEC/RET@bucket",
        "https://SECRET@host",
        "filecache::s3://KEY:SECRET@bucket",
    ],
)
def test_a_url_with_credentials_is_refused_and_not_shown(url: str, tmp_path: Path):
    with pytest.raises(UserError, match=r"may hold no user and no password.*in the environment") as refused:
        open_store(tmp_path / "one", Compute(store=url))
    assert "SEC" not in str(refused.value).replace("AWS_SECRET_ACCESS_KEY", "")
    assert "RET@" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/a@b",
        "hdfs://host:8020/run",
        "abfss://container@account.dfs.core.windows.net/run",
        "sftp://[::1]:22/a",
    ],
)
def test_hosts_ports_and_containers_are_no_credentials(url: str):
    assert SharedStore(url).url == url


def test_a_record_that_is_half_written_is_none(tmp_path: Path):
    shared = SharedStore(f"file://{tmp_path}")
    record = tmp_path / "numbers" / "key" / "artifact.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"key": "k')
    assert shared.record("numbers/key") is None
    record.write_text(json.dumps({"key": "key"}))
    assert shared.record("numbers/key") == {"key": "key", "retry": False}

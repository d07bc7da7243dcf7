"""What is not what was written is named, with its folder and file, and made again; nothing else is."""

import json
import os
from pathlib import Path

import pytest

from harness.engine.artifact_folder import damaged_file
from harness.engine.artifacts import Artifact, Output, step
from harness.engine.compute import Compute
from harness.engine.pipeline import checked_plan, run
from harness.engine.shared_store import SharedStore
from harness.engine.store import Store
from harness.errors import UserError
from harness.run.evidence import look_at_files
from tests.engine.sample_steps import Item, numbers, squares, total


@step()
def weigh(out: Output, *, size: int) -> None:
    """A large file and a small one."""
    (out.folder / "model.safetensors").write_bytes(b"\0" * size)
    out.write_json("config.json", {"size": size})
    out.counts["size"] = size


def flip(path: Path, position: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def made(store: Store, *artifacts: Artifact) -> Store:
    """The store with these in it, as another process finds it."""
    for artifact in artifacts:
        store.build(artifact)
    return Store(store.root)


@pytest.fixture
def graph() -> list[Artifact]:
    items = numbers(count=5)
    return [items, squares(items=items), total(parts=[squares(items=items)])]


def test_what_is_as_it_was_written_is_found(store: Store, graph: list[Artifact], capsys: pytest.CaptureFixture[str]):
    steps = checked_plan(graph[-1:], made(store, *graph))
    assert (steps.found, steps.missing) == ((graph[-1],), ())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["rows.jsonl", ".rows.jsonl.mark"])
def test_a_flipped_byte_is_named_and_its_step_alone_made_again(
    store: Store, graph: list[Artifact], name: str, capsys: pytest.CaptureFixture[str]
):
    again = made(store, *graph)
    file = store.folder(graph[1]) / name
    before = file.read_bytes()
    flip(file, 0)
    run(graph, again, jobs=1)
    told = capsys.readouterr().err
    assert told.startswith(f"{file} is damaged: squares is made again\n")
    assert "[1/1] squares" in told
    assert file.read_bytes() == before
    assert again.staleness(graph).keys == set()
    run(graph, Store(store.root), jobs=1)
    assert capsys.readouterr().err == ""


def test_one_flipped_byte_of_a_large_file_is_found(store: Store):
    artifact = weigh(size=3_000_000)
    again = made(store, artifact)
    file = store.folder(artifact) / "model.safetensors"
    at = os.stat(file)
    flip(file, 2_500_000)
    os.utime(file, ns=(at.st_atime_ns, at.st_mtime_ns))
    assert again.damage(artifact) == "model.safetensors"
    assert again.discard(artifact) == "model.safetensors"
    assert not Store(store.root).has(artifact)


def test_every_file_is_read_once_a_run(store: Store, graph: list[Artifact], monkeypatch: pytest.MonkeyPatch):
    again = made(store, *graph)
    read: list[str] = []
    genuine = damaged_file
    monkeypatch.setattr(
        "harness.engine.store.damaged_file",
        lambda folder, record: (read.append(folder.name), genuine(folder, record))[1],
    )
    checked_plan(graph, again)
    run(graph, again)
    assert sorted(read) == sorted(artifact.key for artifact in graph)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda folder: (folder / "rows.jsonl").unlink(), "rows.jsonl"),
        (lambda folder: os.truncate(folder / "rows.jsonl", 3), "rows.jsonl"),
        (lambda folder: (folder / "artifact.json").unlink(), "artifact.json"),
        (lambda folder: (folder / "artifact.json").write_text("{"), "artifact.json"),
        (lambda folder: flip_word(folder / "artifact.json", '"rows": 5', '"rows": 7'), "artifact.json"),
        (lambda folder: flip_word(folder / "artifact.json", '"seconds": ', '"seconds": 1'), "artifact.json"),
    ],
)
def test_what_is_missing_or_cut_or_a_record_of_other_things_is_named(
    store: Store, graph: list[Artifact], spoil, named: str, capsys: pytest.CaptureFixture[str]
):
    again = made(store, *graph)
    spoil(store.folder(graph[0]))
    for _ in range(2):
        assert checked_plan([graph[0]], again).missing == (graph[0],)
    assert capsys.readouterr().err == (f"{store.folder(graph[0])}/{named} is damaged: numbers is made again\n")


def flip_word(path: Path, word: str, other: str) -> None:
    text = path.read_text()
    assert word in text
    path.write_text(text.replace(word, other))


def test_an_added_file_is_no_damage(store: Store, graph: list[Artifact]):
    again = made(store, *graph)
    (store.folder(graph[0]) / ".DS_Store").write_text("")
    assert again.damage(graph[0]) is None


def test_records_of_before_files_had_digests_still_tell(store: Store):
    artifact = weigh(size=10)
    again = made(store, artifact)
    path = store.folder(artifact) / "artifact.json"
    record = json.loads(path.read_text())
    del record["digests"], record["record_digest"], record["functions"]
    path.write_text(json.dumps(record))
    assert again.damage(artifact) is None
    flip(store.folder(artifact) / "model.safetensors")
    assert Store(store.root).damage(artifact) == "config.json or model.safetensors"
    del record["content"]
    path.write_text(json.dumps(record))
    assert Store(store.root).damage(artifact) is None


def test_what_another_process_has_replaced_meanwhile_is_not_thrown_away(store: Store, monkeypatch: pytest.MonkeyPatch):
    artifact = numbers(count=5)
    again = made(store, artifact)
    file = store.folder(artifact) / "rows.jsonl"
    flip(file)
    assert again.damage(artifact) == "rows.jsonl"
    flip(file)  # as if it had been made again
    assert again.discard(artifact) is None
    assert again.has(artifact)


def test_a_damaged_result_that_nobody_can_make_again_is_one_line(store: Store, tmp_path: Path):
    artifact = weigh(size=10)
    store.build(artifact)
    link = tmp_path / "checkpoint"
    link.symlink_to(store.folder(artifact))
    look_at_files([link], "warn")
    flip(store.folder(artifact) / "model.safetensors")
    with pytest.raises(UserError) as raised:
        look_at_files([link, tmp_path / "nowhere"], "warn")
    assert str(raised.value) == (
        f"{store.folder(artifact)}/model.safetensors is damaged; run the command that made it"
        " again, which makes this step again, or put a good copy there"
    )


def test_a_damaged_copy_of_what_is_shared_is_fetched_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    url, items = f"file://{tmp_path / 'bucket'}", numbers(count=5)
    Store(tmp_path / "one", SharedStore(url)).build(items)
    other = Store(tmp_path / "other", SharedStore(url))
    whole = other.bind(items).rows(Item)
    flip(other.folder(items) / "rows.jsonl")
    again = Store(tmp_path / "other", SharedStore(url))
    run([items], again, jobs=1, compute=Compute())
    assert "is damaged: numbers is fetched again" in capsys.readouterr().err
    assert again.bind(items).rows(Item) == whole
    flip(tmp_path / "bucket" / "numbers" / items.key / "rows.jsonl")
    with pytest.raises(UserError, match=r"bucket/numbers/.*: rows.jsonl is damaged; remove that"):
        Store(tmp_path / "third", SharedStore(url)).bind(items)

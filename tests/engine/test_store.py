import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from harness.engine import store as store_module
from harness.engine.code import code_digests
from harness.engine.locks import locked
from harness.engine.progress import Waiting
from harness.engine.store import Store
from harness.errors import UserError
from tests.engine.sample_steps import BATCH, Item, ask_user, numbers, squares, total


@pytest.fixture(autouse=True)
def executions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The keys of the steps executed so far."""
    path = tmp_path / "executions"
    monkeypatch.setenv("STEP_LOG", str(path))
    return lambda: [line.split()[0] for line in path.read_text().splitlines() if line.endswith(" start")]


def test_an_artifact_is_a_folder_with_payload_and_record(store: Store):
    items = numbers(count=3, seed=7)
    artifact = squares(items=items).append_label("of seven")
    assert not store.has(items)
    assert store.build(items)
    assert store.build(artifact)
    folder = store.root / "squares" / artifact.key
    assert store.folder(artifact) == folder
    assert sorted(path.name for path in folder.iterdir()) == [".rows.jsonl.mark", "artifact.json", "rows.jsonl"]
    record = store.record(artifact)
    assert record == json.loads((folder / "artifact.json").read_text())
    assert {name: record[name] for name in ("step", "version", "key", "label", "params", "inputs", "counts")} == {
        "step": "squares",
        "version": 1,
        "key": artifact.key,
        "label": "of seven",
        "params": {},
        "inputs": {"items": items.key},
        "counts": {"rows": 3},
    }
    assert store.record(items)["seed"] == 7
    assert set(record["provenance"]) == {"git", "packages", "python", "platform", "device"}
    assert record["started"] <= record["ended"]
    assert record["seconds"] >= 0


def test_a_record_holds_the_code_the_content_and_that_of_the_inputs(store: Store, tmp_path: Path):
    items, artifact = numbers(count=3), squares(items=numbers(count=3))
    other = Store(tmp_path / "other")
    for one in (items, artifact, numbers(count=4)):
        store.build(one)
        other.build(one)
    record = store.record(artifact)
    assert record["code"] == code_digests("tests.engine.sample_steps:squares")
    assert record["made_from"] == {items.key: store.record(items)["content"]}
    assert [record[name] for name in ("content", "made_from", "code")] == [
        other.record(artifact)[name] for name in ("content", "made_from", "code")
    ]
    assert len({store.record(one)["content"] for one in (items, artifact, numbers(count=4))}) == 3


@pytest.mark.parametrize("links", [True, False])
def test_an_artifact_of_another_store_is_taken_over(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
):
    def refuse(*args, **kwargs):
        raise OSError(18, "Invalid cross-device link")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    other, items = Store(tmp_path / "other"), numbers(count=3)
    other.build(items)
    store.adopt(items, other.folder(items))
    assert store.has(items)
    assert store.record(items) == other.record(items)
    rows = [each.folder(items) / "rows.jsonl" for each in (store, other)]
    assert rows[0].read_bytes() == rows[1].read_bytes()
    assert rows[0].samefile(rows[1]) is links


def test_binding_gives_folders_to_all_that_is_there(store: Store):
    items = numbers(count=3)
    target = total(parts=[squares(items=items), items])
    for artifact in (items, squares(items=items), target):
        store.build(artifact)
    shutil.rmtree(store.folder(squares(items=items)))
    bound = store.bind(target)
    assert bound.folder == store.folder(target)
    first, second = bound.inputs["parts"]
    assert first.bound_to is None
    assert second.folder == store.folder(items)
    assert [item.id for item in second.rows(Item)] == ["0", "1", "2"]
    assert first.inputs["items"].folder == second.folder


def test_results_are_read_through_the_bound_artifact(store: Store):
    parts = [numbers(count=3), numbers(count=3, seed=1)]
    for artifact in [*parts, total(parts=parts)]:
        store.build(artifact)
    expected = sum(item.value for part in parts for item in store.bind(part).rows(Item))
    assert store.bind(total(parts=parts)).json("total.json") == expected
    assert store.record(total(parts=parts))["counts"]["total"] == expected


def test_nothing_is_built_twice(store: Store, executions):
    assert store.build(numbers(count=3))
    assert not store.build(numbers(count=3))
    assert executions() == [numbers(count=3).key]


def test_what_is_not_there_has_no_record(store: Store):
    for look in (store.record, store.bind):
        with pytest.raises(UserError, match=r"numbers.* is gone, or part of it"):
            look(numbers(count=3))


def remove_record(folder: Path) -> None:
    (folder / "artifact.json").unlink()


def garble_record(folder: Path) -> None:
    (folder / "artifact.json").write_bytes(b'{"key": \xff')


def replace_record(folder: Path) -> None:
    (folder / "artifact.json").write_text("[]")


def swap_record(folder: Path) -> None:
    record = json.loads((folder / "artifact.json").read_text())
    (folder / "artifact.json").write_text(json.dumps({**record, "key": "another"}))


def cut_payload(folder: Path) -> None:
    os.truncate(folder / "rows.jsonl", 5)


def remove_payload(folder: Path) -> None:
    (folder / "rows.jsonl").unlink()


@pytest.mark.parametrize(
    "spoil", [remove_record, garble_record, replace_record, swap_record, cut_payload, remove_payload]
)
def test_a_spoilt_artifact_is_made_again(store: Store, spoil, executions):
    artifact = numbers(count=3)
    store.build(artifact)
    payload = (store.folder(artifact) / "rows.jsonl").read_bytes()
    spoil(store.folder(artifact))
    assert not store.has(artifact)
    assert store.build(artifact)
    assert store.has(artifact)
    assert (store.folder(artifact) / "rows.jsonl").read_bytes() == payload
    assert len(executions()) == 2


def test_a_failed_step_leaves_no_artifact(store: Store):
    with pytest.raises(UserError, match="no model in /nowhere; name another one"):
        store.build(ask_user())
    assert not store.has(ask_user())
    assert not store.folder(ask_user()).exists()


def test_a_half_filled_folder_is_wiped_unless_the_step_is_resumable(store: Store):
    artifact = numbers(count=3)
    partial = store.folder(artifact).with_name(f".partial-{artifact.key}")
    partial.mkdir(parents=True)
    (partial / "leftover").write_text("")
    store.build(artifact)
    assert sorted(path.name for path in store.folder(artifact).iterdir()) == ["artifact.json", "rows.jsonl"]
    assert not partial.exists()


def test_a_resumable_step_goes_on_where_it_stopped(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    items, artifact = numbers(count=20), squares(items=numbers(count=20))
    store.build(items)

    class PulledPlug(Exception):
        pass

    def pull_plug_after_two_batches(event) -> None:
        if event.done >= 2 * BATCH:
            raise PulledPlug

    with pytest.raises(PulledPlug):
        store.build(artifact, pull_plug_after_two_batches)
    store.build(artifact)
    rows = [line.split()[2] for line in (tmp_path / "executions").read_text().splitlines() if " row " in line]
    assert len(rows) == len(set(rows)) == 20
    assert [item.value for item in store.bind(artifact).rows(Item)] == [
        item.value**2 for item in store.bind(items).rows(Item)
    ]


def test_the_second_builder_waits_and_finds_the_work_done(store: Store, executions):
    items, artifact = numbers(count=40), squares(items=numbers(count=40))
    store.build(items)
    heard: list[object] = []
    started = threading.Event()
    first = threading.Thread(target=store.build, args=(artifact, lambda event: started.set()))
    first.start()
    assert started.wait(10)
    assert not Store(store.root).build(artifact, heard.append)
    first.join()
    assert heard == [Waiting()]
    assert executions().count(artifact.key) == 1


@pytest.mark.parametrize("root", ["/dev/null/store", "/proc/store"])
def test_a_place_that_cannot_be_written_to_is_a_user_error(root: str):
    with pytest.raises(UserError, match=f"cannot write to {root}"):
        Store(root)


def test_a_file_is_no_store(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file is not a folder"):
        Store(tmp_path / "file")


def test_a_folder_that_lets_nothing_be_written_is_noticed_by_trying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(UserError, match=r"cannot write to .* \(Read-only file system\)"):
        Store(tmp_path)


def test_everything_is_on_the_disk_before_the_artifact_appears(store: Store, monkeypatch: pytest.MonkeyPatch):
    events: list[str] = []
    monkeypatch.setattr(store_module, "_sync", lambda path: events.append(path.name))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: (events.append("renamed"), replace(old, new)))
    artifact = numbers(count=1)
    store.build(artifact)
    assert events == ["artifact.json", "rows.jsonl", f".partial-{artifact.key}", "renamed", "numbers"]


def test_rows_are_not_computed_again_when_killed_just_before_the_end(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    items, artifact = numbers(count=8), squares(items=numbers(count=8))
    store.build(items)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(store_module, "_publish", lambda partial, folder: (_ for _ in ()).throw(RuntimeError))
        store.build(artifact)
    store.build(artifact)
    assert (tmp_path / "executions").read_text().count(" row ") == 8
    assert "artifact.json" not in store.record(artifact)["files"]


def test_what_killed_runs_left_beside_finished_artifacts_is_swept(store: Store):
    made, other = numbers(count=2), numbers(count=3)
    store.build(made)
    left = [
        store.root / ".locks" / f"{made.key}.lock",
        store.logs / f"numbers-{made.key}.log",
        store.folder(made).with_name(f".replaced-{made.key}"),
    ]
    kept = [
        store.logs / f"numbers-{other.key}.log",  # of a step that failed
        store.folder(made).with_name(f".partial-{other.key}"),
    ]
    for path in [*left, *kept]:
        path.parent.mkdir(exist_ok=True)
        if path.suffix:
            path.touch()
        else:
            path.mkdir()
    store.sweep()
    assert not [path for path in left if path.exists()]
    assert all(path.exists() for path in kept)
    assert store.has(made)


def test_what_is_at_work_is_not_swept(store: Store):
    made = numbers(count=2)
    store.build(made)
    log = store.logs / f"numbers-{made.key}.log"
    log.parent.mkdir(exist_ok=True)
    log.touch()
    with locked(store.root / ".locks" / f"{made.key}.lock"):
        store.sweep()
        assert log.exists() and list((store.root / ".locks").iterdir())

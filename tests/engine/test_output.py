import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.engine import output as output_module
from harness.engine.output import Output
from harness.engine.progress import Advance
from harness.records import Prompt
from tests.engine.sample_steps import Item


def open_log(folder: Path):
    return Output(folder).append_rows(Item, key=lambda item: item.id)


def test_rows_and_json_are_written(tmp_path: Path):
    out = Output(tmp_path)
    out.write_rows(Item(str(i), i) for i in range(3))
    out.write_json("scores.json", {"b": 1, "a": "é"})
    assert out.counts == {"rows": 3}
    assert (tmp_path / "scores.json").read_text(encoding="utf-8") == '{\n  "a": "é",\n  "b": 1\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        out.write_json("bad.json", float("nan"))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_an_append_is_there_whole_or_not_at_all(tmp_path_factory, sizes, data):
    folder = tmp_path_factory.mktemp("log")
    log = open_log(folder)
    batches = [[Item(f"{number}-{i}", i) for i in range(size)] for number, size in enumerate(sizes)]
    for batch in batches[:-1]:
        log.append(batch)
    before = (folder / "rows.jsonl").read_bytes(), (folder / ".rows.jsonl.mark").exists()
    mark = (folder / ".rows.jsonl.mark").read_bytes() if before[1] else None
    log.append(batches[-1])
    whole = (folder / "rows.jsonl").read_bytes()
    # Killed while it wrote the last batch: some of its bytes are in the file, the mark is the one before.
    cut = data.draw(st.integers(len(before[0]), len(whole)))
    (folder / "rows.jsonl").write_bytes(whole[:cut])
    if mark is None:
        (folder / ".rows.jsonl.mark").unlink()
    else:
        (folder / ".rows.jsonl.mark").write_bytes(mark)

    again = open_log(folder)
    assert list(again.done.values()) == [item for batch in batches[:-1] for item in batch]
    again.append(batches[-1])
    again.close()
    assert (folder / "rows.jsonl").read_bytes() == whole
    assert sorted(path.name for path in folder.iterdir()) == [".rows.jsonl.mark", "rows.jsonl"]


@pytest.mark.parametrize("mark", ["", "garbage", "100000"])
def test_a_spoilt_mark_means_starting_again(tmp_path: Path, mark: str):
    open_log(tmp_path).append([Item("a", 1)])
    (tmp_path / ".rows.jsonl.mark").write_text(mark)
    assert open_log(tmp_path).done == {}


def test_rows_that_were_damaged_since_mean_starting_again_and_saying_so(tmp_path: Path):
    log = open_log(tmp_path)
    log.append([Item("a", 1)])
    log.append([Item("b", 1)])
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(rows.read_bytes().replace(b'"a"', b'"c"'))
    said: list[object] = []
    again = Output(tmp_path, said.append).append_rows(Item, key=lambda item: item.id)
    assert again.done == {}
    assert [str(line) for line in said] == [f"the rows that a killed run left in {rows} are damaged: made again"]
    again.append([Item("a", 1)])
    assert list(open_log(tmp_path).done) == ["a"]


def test_rows_of_a_killed_run_of_before_they_had_a_digest_are_gone_on_with(tmp_path: Path):
    open_log(tmp_path).append([Item("a", 1)])
    mark = tmp_path / ".rows.jsonl.mark"
    mark.write_text(mark.read_text().split()[0])
    assert list(open_log(tmp_path).done) == ["a"]


def test_rows_of_another_type_mean_starting_again(tmp_path: Path):
    log = Output(tmp_path).append_rows(Prompt, key=lambda prompt: prompt.id)
    log.append([Prompt("a", "b")])
    again = open_log(tmp_path)
    assert again.done == {}
    again.append([Item("a", 1)])
    assert (tmp_path / "rows.jsonl").read_text().splitlines() == [json.dumps({"id": "a", "value": 1})]


def test_a_key_is_appended_once(tmp_path: Path):
    log = open_log(tmp_path)
    log.append([Item("a", 1)])
    for rows in ([Item("a", 2)], [Item("b", 1), Item("b", 2)]):
        with pytest.raises(ValueError, match=r"already there: \["):
            log.append(rows)
    assert (tmp_path / "rows.jsonl").read_text().splitlines() == [json.dumps({"id": "a", "value": 1})]


def test_rows_are_counted(tmp_path: Path):
    out = Output(tmp_path)
    out.append_rows(Item, key=lambda item: item.id).append([Item("a", 1), Item("b", 1)])
    assert out.counts == {"rows": 2}


def test_progress_is_reported_with_a_rate_that_leaves_out_what_was_there(tmp_path: Path, monkeypatch):
    now = 100.0
    monkeypatch.setattr(output_module.time, "monotonic", lambda: now)
    events: list[Advance] = []
    tracker = Output(tmp_path, events.append).track(100, "rows", done=50)
    for _ in range(5):
        now += 0.06
        tracker.advance(10)
    assert events[-1].done == events[-1].total == 100
    assert events[-1].rate == pytest.approx(50 / 0.3)
    assert len(events) < 5  # at most ten a second, and the last

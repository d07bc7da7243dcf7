"""What a run works with is removed while it does: one line that names the folder, and the same command mends it."""

import shutil
from pathlib import Path

import pytest

from harness.engine.artifacts import Output, step
from harness.engine.pipeline import run
from harness.engine.store import Store
from harness.errors import UserError
from harness.models.datasets import data_fingerprint
from harness.records import Prompt, Response
from harness.steps.data import load_rows
from harness.steps.draw import drawn_responses
from tests.engine.sample_steps import Item, build, numbers, remove, remove_quietly, squares, total


@pytest.mark.parametrize("place", ["own folder", "input", "input's rows", "store"])
def test_a_step_that_loses_what_it_works_with(store: Store, tmp_path: Path, place: str) -> None:
    items = numbers(count=3)
    target = remove(items=items, place=place, flag=str(tmp_path / "flag"))
    with pytest.raises(UserError) as raised:
        build([target], store)
    lost = store.folder(target).with_name(f".partial-{target.key}") if place == "own folder" else store.folder(items)
    assert str(raised.value).startswith(f"{lost} of step {'remove' if place == 'own folder' else 'numbers'} is gone")
    build([target], store)
    assert len(store.bind(target).rows(Item)) == 3


def test_a_step_whose_input_another_has_removed(store: Store, tmp_path: Path) -> None:
    items = numbers(count=3)
    removing = remove_quietly(items=items, flag=str(tmp_path / "flag"))
    target = total(parts=[squares(items=removing), items])
    with pytest.raises(UserError, match=f"{store.folder(items)} of step numbers is gone, or part of it"):
        run([target], store, jobs=1)
    run([target], store, jobs=1)
    assert store.record(target)["counts"]["total"] == sum(item.value for item in store.bind(items).rows(Item))


def test_results_that_are_removed_before_they_are_read(store: Store) -> None:
    items = numbers(count=3)
    build([items], store)
    bound = store.bind(items)
    shutil.rmtree(store.folder(items))
    for read in (lambda: bound.rows(Item), lambda: bound.json("x.json"), lambda: store.bind(items)):
        with pytest.raises(UserError, match=str(store.folder(items))):
            read()


# Texts that no file can hold


@step()
def halves(out: Output, *, resumable: bool) -> None:
    row = Response(Prompt("\ud83d", "half"), "x", "y")
    if resumable:
        out.append_rows(Response, key=lambda each: each.prompt.id).append([row])
    else:
        out.write_json("half.json", {"text": "half \ud83d"})


@pytest.mark.parametrize("resumable", [True, False])
def test_half_a_character_ends_a_run_in_one_line_wherever_it_is_written(store: Store, resumable: bool) -> None:
    with pytest.raises(UserError, match=r"a text contains half of a surrogate pair \(\\ud83d\)"):
        run([halves(resumable=resumable)], store, jobs=1)


@step()
def given_half(out: Output) -> None:
    """Rows that a file holds as JSON escapes, as others write them."""
    (out.folder / "rows.jsonl").write_text(
        '{"prompt": {"id": "half \\ud83d", "text": "q", "history": []}, "text": "half \\ud83d", "writer": "w"}\n'
    )


def test_half_a_character_that_a_step_is_given(store: Store) -> None:
    with pytest.raises(UserError, match="half of a surrogate pair"):
        build([drawn_responses(responses=given_half(), prompts=given_half(), size=1, seed=0)], store)


def test_half_a_character_in_a_data_set(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"instruction": "whole", "output": "x"}\n{"instruction": "half \\ud83d", "output": "x"}\n')
    rows = load_rows(reference=str(path), split="", kind="responses", size=2, fingerprint=data_fingerprint(str(path)))
    with pytest.raises(UserError):
        build([rows], store)

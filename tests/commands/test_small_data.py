"""AlpacaEval's outputs dealt out to the data roles of the small scale."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.commands.small_data import load_split, role_of, split
from harness.errors import UserError
from harness.models.datasets import read_data
from harness.models.generator import Sampling
from harness.models.references import load_generator
from harness.recipes.loading import load_recipe
from harness.records import Message, PreferencePair, Response
from harness.steps.respond import render
from tests.command import Harness

WRITERS = ("gpt-3.5-turbo-1106", "gpt4_1106_preview_concise", "claude-2", "vicuna-13b", "alpaca-7b")
ROLES = list(load_split().roles)
INSTRUCTIONS = tuple(f"Do thing number {number}." for number in range(60))


def write_folder(folder: Path, instructions: Iterable[str] = INSTRUCTIONS, writers: Iterable[str] = WRITERS) -> Path:
    """AlpacaEval's outputs, in which each writer signs what it says."""
    (folder / "model_outputs").mkdir(parents=True)
    files = {"baseline_gpt4_1106_preview.json": "gpt4_1106_preview"}
    files |= {f"model_outputs/{name}.json": name for name in writers}
    for file, name in files.items():
        rows = [{"instruction": text, "output": f"{name} on {text}", "generator": name} for text in instructions]
        (folder / file).write_text(json.dumps(rows))
    return folder


def write_rows(source: Path, *rows: Any) -> None:
    (source / "model_outputs" / "claude-2.json").write_text(json.dumps(rows))


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_instruction_plays_one_role_and_is_answered_by_its_writers(tmp_path: Path) -> None:
    out = tmp_path / "out"
    counts = split(write_folder(tmp_path / "source"), out)
    rows = {name: read(out / f"{name}.jsonl") for name in (*ROLES, "teacher")}
    assert counts == {name: len(found) for name, found in rows.items()}
    dealt = [row["instruction"] for name in ROLES for row in rows[name]]
    assert sorted(dealt) == sorted(INSTRUCTIONS)
    for row in rows["preference_data"]:
        assert row["chosen"] == f"gpt4_1106_preview_concise on {row['instruction']}"
        assert row["rejected"] == f"alpaca-7b on {row['instruction']}"
    for name, writer in (("demonstrations", "gpt-3.5-turbo-1106"), ("alpaca_eval2", "gpt4_1106_preview")):
        assert {row["generator"] for row in rows[name]} == {writer}
        assert all(row["output"].startswith(f"{writer} on ") for row in rows[name])
    assert [row["instruction"] for row in rows["teacher"]] == [row["instruction"] for row in rows["improver_data"]]
    assert {row["answer"].partition(" ")[0] for row in rows["teacher"]} == {"claude-2"}
    assert {row["improvement"].partition(" ")[0] for row in rows["teacher"]} == {"vicuna-13b"}


@given(st.lists(st.text(min_size=1), unique=True, max_size=20), st.text(min_size=1))
def test_an_instructions_role_is_its_own_matter(others: list[str], instruction: str) -> None:
    """Whatever else is in the folder: what was evaluated on once is never trained on."""
    assert role_of(instruction, ROLES) in ROLES
    assert role_of(instruction, ROLES) == [role_of(text, ROLES) for text in [*others, instruction]][-1]


def test_the_rows_are_a_draw_and_the_same_in_another_order(tmp_path: Path) -> None:
    split(write_folder(tmp_path / "one"), tmp_path / "first")
    split(write_folder(tmp_path / "two", INSTRUCTIONS[::-1]), tmp_path / "second")
    for name in (*ROLES, "teacher"):
        assert read(tmp_path / "first" / f"{name}.jsonl") == read(tmp_path / "second" / f"{name}.jsonl")
    order = [row["instruction"] for row in read(tmp_path / "first" / "demonstrations.jsonl")]
    assert order != sorted(order, key=INSTRUCTIONS.index)


def test_an_instruction_without_an_answer_has_no_row(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "source")
    silent = next(text for text in INSTRUCTIONS if role_of(text, ROLES) == "improver_data")
    path = source / "model_outputs" / "vicuna-13b.json"
    path.write_text(path.read_text().replace(f"vicuna-13b on {silent}", " "))
    counts = split(source, tmp_path / "out")
    assert counts["teacher"] == counts["improver_data"] - 1


def test_a_null_is_no_answer(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "source")
    write_rows(source, *({"instruction": text, "output": None} for text in INSTRUCTIONS))
    assert split(source, tmp_path / "out")["teacher"] == 0


def test_the_scale_reads_what_the_command_writes(harness: Harness, shared_data: Path) -> None:
    """Of the real data there is enough for every role; a stored teacher has a row for every improver prompt."""
    outcome = harness("data", "split", shared_data / "alpaca_eval2", "--out", "data/small")
    assert outcome.exit_code == 0, outcome.err
    recipe = load_recipe("small")
    preferences = recipe.data["preference_data"]
    roles = {name: role for name, role in recipe.data.items() if role.kind == "responses"}
    roles |= {name: bench.baselines for name, bench in recipe.benches.items()}
    rows = {name: list(read_data(role.reference, "", "responses", role.size)) for name, role in roles.items()}
    pairs = list(read_data(preferences.reference, "", "pairs", preferences.size))
    seen = {name: {row.prompt.text for row in found} for name, found in rows.items()} | {
        "preference_data": {row.prompt.text for row in pairs}
    }
    assert all(isinstance(pair, PreferencePair) for pair in pairs)
    evaluated = seen["alpaca_eval2"] | seen["arena_hard"]
    assert not evaluated & (seen["demonstrations"] | seen["improver_data"] | seen["preference_data"])
    assert not seen["alpaca_eval2"] & seen["arena_hard"]
    teacher, template = load_generator(recipe.models["teacher"]), recipe.prompt_set().methods["target"]
    drafts = [row for row in rows["improver_data"] if isinstance(row, Response)]
    plain = [(Message("user", row.prompt.text),) for row in drafts]
    shown = [(Message("user", render(template, row, row.text)),) for row in drafts]
    answers, improvements = (teacher.complete(each, Sampling(0.7, 0.9, 8), range(len(each))) for each in (plain, shown))
    assert all(a.text != i.text for a, i in zip(answers, improvements, strict=True))


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (
            lambda source: (source / "model_outputs" / "claude-2.json").unlink(),
            "cannot read .*claude-2.json .no such file.*splits/",
        ),
        (lambda source: (source / "baseline_gpt4_1106_preview.json").unlink(), "holds 0 files baseline"),
        (
            lambda source: (source / "model_outputs" / "claude-2.json").write_text("{}"),
            "claude-2.json:1: no field 'instruction'",
        ),
        (
            lambda source: (source / "model_outputs" / "claude-2.json").write_text("[1]"),
            "claude-2.json, row 1: not a JSON object",
        ),
        (
            lambda source: write_rows(source, {"instruction": "a", "output": "b"}, {"instruction": "a", "output": 3}),
            "claude-2.json, row 2: output must be a text, not 3",
        ),
        (
            lambda source: write_rows(source, {"instruction": "a", "output": "\ud83d"}),
            "claude-2.json: .*half of a surrogate",
        ),
        (lambda source: (source / "model_outputs" / "claude-2.json").write_text("[" * 100_000), "nested too deep"),
    ],
)
def test_what_is_not_alpaca_evals_outputs_is_named(tmp_path: Path, spoil: Any, complaint: str) -> None:
    source = write_folder(tmp_path / "source")
    spoil(source)
    with pytest.raises(UserError, match=complaint):
        split(source, tmp_path / "out")


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UserError, match=r"cannot write to .*out .* name another folder with --out"):
        split(write_folder(tmp_path / "source"), tmp_path / "out")


def test_a_row_without_answer_is_named(tmp_path: Path) -> None:
    path = tmp_path / "demonstrations.jsonl"
    path.write_text('{"instruction": "a", "output": "b"}\n{"instruction": "c"}\n')
    with pytest.raises(UserError, match=r"demonstrations\.jsonl:2"):
        list(read_data(str(path), "", "responses", 2))

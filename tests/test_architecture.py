"""docs/architecture.md names files and functions that are there."""

import ast
import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S))
FUNCTIONS = sorted(set(re.findall(r"`([\w/]+\.py):([\w.]+)`", TEXT)))
WAYS = ("A row's way", "A judge's verdict", "One setting: `dpo.beta`")
MAX_HOPS = 25
N_QUESTIONS = 12


@cache
def definitions(file: str) -> set[str]:
    """The functions of a file, and the methods of its classes as ``Class.method``."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    top = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
    methods = {
        f"{one.name}.{each.name}"
        for one in top
        if isinstance(one, ast.ClassDef)
        for each in one.body
        if isinstance(each, functions)
    }
    return methods | {one.name for one in top if isinstance(one, functions)}


def hops(section: str) -> list[tuple[int, str]]:
    """The numbered lines of a way: each number, and the file of its first function."""
    found = re.findall(r"^(\d+)\. `([\w/]+\.py):[\w.]+`", SECTIONS[section], re.M)
    return [(int(number), file) for number, file in found]


@pytest.mark.parametrize(("file", "name"), FUNCTIONS, ids=[":".join(each) for each in FUNCTIONS])
def test_a_function_that_it_names_is_there(file: str, name: str) -> None:
    assert name in definitions(file)


@pytest.mark.parametrize("section", WAYS)
def test_every_hop_has_a_function_and_the_next_number(section: str) -> None:
    numbered = re.findall(r"^\d+\.", SECTIONS[section], re.M)
    numbers = [number for number, _ in hops(section)]
    assert len(numbered) == len(numbers)
    assert numbers == list(range(1, len(numbers) + 1))
    assert 5 < len(numbers) <= MAX_HOPS


def test_a_row_changes_its_file_at_every_hop() -> None:
    files = [file for _, file in hops(WAYS[0])]
    assert all(file != following for file, following in pairwise(files))


def test_each_question_is_answered_by_a_file_or_folder() -> None:
    rows = re.findall(r"^\| (.+\?) \| `([\w/.]+)`", SECTIONS["Where is what"], re.M)
    assert len(rows) == N_QUESTIONS
    assert [answer for _, answer in rows if not (ROOT / answer).exists()] == []


def test_files_of_the_paper_that_it_names_are_there() -> None:
    named = set(re.findall(r"configs/[\w/.]+", TEXT))
    assert len(named) > 2
    assert [name for name in named if not (ROOT / name).exists()] == []

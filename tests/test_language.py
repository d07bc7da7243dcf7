"""One word for one idea, and names that a peer would search for (CONTRIBUTING, "The words we use")."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("harness", "methods", "evals", "reports")
EMBEDDED_WORLD = {
    f"harness/mini/{name}.py" for name in ("judge", "language", "quality", "roles", "teacher", "world", "writers")
}
"""Their code is part of every key, so their names stay."""


SHARED_CLASS_NAMES = {"Claim", "Request"}
"""Classes of one name in several modules: one of each is of the command line, or part of every key."""

QUESTION_WORDS = {"What", "Whether", "How", "Where", "Why", "Which", "Who"}

RIDDLES = {
    "at_once": "batch_size",
    "errand": "task",
    "heed": "handle",
    "kept": "reply_cache, or what is kept",
    "labelled": "append_label",
    "mailbox": "queue",
    "may_pass": "is_retryable",
    "room": "limit",
    "rooms": "answer_token_limits",
    "said": "text, detail or message",
    "says": "text",
    "shared_as": "with_label",
    "shown": "format_... or text",
    "tell": "emit, report or show",
    "told": "reported",
    "whole_characters": "replace_lone_surrogates",
}
"""Identifiers that nobody would search for, and what to write instead."""

FIELDS_OF_FILES = {
    ("harness/papers/claims.py", "says"),
    ("harness/papers/consistency.py", "says"),
    ("harness/papers/histograms.py", "kept"),
    ("harness/papers/paper.py", "says"),
    ("harness/results/claims.py", "says"),
    ("harness/results/exhibits.py", "kept"),
}
"""Fields of a paper's YAML and of manifest.json: users have such files."""

RIDDLE_PREFIXES = re.compile(r"(MOST|LONGEST|LARGEST|FEWEST)_|NARROWEST$")


def sources() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            yield name, ast.parse(path.read_text(encoding="utf-8"))


SOURCES = dict(sources())


def identifiers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """(name, line) of what the module defines or assigns: functions, classes, parameters, variables, attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno


def riddle(name: str) -> str | None:
    """What to write instead of a banned name; None for any other."""
    bare = name.lstrip("_")
    if RIDDLE_PREFIXES.match(bare):
        return "MAX_... or MIN_..."
    return RIDDLES.get(bare.lower())


def is_property(node: ast.AST) -> bool:
    return any(
        isinstance(each, ast.Name | ast.Attribute) and "property" in ast.unparse(each) for each in node.decorator_list
    )  # type: ignore[attr-defined]


def class_names(tree: ast.Module) -> Iterator[str]:
    """The public classes and type aliases at the top of a module."""
    for node in tree.body:
        match node:
            case ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]) if re.match(r"[A-Z][a-z]", name):
                yield name


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_no_identifier_is_a_riddle(name: str) -> None:
    if name in EMBEDDED_WORLD:
        pytest.skip("its code is part of every key")
    found = {
        f"{name}:{line}: {word}; write {riddle(word)}"
        for word, line in identifiers(SOURCES[name])
        if riddle(word) and (name, word) not in FIELDS_OF_FILES
    }
    assert not found


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_docstrings_are_no_questions(name: str) -> None:
    """Functions begin with a verb (ruff's D401 looks at that, too), classes and modules with a noun phrase."""
    found = []
    for node in ast.walk(SOURCES[name]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and is_property(node):
            continue
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text and text.split()[0] in QUESTION_WORDS:
                found.append(f"{name}: {text.splitlines()[0]}")
    assert not found


def test_classes_of_one_name_are_one_class() -> None:
    times = Counter(name for tree in SOURCES.values() for name in set(class_names(tree)) if not name.startswith("_"))
    assert {name for name, count in times.items() if count > 1} == SHARED_CLASS_NAMES


@pytest.mark.parametrize("name", ["_told", "MOST_ROWS", "_LONGEST_NAME", "Errand"])
def test_riddles_are_found(name: str) -> None:
    assert riddle(name)


@pytest.mark.parametrize("name", ["MOST", "most_usd", "mostly", "kept_rows", "showing"])
def test_words_that_contain_a_riddle_are_none(name: str) -> None:
    assert not riddle(name)

"""Product code stands on what libraries promise: no mocks, and in training nothing private of others' objects."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = sorted(
    path for folder in ("harness", "methods", "evals", "reports") for path in (ROOT / folder).rglob("*.py")
)
TRAINING = sorted((ROOT / "harness" / "training").glob("*.py"))
PUBLIC = {"os._exit"}
"""Documented in spite of its name: the way to end a launched process that threads of libraries keep alive."""


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{each.name}" for each in node.names)


def private_of_others(tree: ast.AST) -> list[str]:
    """Private attributes of anything but `self`, `cls` and the classes and functions of the file itself."""
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)} | {"self", "cls"}
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return [
        ast.unparse(node)
        for node in attributes
        if node.attr.startswith("_") and not node.attr.startswith("__") and ast.unparse(node.value) not in own
    ]


@pytest.mark.parametrize("path", PRODUCT, ids=names(PRODUCT))
def test_nothing_is_mocked(path: Path) -> None:
    found = modules(ast.parse(path.read_text(encoding="utf-8")))
    assert [name for name in found if name.startswith(("unittest", "mock"))] == []


@pytest.mark.parametrize("path", TRAINING, ids=names(TRAINING))
def test_nothing_private_of_others_is_touched(path: Path) -> None:
    assert set(private_of_others(ast.parse(path.read_text(encoding="utf-8")))) <= PUBLIC


def test_what_would_be_found() -> None:
    source = """
class Own:
    pass

self._a, Own._b, model.config._c, self.trainer._d, model.__dict__
from unittest import mock
"""
    assert private_of_others(ast.parse(source)) == ["model.config._c", "self.trainer._d"]
    assert list(modules(ast.parse(source))) == ["unittest.mock"]

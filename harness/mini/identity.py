"""The identity of the embedded world: results rest on its code, so the code is part of every key."""

import ast
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from io import StringIO
from pathlib import Path
from tokenize import COMMENT, generate_tokens

from harness.mini.world import WORLD_VERSION

SOURCES = (
    "instructions",
    "judge",
    "language",
    "quality",
    "questions",
    "requests",
    "roles",
    "summaries",
    "teacher",
    "world",
    "writers",
)


@cache
def world_digest() -> str:
    """Return the SHA-256 (hex) of the code that defines facts, texts, data roles, gold quality, teacher and judge.

    Imports, docstrings, comments and blank lines are no part of it: moving or describing the world does not change it.
    """
    digest = sha256()
    for name in SOURCES:
        digest.update(sha256(_code(Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8"))).digest())
    return digest.hexdigest()


def world_name() -> str:
    """Return the version of the world, and the first digits of its digest."""
    return f"version {WORLD_VERSION}, {world_digest()[:12]}"


def _code(source: str) -> bytes:
    lines = source.splitlines()
    for token in generate_tokens(StringIO(source).readline):
        if token.type == COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    left_out = set(_lines_left_out(ast.parse(source)))
    code = (line.rstrip() for number, line in enumerate(lines, 1) if number not in left_out)
    return "\n".join(line for line in code if line).encode()


def _lines_left_out(tree: ast.AST) -> Iterator[int]:
    """Yield the lines of import statements, and of texts that stand alone, as docstrings do."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)

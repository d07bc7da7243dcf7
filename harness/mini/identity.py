"""What identifies this world: results in it rest on this code, so the code is part of every key."""

from functools import cache
from hashlib import sha256
from pathlib import Path

SOURCES = ("judge", "language", "quality", "roles", "teacher", "world", "writers")


@cache
def world_digest() -> str:
    """SHA-256 (hex) of the modules that define facts, texts, data roles, gold quality, teacher and judge."""
    digest = sha256()
    for name in SOURCES:
        digest.update(sha256(Path(__file__).with_name(f"{name}.py").read_bytes()).digest())
    return digest.hexdigest()

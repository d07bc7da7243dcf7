"""The sources of a process are read once; a test that writes some has them read again."""

import importlib

from harness.engine import code


def forget_sources() -> None:
    """Lets sources be read again, as in a new process."""
    importlib.invalidate_caches()
    for cached in (code._digests, code._node, code._load, code._path):
        cached.cache_clear()

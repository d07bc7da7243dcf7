"""The check that a package's sources are still those that were read: by their sizes and times, without reading them."""

import os
import sys
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from importlib.util import find_spec


def sources_state(roots: frozenset[str]) -> str:
    """Return a state that changes with any source of these outermost packages, and with Python; cached."""
    return sha256("\n".join([sys.version, *map(_state, sorted(roots))]).encode()).hexdigest()


@cache
def _state(root: str) -> str:
    lines = [f"{path} {at.st_size} {at.st_mtime_ns} {at.st_ctime_ns}" for path, at in _sources(root)]
    return sha256("\n".join([root, *sorted(lines)]).encode()).hexdigest()


def _sources(root: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        spec = find_spec(root)
    except (ImportError, ValueError):
        return
    if spec and spec.origin and os.path.isfile(spec.origin):
        yield spec.origin, os.stat(spec.origin)
    for place in (spec.submodule_search_locations if spec else None) or ():
        for folder, _, names in os.walk(place):
            for path in (os.path.join(folder, name) for name in names if name.endswith(".py")):
                yield path, os.stat(path)

"""Digests of code kept on disk, so that a run that finds everything need not read all sources again."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.engine.code import OURS, code_digests
from harness.engine.sources import sources_state
from harness.files import replace_file

CODES = ".code.json"
"""In a store: what `CodeCache` keeps."""


class CodeCache:
    """The digests in a file, which hold as long as no source of their packages has another size or time.

    A file that cannot be read is empty; one that cannot be written costs the next run a second, and is no error.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = _read(path)
        self._is_new = False

    def digests(self, functions: Iterable[str]) -> Mapping[str, str] | None:
        """Return `code_digests` of the function, from the cache where the sources are unchanged."""
        functions = sorted(functions)
        name = " ".join(functions)
        entry = self._known.get(name)
        if entry and entry["sources"] == _state_of(entry["digests"]):
            digests: Mapping[str, str] = entry["digests"]
            return digests
        found = code_digests(*functions)
        if found and not any(each.startswith("__main__") for each in functions):  # which names another in each program
            self._known[name] = {"digests": dict(found), "sources": _state_of(found)}
            self._is_new = True
        return found

    def save(self) -> None:
        """Write what was read of sources."""
        if self._is_new:
            try:
                replace_file(self._path, json.dumps(self._known).encode())
            except OSError:
                return


def _read(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_bytes())
        return {name: entry for name, entry in known.items() if entry["digests"] and entry["sources"]}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _state_of(modules: Iterable[str]) -> str:
    return sources_state(OURS | {module.partition(".")[0] for module in modules})

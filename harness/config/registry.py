"""Names to things that are imported only when asked for; third parties add theirs through entry points."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UserError, named
from harness.provenance import package_origin

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@dataclass(frozen=True)
class Registry:
    """The registered `kind` (such as "method"): `builtin` names and import strings, and the entry points of `group`."""

    kind: str
    group: str
    builtin: Mapping[str, str]
    _loaded: set[str] = field(default_factory=set, compare=False, repr=False)

    def names(self) -> tuple[str, ...]:
        """Return all names, the built-in ones first, those of third parties sorted. Imports none of them."""
        return tuple(self._entries)

    def load(self, name: str) -> Any:
        """Import and return what `name` stands for.

        Raises UserError for an unknown name (with the nearest known one) and for one that cannot be imported.
        """
        entry = named(self.kind, name, self._entries)
        try:
            found = entry.load()
        except Exception as error:  # a package of somebody else's runs its code on import
            raise UserError(
                f"cannot load {self.kind} {name!r} from {_origin(entry)}: {_failure_text(error)}"
            ) from error
        self._loaded.add(name)
        return found

    def origin(self, name: str) -> str:
        """Return where a known name comes from: its import string, and the package that brought it if another did."""
        return _origin(self._entries[name])

    def packages(self) -> dict[str, dict[str, Any]]:
        """Return by name the package, version and commit of each loaded entry that is another package's."""
        dists = {name: self._entries[name].dist for name in sorted(self._loaded)}
        return {name: package_origin(dist) for name, dist in dists.items() if dist}

    @cached_property
    def _entries(self) -> "dict[str, EntryPoint]":
        from importlib.metadata import EntryPoint, entry_points

        entries = {name: EntryPoint(name, target, self.group) for name, target in self.builtin.items()}
        for entry in sorted(entry_points(group=self.group), key=lambda entry: (entry.name, entry.value)):
            known = entries.setdefault(entry.name, entry)
            if known.value != entry.value:
                raise UserError(
                    f"two {self.kind}s are called {entry.name!r}: {_origin(known)} and {_origin(entry)};"
                    " uninstall or rename one"
                )
        return entries


def _origin(entry: "EntryPoint") -> str:
    return f"{entry.value} (package {entry.dist.name})" if entry.dist else entry.value


def _failure_text(error: Exception) -> str:
    """Describe an error; where it is none of importing itself, with its kind and the line that it happened in."""
    if isinstance(error, ImportError | AttributeError):
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = "" if isinstance(error, SyntaxError) else f" ({Path(last.filename).name}, line {last.lineno})"
    return f"{type(error).__name__}: {error}{where}"

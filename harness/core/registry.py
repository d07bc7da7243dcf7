"""Names to things that are imported only when asked for; third parties add theirs through entry points."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from harness.core.errors import UserError, unknown

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@dataclass(frozen=True)
class Registry:
    """What is called `kind` (such as "method"): `builtin` names and import strings, and the entry points of `group`."""

    kind: str
    group: str
    builtin: Mapping[str, str]

    def names(self) -> tuple[str, ...]:
        """All names: the built-in ones in their order, then those of third parties sorted. Imports none of them."""
        return tuple(self._entries)

    def load(self, name: str) -> Any:
        """Imports and returns what `name` stands for.

        Raises UserError for an unknown name (with the nearest known one) and for one that cannot be imported.
        """
        if name not in self._entries:
            raise unknown(self.kind, name, self._entries)
        entry = self._entries[name]
        try:
            return entry.load()
        except (ImportError, AttributeError) as error:
            raise UserError(f"cannot load {self.kind} {name!r} from {_origin(entry)}: {error}") from error

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

"""The artifacts that today's code and inputs would not have given.

A step that is changed without another version keeps its keys, so that what it made before is still found. It is then
named, and so is what follows from it, by the digests that every artifact's record holds (`harness.engine.code`).
"""

import platform
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.engine.artifact_folder import written_record
from harness.engine.artifacts import Artifact, ancestry
from harness.engine.code import code_digests, functions_of

CodeChanges = Literal["warn", "rerun", "ignore"]
"""What is done where the code of a found artifact changed: said and gone on with, made again, or not even said."""

Record = Mapping[str, Any]
Digests = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Staleness:
    """The stale artifacts among some. `unknown` are those whose code cannot be compared."""

    changed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By key, the modules whose code changed since an artifact was made."""
    remade: frozenset[str] = frozenset()
    """The keys of those whose inputs were made again since, and came out otherwise."""
    following: frozenset[str] = frozenset()
    """The keys of others that were made from stale ones."""
    unknown: frozenset[str] = frozenset()
    steps: Mapping[str, str] = field(default_factory=dict)
    """By key, the step of each."""

    @property
    def keys(self) -> frozenset[str]:
        """Of all that is stale."""
        return self.remade | self.following | frozenset(self.changed)

    def why(self, key: str) -> str:
        """Return why an artifact is stale, in a few words; empty where it is not."""
        if key in self.changed:
            return f"code changed since: {listed(self.changed[key])}"
        if key in self.remade:
            return "its inputs were made again since and came out otherwise"
        return "made from stale artifacts" if key in self.following else ""

    @property
    def lines(self) -> list[str]:
        """The stale artifacts and why, a line for changed code and one for changed inputs; empty where there are
        none."""
        modules = sorted({module for each in self.changed.values() for module in each})
        found = [f"{self._since('code of', self.changed, 'changed')}: {listed(modules)}"] if self.changed else []
        found += [self._since("inputs of", self.remade, "came out otherwise")] if self.remade else []
        if found and self.following:
            found[0] += f"; {len(self.following)} more follow from them"
        return found

    @property
    def unknown_line(self) -> str:
        """Of what it cannot be told whether it is stale; empty where it can of all."""
        if not self.unknown:
            return ""
        return (
            f"{self._since('whether the code of', self.unknown, 'changed')} cannot be told: it is not on record, has no"
            " source here, or was read by another Python"
        )

    def _since(self, what: str, keys: Collection[str], happened: str) -> str:
        """Format that something of artifacts `happened` since they were made; their steps are named and counted."""
        counts = Counter(step for key, step in self.steps.items() if key in keys)
        steps = ", ".join(f"{step} ({count})" for step, count in counts.items()) if len(counts) > 1 else min(counts)
        made = f"{counts.total()} of {'its' if len(counts) == 1 else 'their'} artifacts"
        return f"{what} {steps} {happened} since {made} {'was' if counts.total() == 1 else 'were'} made"


def staleness(made: Sequence[Record], again: Set[str] = frozenset()) -> Staleness:
    """Find what is stale among artifacts by their records, in an order in which inputs come first.

    What has an input among `again`, the keys of artifacts that are to be made again anyhow, follows from it.
    """
    changed: dict[str, tuple[str, ...]] = {}
    remade, following, unknown = set(), set(), set()
    content = {record["key"]: record.get("content") for record in made}
    stale = set(again)
    for record in made:
        key, functions = record["key"], record.get("functions")
        modules = changed_modules(record, code_digests(*functions) if functions else None)
        if modules is None:
            unknown.add(key)
        if modules:
            changed[key] = modules
        elif has_other_inputs(record, content):
            remade.add(key)
        elif stale.intersection(_input_keys(record)):
            following.add(key)
        else:
            continue
        stale.add(key)
    steps = {record["key"]: record.get("step", "") for record in made}
    return Staleness(changed, frozenset(remade), frozenset(following), frozenset(unknown), steps)


def changed_modules(record: Record, now: Digests | None) -> tuple[str, ...] | None:
    """Return the modules in which the code that made an artifact is another now; None where that cannot be told.

    The digests are of syntax trees, which each Python prints in its own way.
    """
    then = record.get("code")
    python = str(record.get("provenance", {}).get("python", ""))
    if not then or not now or python.split(".")[:2] != platform.python_version().split(".")[:2]:
        return None
    return tuple(sorted(module for module in {*then, *now} if then.get(module) != now.get(module)))


def has_other_inputs(record: Record, content: Mapping[str, str | None]) -> bool:
    """Return whether an input that the artifact was made from has another content now, as far as both are on record."""
    made_from = record.get("made_from") or {}
    return any(then and content.get(key) and content[key] != then for key, then in made_from.items())


# Where finished artifacts are found


def in_graph(targets: Iterable[Artifact], find: Callable[[Artifact], Record | None]) -> list[Record]:
    """Return the records that `find` finds of a graph, but for those to be made again for failed rows.

    `functions` (``module:name``) are those behind the artifact now.
    """
    return [
        {**record, "functions": functions_of(each)}
        for each in ancestry(targets)
        if (record := find(each)) and not record["retry"]
    ]


def in_folders(folders: Iterable[Path]) -> list[Record]:
    """Return the records in these folders of stores, and of what was made into them as far as it is there; inputs
    first."""
    found: dict[str, Record] = {}

    def visit(folder: Path) -> None:
        record = stored_record(folder)
        if record is None or folder.name in found:
            return
        for key in _input_keys(record):
            for parent in folder.parents[1].glob(f"*/{key}"):
                visit(parent)
        found[folder.name] = record

    for folder in folders:
        visit(folder.resolve())
    return list(found.values())


def stored_record(folder: Path) -> Record | None:
    """Return the record of the artifact that `folder` is; None where it is none."""
    record = written_record(folder)
    return record if record.get("key") == folder.name and "files" in record else None


def artifact_around(path: Path) -> Path | None:
    """Return the folder of the artifact that a file or folder is, or lies in, links followed; None where there is
    none."""
    real = path.resolve()
    return next((folder for folder in (real, *real.parents) if stored_record(folder)), None)


def _input_keys(record: Record) -> list[str]:
    inputs = (record.get("inputs") or {}).values()
    return [key for value in inputs for key in ([value] if isinstance(value, str) else value)]


def listed(names: Sequence[str], most: int = 3) -> str:
    """Return the first few names, and how many more there are."""
    more = len(names) - most
    return f"{', '.join(names[:most])} and {more} more" if more > 0 else ", ".join(names)

"""Packages of other people's methods and evaluations, of which a test sees those alone that it installs itself."""

import importlib.metadata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

GROUPS = ("harness.methods", "harness.evals", "harness.papers")


def hide_installed() -> None:
    """Has this process not find the entry points of the packages that are installed now.

    Those that are installed later, such as by `install`, are found.
    """
    original = importlib.metadata.entry_points
    hidden = {(each.group, each.name, each.value) for group in GROUPS for each in original(group=group)}

    def entry_points(**wanted: Any) -> Any:
        found = original(**wanted)
        if wanted.get("group") not in GROUPS:  # other libraries' own; without a group, Python 3.11 gives a dictionary
            return found
        return type(found)(each for each in found if (each.group, each.name, each.value) not in hidden)

    importlib.metadata.entry_points = entry_points


def install(folder: Path, distribution: str, entries: Iterable[tuple[str, str, str]]) -> None:
    """Makes a distribution in `folder`, which is on the path, that offers each (group, name, target)."""
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    lines = [f"[{group}]\n{name} = {target}\n" for group, name, target in entries]
    (info / "entry_points.txt").write_text("".join(lines))

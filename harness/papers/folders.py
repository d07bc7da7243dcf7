"""The folders of papers: in the package, in other packages, and those that the variable `HARNESS_PAPERS` names."""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from harness.config import yaml_files
from harness.errors import UserError, named, unknown

DEFAULT_PAPER = "sgpo"
"""Whose exhibits and scales are meant where several papers have one of a name and none is said."""

PAPER_FILE = "paper.yaml"
VARIABLE = "HARNESS_PAPERS"
"""Folders such as ``configs/papers``, separated as in PATH: in each, every folder with a ``paper.yaml`` is a paper."""
GROUP = "harness.papers"
"""The entry points of other packages: the paper's name, and the package in whose folder its ``paper.yaml`` is."""
OWN_PAPER = f"yours is a folder in one that the variable {VARIABLE} names"
"""Ends what is known, where a paper is not."""


def papers() -> tuple[str, ...]:
    """List the papers there are, sorted."""
    return tuple(sorted(_folders()))


def paper_folder(name: str) -> Path:
    """Return the folder of a paper. Raises UserError for an unknown one, with the nearest known one."""
    return named("paper", name, _folders(), f"; {OWN_PAPER}")


def paper_file(paper: str, name: str) -> Path:
    """Return the file `name` of a paper, such as ``deviations.yaml``. Raises UserError with the nearest name."""
    folder = paper_folder(paper)
    path = folder / name
    if not path.is_file():
        siblings = (str(each.relative_to(folder)) for each in path.parent.glob("*.yaml"))
        raise unknown(f"file of the paper {paper}:", name, siblings)
    return path


def _folders() -> dict[str, Path]:
    """Return each paper's folder by its name, which is the folder's. Raises UserError for two of one name."""
    folders: dict[str, Path] = {}
    below = (path.parent for root in _roots() for path in sorted(root.glob(f"*/{PAPER_FILE}")))
    for folder in (*below, *_installed()):
        known = folders.setdefault(folder.name, folder)
        if known != folder:
            raise UserError(f"{known} and {folder} are papers of one name; rename the folder of one")
    return folders


@cache
def _installed() -> tuple[Path, ...]:
    """Find the papers of other packages, once a process.

    Raises UserError for a package that has no paper of the name it gives.
    """
    from importlib.metadata import entry_points

    found = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        folder = _folder_of(entry.value)
        if folder is None or folder.name != entry.name or not (folder / PAPER_FILE).is_file():
            raise UserError(
                f"the package {entry.dist.name if entry.dist else entry.value} offers the paper {entry.name!r}, but"
                f" {entry.value} is no folder of that name with a {PAPER_FILE}; mend its entry point, or uninstall it"
            )
        found.append(folder)
    return tuple(found)


def _folder_of(package: str) -> Path | None:
    """Return the folder of a Python package, which is not imported; None where there is none."""
    from importlib.util import find_spec

    try:
        spec = find_spec(package)
    except ModuleNotFoundError:  # of what it is in
        return None
    return next((Path(each).resolve() for each in (spec and spec.submodule_search_locations) or ()), None)


def _roots() -> Iterator[Path]:
    """Yield the folders with papers. Raises UserError for one that `HARNESS_PAPERS` names and that has none."""
    yield yaml_files.CONFIGS / "papers"
    for entry in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        root = Path(entry).expanduser().resolve()
        if not any(root.glob(f"*/{PAPER_FILE}")):
            raise UserError(f"{VARIABLE} names {entry}, in which no folder has a {PAPER_FILE}; name one above a paper")
        yield root

"""Says of stored results, before they are used, whether they are as they were written, and what changed since.

What is made of a graph can be made again (`harness.engine.pipeline`). Here are also results that a command is given as
files: one that lies in a store, or links into one, is looked at with all it was made from; of others nothing is known.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.engine.artifact_folder import damaged_file
from harness.engine.artifacts import Artifact
from harness.engine.staleness import CodeChanges, Staleness, artifact_around, in_folders, staleness, stored_record
from harness.engine.store import Store
from harness.errors import UserError
from harness.terminal import note_if_slow

MENDS = {"warn": "--code-changes rerun makes them again", "rerun": "they are made again now"}
ELSEWHERE = "`harness reproduce --code-changes rerun`, in the run directory they are of, makes them again"


def tell_stale(targets: Iterable[Artifact], store: Store, code_changes: CodeChanges) -> Staleness:
    """Find what is stale of the graph behind `targets`; print a line for each kind, unless that is to be ignored."""
    found = store.staleness(targets)
    if code_changes != "ignore":
        _print(found, MENDS[code_changes])
    return found


def look_at_files(paths: Iterable[Path], code_changes: CodeChanges) -> Staleness:
    """Look at the artifacts that files or folders lie in, links followed, and at all that these were made from.

    Prints what is stale, unless that is to be ignored. Raises UserError where one of the files' artifacts is damaged.
    """
    folders = [folder for folder in dict.fromkeys(map(artifact_around, paths)) if folder]
    for folder in folders:
        require_intact(folder)
    return tell_stale_folders(folders, code_changes)


def tell_stale_folders(folders: Sequence[Path], code_changes: CodeChanges, of: str = "") -> Staleness:
    """Do as `tell_stale`, of the artifacts in folders of a store and all these were made from; lines begin with
    `of`."""
    if not folders:
        return Staleness()
    found = staleness(in_folders(folders))
    if code_changes != "ignore":
        _print(found, ELSEWHERE, of)
    return found


def require_intact(folder: Path) -> None:
    """Raise UserError, saying how to mend it, where a file of the artifact in `folder` is not what was written."""
    record = stored_record(folder)
    with note_if_slow(f"comparing the files in {folder} with what was written there ..."):
        damaged = damaged_file(folder, record) if record else None
    if damaged:
        raise UserError(
            f"{folder}/{damaged} is damaged; run the command that made it again, which makes"
            " this step again, or put a good copy there"
        )


def _print(found: Staleness, mend: str, of: str = "") -> None:
    lines = [*(f"{line}; {mend}" for line in found.lines), *filter(None, [found.unknown_line])]
    for line in lines:
        print(f"{of}{line}", file=sys.stderr, flush=True)

"""An artifact's folder on disk: its record, how it is renamed into place, and whether it is still what was written."""

import json
import os
import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.engine.artifacts import Artifact
from harness.engine.shared_store import RECORD
from harness.errors import UserError
from harness.files import file_digest

SEAL = "record_digest"
"""The field of a record that holds the digest of its other fields."""


def read_record(folder: Path, key: str) -> dict[str, Any] | None:
    """Return the record of the finished artifact in `folder`; None where it is not there, or incomplete.

    `code` is what made it (`harness.engine.code`), with `functions` where that begins; `made_from` is the content of
    its inputs by key and `content` its own, a digest of payload and counts; `digests` are those of its files. Records
    from before these were kept do not have them.
    """
    record = written_record(folder)
    record.setdefault("retry", False)  # as records from before failed rows were tried again
    is_record = record.get("key") == key and isinstance(record.get("files"), dict)
    return record if is_record and not incomplete_file(folder, record) else None


def written_record(folder: Path) -> dict[str, Any]:
    """Return the JSON object that ``artifact.json`` in a folder is; an empty one where it is none."""
    try:
        record = json.loads((folder / RECORD).read_bytes())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def begun_with(partial: Path) -> dict[str, Any]:
    """Return the code and inputs with which a killed run began to fill a folder, as far as it says."""
    begun = written_record(partial)
    return {name: begun[name] for name in ("code", "made_from") if name in begun}


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write `record`, with the sizes of the files in `folder` and a digest of itself, as ``artifact.json``."""
    files = {str(path.relative_to(folder)): path.stat().st_size for path in payload_files(folder)}
    text = json.dumps(sealed({**record, "files": files}), indent=2, ensure_ascii=False)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8")


def publish(partial: Path, folder: Path) -> None:
    """Flush the filled folder `partial` to the disk and rename it to `folder`, replacing what is there."""
    for path in [*_files(partial), partial]:
        _sync(path)
    aside = replaced_folder(folder)
    if folder.exists():  # spoilt or stale, or it would have been found; put aside first, so that nobody finds half
        shutil.rmtree(aside, ignore_errors=True)
        os.replace(folder, aside)
    os.replace(partial, folder)
    _sync(folder.parent)
    shutil.rmtree(aside, ignore_errors=True)


def replaced_folder(folder: Path) -> Path:
    """Return where the old content of `folder` lies while it is replaced."""
    return folder.with_name(f".replaced-{folder.name}")


class Removed(UserError):
    """An artifact that is needed is not there."""


def removed(artifact: Artifact, folder: Path) -> Removed:
    """Return the error for `artifact`, which lay in `folder`, or was being made there."""
    return Removed(
        f"{folder} of step {artifact} is gone, or part of it, though this run needs it; do not remove what a run works"
        " with, and run the same command again, which makes it anew"
    )


def payload_files(folder: Path) -> list[Path]:
    """Return all files of the artifact but its record, sorted."""
    return [path for path in _files(folder) if path.name != RECORD]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _sync(path: Path) -> None:
    """Flush `path` (a file or a folder) to the disk, so that a power loss cannot tear it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def content_digest(digests: Mapping[str, str], counts: Mapping[str, Any]) -> str:
    """Return one digest of an artifact's content: of its files' digests, by name, and of its counts."""
    return _digest([digests, counts])


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record with a digest of itself."""
    return {**record, SEAL: _digest(record)}


def damaged_file(folder: Path, record: Mapping[str, Any]) -> str | None:
    """Return the first file in `folder` that is not what its record says was written; None where all are.

    Reads every file once, piece by piece. Records of earlier versions, with one digest of all files, name them all;
    still earlier ones have sizes alone. Files that were added are passed over: no step reads them.
    """
    if gone := incomplete_file(folder, record):
        return gone
    if SEAL in record and _digest({name: value for name, value in record.items() if name != SEAL}) != record[SEAL]:
        return RECORD
    if "content" not in record:
        return None
    try:
        digests = {name: file_digest(folder / name) for name in record["files"]}
    except OSError:  # unreadable, or removed at this moment
        return incomplete_file(folder, record) or " or ".join(record["files"])
    if content_digest(digests, record["counts"]) == record["content"]:
        return None
    if "digests" not in record:
        return " or ".join(record["files"])
    return next((name for name, digest in digests.items() if record["digests"].get(name) != digest), RECORD)


def incomplete_file(folder: Path, record: Mapping[str, Any]) -> str | None:
    """Return the first file of the record that is missing or of another size."""
    for name, size in record["files"].items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            return str(name)
    return None


def _digest(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

"""The check that an artifact's files are still what was written: their SHA-256 against its record."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.engine.shared_store import RECORD
from harness.files import file_digest

SEAL = "record_digest"
"""The field of a record that holds the digest of its other fields."""


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

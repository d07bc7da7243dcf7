"""The journal of a batch judge: what was submitted, so that a run that was killed leaves its batches to the next."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SUFFIX = ".batches.jsonl"
"""What stands behind the name of a record of replies in that of its journal."""


@dataclass(slots=True)
class Submission:
    """An uploaded input file and, once there is one, its batch. `open` are the keys whose replies are still to come."""

    file_id: str
    run_id: str
    most_usd: float
    open: set[str] = field(default_factory=set)
    batch_id: str = ""


class Journal:
    """The submitted batches and their outcomes, as lines of JSON that are never changed.

    Each line is on the disk before the next step is taken. Only the process that has the record of replies open writes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def open_submissions(self) -> list[Submission]:
        """Return the submissions of all runs from which some reply is still to come."""
        submissions: dict[str, Submission] = {}
        for line in self._lines():
            with suppress(KeyError, TypeError, AttributeError, ValueError):  # no line of ours
                _take(line, submissions)
        return [submission for submission in submissions.values() if submission.open]

    def uploaded(self, file_id: str, keys: Iterable[str], run_id: str, most_usd: float) -> Submission:
        """Record that an input file is uploaded; nothing is charged for it."""
        submission = Submission(file_id, run_id, most_usd, set(keys))
        self._append("uploaded", submission, keys=sorted(submission.open), run_id=run_id, most_usd=most_usd)
        return submission

    def created(self, submission: Submission, batch_id: str) -> None:
        """Record that the batch of an input file exists: it will be charged for."""
        submission.batch_id = batch_id
        self._append("created", submission, batch_id=batch_id)

    def settle(self, submission: Submission, keys: Set[str]) -> None:
        """Record that nothing more will come of the batch for `keys`."""
        if keys:
            self._append("settled", submission, keys=sorted(keys))
            submission.open -= keys

    def _append(self, kind: str, submission: Submission, **content: Any) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        line = json.dumps({"kind": kind, "file_id": submission.file_id, **content, "time": now})
        with self._path.open("ab") as file:
            file.write(f"\n{line}\n".encode())  # on a line of its own even after one that was cut short
            file.flush()
            os.fsync(file.fileno())

    def _lines(self) -> Iterator[dict[str, Any]]:
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return
        for line in filter(None, lines):
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):  # cut short by a power loss, or none of ours
                continue


def _take(line: Mapping[str, Any], submissions: dict[str, Submission]) -> None:
    """Add a line to the submissions by file. Raises the errors of reading a line of another layout."""
    file_id = str(line["file_id"])
    if line["kind"] == "uploaded":
        keys = set(map(str, line["keys"]))
        submissions[file_id] = Submission(file_id, str(line["run_id"]), float(line["most_usd"]), keys)
    elif file_id not in submissions:  # somebody deleted its first line, to have it submitted anew
        return
    elif line["kind"] == "created":
        submissions[file_id].batch_id = str(line["batch_id"])
    elif line["kind"] == "settled":
        submissions[file_id].open -= set(line["keys"])

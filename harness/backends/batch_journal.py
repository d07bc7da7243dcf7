"""The journal of a batch judge: what was submitted, so that a run that was killed leaves its batches to the next."""

import json
import os
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_SUFFIX = ".batches.jsonl"


@dataclass(slots=True)
class Submission:
    """An uploaded input file and, once there is one, its batch. `open` are the keys whose replies are still to come."""

    file_id: str
    run_id: str
    most_usd: float
    open: set[str] = field(default_factory=set)
    batch_id: str = ""


class Journal:
    """What was submitted and what came of it, as lines of JSON that are never changed; each is on the disk before the
    next step is taken. Written only by who has the record of replies open."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open_submissions(self) -> list[Submission]:
        """Submissions of all runs that some reply is still to come from."""
        submissions: dict[str, Submission] = {}
        for line in self._lines():
            if line["kind"] == "uploaded":
                open = set(line["keys"])
                submissions[line["file_id"]] = Submission(line["file_id"], line["run_id"], line["most_usd"], open)
            elif line["file_id"] not in submissions:  # somebody deleted its first line, to have it submitted anew
                continue
            elif line["kind"] == "created":
                submissions[line["file_id"]].batch_id = line["batch_id"]
            elif line["kind"] == "settled":
                submissions[line["file_id"]].open -= set(line["keys"])
        return [submission for submission in submissions.values() if submission.open]

    def uploaded(self, file_id: str, keys: Iterable[str], run_id: str, most_usd: float) -> Submission:
        """An input file is there; nothing is charged for it."""
        submission = Submission(file_id, run_id, most_usd, set(keys))
        self._append("uploaded", submission, keys=sorted(submission.open), run_id=run_id, most_usd=most_usd)
        return submission

    def created(self, submission: Submission, batch_id: str) -> None:
        """The batch of an input file is there: it will be charged for."""
        submission.batch_id = batch_id
        self._append("created", submission, batch_id=batch_id)

    def settle(self, submission: Submission, keys: Set[str]) -> None:
        """Nothing more will come of the batch for `keys`."""
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
            except ValueError:  # cut short by a power loss
                continue


def journal_beside(record: Path) -> Journal:
    """The journal of the judge whose replies are in the file `record`."""
    return Journal(record.with_suffix(_SUFFIX))


def journals_in(folder: Path) -> list[Journal]:
    """Those of all judges whose replies are in `folder`."""
    return [Journal(path) for path in sorted(folder.glob(f"*{_SUFFIX}"))]

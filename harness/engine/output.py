"""The folder, rows, counts and progress that a running step writes."""

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from harness.engine.compute import Compute, Tracking
from harness.engine.limits import Limits
from harness.engine.progress import Advance, EventHandler, Note, silent
from harness.errors import UserError
from harness.records import ROWS, encoded, read_rows, write_rows

T = TypeVar("T")


TRACKING = "tracking"
"""The folder beside a store that trackers write to."""
SHORT_KEY = 8
"""Digits of a key that tell the runs of a tracker apart."""


class Output:
    """The folder of a running step. It becomes the artifact when the step returns, and not before."""

    def __init__(
        self,
        folder: Path,
        report: EventHandler = silent,
        *,
        reply_cache: Path | None = None,
        limits: Limits | None = None,
        compute: Compute | None = None,
    ) -> None:
        self.folder = folder
        self.reply_cache = reply_cache or folder.parent / ".kept"
        """A folder that outlives the step, finished or killed, for what must not be paid for twice."""
        self.limits = limits or Limits()
        """How fast this run may ask an endpoint, and how much it may spend."""
        self.compute = compute or Compute()
        """How this machine trains models and asks them."""
        self.tracking: Tracking | None = None
        """What the curves of this step's training are handed on to, if it is one and that was asked for."""
        self.counts: dict[str, int | float] = {}
        """Numbers worth knowing without opening the payload; kept in ``artifact.json``."""
        self.retry = False
        """Set where some rows failed that may succeed another time: the next run makes this artifact again."""
        self._report = report
        self._log: RowLog[Any] | None = None

    def name_tracking(self, label: str, key: str, store: Path) -> None:
        """Have a training of this step tracked, if that was asked for: as `label` and `key` say, beside the `store`."""
        if self.compute.track is not None:
            name = re.sub(r"[^\w.=+-]+", "-", f"{label} {key[:SHORT_KEY]}")
            self.tracking = Tracking(self.compute.track, name, str(store.absolute().parent / TRACKING))

    def write_rows(self, rows: Iterable[Any]) -> None:
        """Write the records to ``rows.jsonl`` and their number to ``counts["rows"]``."""
        self.counts["rows"] = write_rows(self.folder / ROWS, rows)

    def append_rows(self, type: type[T], key: Callable[[T], Hashable]) -> "RowLog[T]":
        """Open ``rows.jsonl`` to resume where a killed run stopped (resumable steps only).

        `key` tells rows apart: ``output.append_rows(Response, key=lambda row: row.prompt.id)``.
        """
        log = RowLog(self.folder / ROWS, type, key, self.counts)
        if log.is_damaged:
            self.note(f"the rows that a killed run left in {self.folder / ROWS} are damaged: made again")
        self._log = log
        return log

    def close(self) -> None:
        """End the writing, once the step has returned."""
        if self._log is not None:
            self._log.close()

    def write_json(self, name: str, value: Any) -> None:
        """Write `value` to the file `name` (such as ``scores.json``) with sorted keys."""
        text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        (self.folder / name).write_text(text + "\n", encoding="utf-8")

    def note(self, line: str) -> None:
        """Print a line on this step's result that the user should not miss; it is not stored."""
        self._report(Note(line))

    def track(self, work: int, unit: str, done: int = 0) -> "Tracker":
        """Show progress towards so much `work` in `unit`s (a plural: "rows"), as the tracker is advanced.

        `done` is what an earlier run had finished.
        """
        return Tracker(work, unit, done, self._report)


class Tracker:
    """A counter of the work that a step has done, which reports it at most ten times a second."""

    def __init__(self, total: int, unit: str, done: int, report: EventHandler) -> None:
        self._total, self._unit, self._done, self._report = total, unit, done, report
        self._done_before = done
        self._start = time.monotonic()
        self._next_report = self._start

    def advance(self, count: int = 1) -> None:
        """Report `count` more done."""
        self._done += count
        now = time.monotonic()
        if now >= self._next_report or self._done >= self._total:
            rate = (self._done - self._done_before) / max(now - self._start, 1e-9)
            self._report(Advance(self._done, self._total, self._unit, rate))
            self._next_report = now + 0.1


class RowLog(Generic[T]):
    """An append-only ``rows.jsonl`` that survives SIGKILL and power loss.

    Each `append` is all or nothing: what a killed run was writing is dropped when the log is opened again. A step that
    appends fixed slices of its input therefore gives the same bytes however often it was killed. The size up to the
    last whole append is kept beside the rows in ``.rows.jsonl.mark``, and until the log is closed their SHA-256.
    """

    def __init__(self, path: Path, type: type[T], key: Callable[[T], Hashable], counts: dict[str, int | float]) -> None:
        self._key, self._counts = key, counts
        self._file = path.open("ab")
        self._mark = path.with_name(f".{path.name}.mark")
        self.is_damaged = False
        """Whether the rows that were there are not those that were written, so that none of them is kept."""
        self._digest = hashlib.sha256()
        self._file.truncate(self._complete_size(path))
        try:
            rows = read_rows(path, type)
        except UserError:  # written by other code: start again
            self._file.truncate(0)
            self._digest = hashlib.sha256()
            rows = []
        self.done: dict[Hashable, T] = {key(row): row for row in rows}
        """The rows so far, by key, in the order they were appended."""
        self._count()

    def append(self, rows: Sequence[T]) -> None:
        """Add `rows` for good: when this returns they are on the disk. Raises ValueError for a key already there."""
        keys = [self._key(row) for row in rows]
        again = [key for position, key in enumerate(keys) if key in self.done or key in keys[:position]]
        if again:
            raise ValueError(f"rows with these keys are already there: {again}")
        lines = b"".join(map(encoded, rows))
        self._file.write(lines)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._digest.update(lines)
        self._write_mark(f"{self._file.tell()} {self._digest.hexdigest()}")
        self.done.update(zip(keys, rows, strict=True))
        self._count()

    def close(self) -> None:
        """End the appending. The artifact's record has a digest of the rows by itself."""
        if self._mark.exists():
            self._write_mark(str(self._file.tell()))
        self._file.close()

    def _complete_size(self, path: Path) -> int:
        """Return the bytes of complete appends; 0 without a mark, or where it is spoilt or the bytes are others."""
        try:
            size, *digest = self._mark.read_text().split()
            complete = int(size)
        except (OSError, ValueError):
            return 0
        if complete > os.fstat(self._file.fileno()).st_size:
            return 0
        written = path.read_bytes()[:complete]
        self.is_damaged = bool(digest) and hashlib.sha256(written).hexdigest() != digest[0]
        if self.is_damaged:
            return 0
        self._digest.update(written)
        return complete

    def _write_mark(self, text: str) -> None:
        aside = self._mark.with_suffix(".new")
        aside.write_text(text)
        aside.replace(self._mark)

    def _count(self) -> None:
        self._counts["rows"] = len(self.done)

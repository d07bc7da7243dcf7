"""Artifacts on disk: ``<root>/<step>/<key>/`` holds the payload and ``artifact.json``.

A folder with that name is complete: it is filled under another name and renamed into place. A file lock per key lets
one process do the work while the others wait for it. Where machines share no file system, a store is what one machine
has of a `SharedStore`: what it makes is pushed there, what is asked for is fetched from there.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.core.artifacts import Artifact, find_step, input_keys
from harness.core.code import code_of
from harness.core.compute import Compute
from harness.core.errors import UserError
from harness.core.files import link_or_copy
from harness.core.limits import Limits
from harness.core.output import Output
from harness.core.progress import Report, Waiting, silent
from harness.core.provenance import device, provenance
from harness.core.shared_store import RECORD, SharedStore


class Store:
    """A folder of artifacts. Several processes may use one at the same time."""

    def __init__(self, root: str | Path, shared: SharedStore | None = None) -> None:
        """Makes the folder if need be. Raises UserError when it cannot be written to."""
        self.root = Path(root).absolute()
        self.shared = shared
        """Where all artifacts lie for other machines too. What is there is in the store, fetched or not."""
        require_writable(self.root)

    @property
    def kept(self) -> Path:
        """Where steps keep what must not be paid for twice; not part of any artifact."""
        return self.root / ".kept"

    def folder(self, artifact: Artifact) -> Path:
        """Where `artifact` lies once it is made."""
        return self.root / artifact.step / artifact.key

    def has(self, artifact: Artifact) -> bool:
        """Whether `artifact` is there, with a readable record and every file at its full size, and none of its rows,
        or of those it was made from, failed in a way that the next run may mend."""
        record = self._read_record(artifact)
        return record is not None and not record["retry"]

    def record(self, artifact: Artifact) -> Mapping[str, Any]:
        """The content of ``artifact.json``, also of one to be made again for its failed rows.

        Raises KeyError when the store does not have `artifact`.
        """
        record = self._read_record(artifact)
        if record is None:
            raise KeyError(f"{artifact} ({artifact.key}) is not in {self.root}")
        return record

    def bind(self, artifact: Artifact) -> Artifact:
        """`artifact` and all it was made from, each bound to its folder if it is there.

        `artifact` itself is fetched, if it is shared.
        """
        self._fetch(artifact)
        return self._bound(artifact)

    def _bound(self, artifact: Artifact) -> Artifact:
        bound: dict[str, Artifact] = {}

        def bind_one(one: Artifact) -> Artifact:
            if one.key not in bound:
                inputs = {
                    name: bind_one(value) if isinstance(value, Artifact) else tuple(map(bind_one, value))
                    for name, value in one.inputs.items()
                }
                folder = self.folder(one)
                here = folder if (folder / RECORD).exists() else None
                bound[one.key] = dataclasses.replace(one, inputs=inputs, bound_to=here)
            return bound[one.key]

        return bind_one(artifact)

    def build(
        self,
        artifact: Artifact,
        report: Report = silent,
        limits: Limits | None = None,
        compute: Compute | None = None,
    ) -> bool:
        """Runs the step of `artifact`, whose inputs must be there. False when another process has made it meanwhile.

        Whatever the step raises is raised; the store is then as before, but for what a resumable step has appended.
        """
        with self._lock(artifact, report):
            if self.has(artifact) or self._share_what_is_here(artifact):
                return False
            for parent in artifact.parents():
                self._fetch(parent)
            partial = self._open_partial(artifact)
            started, clock = datetime.now(UTC), time.monotonic()
            code = code_of(artifact)  # before it is imported: what runs is what is read now
            output = Output(partial, report, kept=self.kept, limits=limits, compute=compute)
            step = find_step(artifact)
            step.run(output, self._bound(artifact))
            output.close()
            times = {
                "started": started.isoformat(timespec="seconds"),
                "ended": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": round(time.monotonic() - clock, 3),
            }
            parents = {parent.key: self.record(parent) for parent in artifact.parents()}
            origin = {
                "code": code,
                "made_from": {key: record.get("content") for key, record in parents.items()},
                "content": _content(partial, output.counts),
            }
            retry = output.retry or any(record["retry"] for record in parents.values())
            _write_record(partial, {**_identity(artifact), **times, **origin, "counts": output.counts, "retry": retry})
            _publish(partial, self.folder(artifact))
            self._share(artifact)
            return True

    def adopt(self, artifact: Artifact, folder: Path) -> None:
        """Makes `folder`, where another store has `artifact`, part of this store too.

        Its files are linked, and copied where that cannot be.
        """
        partial = self.folder(artifact).with_name(f".adopted-{artifact.key}")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(folder, partial, copy_function=link_or_copy)
        _publish(partial, self.folder(artifact))
        self._share(artifact)

    def _read_record(self, artifact: Artifact) -> dict[str, Any] | None:
        if self.shared:
            return self.shared.record(place(artifact))
        return read_record(self.folder(artifact), artifact.key)

    def _share_what_is_here(self, artifact: Artifact) -> bool:
        """Shares an artifact of a run that was killed before it could, or did not share."""
        record = read_record(self.folder(artifact), artifact.key)
        if self.shared is None or record is None or record["retry"]:
            return False
        self._share(artifact)
        return True

    def _share(self, artifact: Artifact) -> None:
        if self.shared:
            self.shared.push(place(artifact), self.folder(artifact))

    def _fetch(self, artifact: Artifact) -> None:
        """Has the artifact lie here, if others share it."""
        record = self.shared.record(place(artifact)) if self.shared else None
        if self.shared is None or record is None or self._lies_here(artifact, record):
            return
        with self._lock(artifact, silent):
            if self._lies_here(artifact, record):  # fetched by another process meanwhile
                return
            partial = self.folder(artifact).with_name(f".fetched-{artifact.key}")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            self.shared.fetch(place(artifact), partial)
            _publish(partial, self.folder(artifact))

    def _lies_here(self, artifact: Artifact, shared: Mapping[str, Any]) -> bool:
        """Whether what lies here is what the shared record is of: it may have been made again for its failed rows."""
        here = read_record(self.folder(artifact), artifact.key)
        return here is not None and all(here.get(name) == shared.get(name) for name in ("files", "content"))

    def _open_partial(self, artifact: Artifact) -> Path:
        partial = self.folder(artifact).with_name(f".partial-{artifact.key}")
        if partial.exists() and not find_step(artifact).resumable:
            shutil.rmtree(partial)
        partial.mkdir(parents=True, exist_ok=True)
        return partial

    @contextmanager
    def _lock(self, artifact: Artifact, report: Report) -> Iterator[None]:
        from filelock import FileLock, Timeout

        locks = self.root / ".locks"
        locks.mkdir(exist_ok=True)
        lock = FileLock(locks / f"{artifact.key}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            report(Waiting())
            lock.acquire()
        try:
            yield
        finally:
            lock.release()


def open_store(root: Path, compute: Compute) -> Store:
    """The store at `root`, with what `compute` shares it by. Raises UserError where either cannot be used."""
    return Store(root, SharedStore(compute.store) if compute.store else None)


def read_record(folder: Path, key: str) -> dict[str, Any] | None:
    """The record of the finished artifact in `folder`; None where it is not there, or not all of it.

    `code` is what made it (`harness.core.code`), `made_from` the content of its inputs by key and `content` its own, a
    digest of payload and counts; records from before these were kept do not have them.
    """
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_bytes())
        record.setdefault("retry", False)  # as records from before failed rows were tried again
        complete = record["key"] == key and all(
            (folder / name).stat().st_size == size for name, size in record["files"].items()
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return record if complete else None


def place(artifact: Artifact) -> str:
    """Where `artifact` lies in whichever store has it: ``<step>/<key>``."""
    return f"{artifact.step}/{artifact.key}"


def require_writable(folder: Path) -> None:
    """Makes the folder if need be and tries to write into it. Raises UserError when that fails."""
    import tempfile

    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is not a folder; choose another place for the run")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error.strerror}); choose another place") from None


def _identity(artifact: Artifact) -> dict[str, Any]:
    return {
        "step": artifact.step,
        "version": artifact.version,
        "key": artifact.key,
        "label": artifact.label,
        "params": artifact.params,
        "seed": artifact.params.get("seed"),
        "inputs": input_keys(artifact.inputs),
        "provenance": {**provenance(), "device": device()},
    }


def _content(folder: Path, counts: Mapping[str, Any]) -> str:
    digests = {}
    for path in _payload(folder):
        with path.open("rb") as file:
            digests[str(path.relative_to(folder))] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(json.dumps([digests, counts], sort_keys=True).encode()).hexdigest()


def _write_record(folder: Path, record: Mapping[str, Any]) -> None:
    files = {str(path.relative_to(folder)): path.stat().st_size for path in _payload(folder)}
    text = json.dumps({**record, "files": files}, indent=2, ensure_ascii=False)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8")


def _publish(partial: Path, folder: Path) -> None:
    for path in [*_files(partial), partial]:
        _sync(path)
    if folder.exists():  # spoilt, or it would have been found
        shutil.rmtree(folder)
    os.replace(partial, folder)
    _sync(folder.parent)


def _payload(folder: Path) -> list[Path]:
    return [path for path in _files(folder) if path.name != RECORD]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _sync(path: Path) -> None:
    """Has the system write `path` (a file or a folder) to the disk, so that a power loss cannot tear it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Artifacts on disk: ``<root>/<step>/<key>/`` holds the payload and ``artifact.json``.

A folder with that name is complete: it is filled under another name and renamed into place. A file lock per key lets
one process do the work while the others wait for it. Where machines share no file system, a store is what one machine
has of a `SharedStore`: what it makes is pushed there, what is asked for is fetched from there.
"""

import dataclasses
import json
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.engine.artifact_folder import (
    begun_with,
    content_digest,
    damaged_file,
    incomplete_file,
    payload_files,
    publish,
    read_record,
    removed,
    replaced_folder,
    write_record,
)
from harness.engine.artifacts import Artifact, find_step, input_keys
from harness.engine.code import OURS, code_of, functions_of
from harness.engine.compute import Compute
from harness.engine.limits import Limits
from harness.engine.locks import locked, locked_at_once, remove_unheld
from harness.engine.output import Output
from harness.engine.progress import EventHandler, Waiting, silent
from harness.engine.shared_store import RECORD, SharedStore
from harness.engine.staleness import Staleness, changed_modules, has_other_inputs, in_graph, staleness, stored_record
from harness.errors import UserError
from harness.files import file_digest, link_or_copy
from harness.provenance import device, package_around, provenance
from harness.records import lone_surrogate_error

_BESIDE = (".replaced", ".adopted", ".fetched")
"""How folders beside an artifact begin that are none of its own once it is there."""


class Store:
    """A folder of artifacts. Several processes may use one at the same time."""

    def __init__(self, root: str | Path, shared: SharedStore | None = None, *, remakes_stale: bool = False) -> None:
        """Make the folder if need be. Raises UserError when it cannot be written to."""
        self.root = Path(root).absolute()
        self.shared = dataclasses.replace(shared, keeps_records=not remakes_stale) if shared else None
        """Where all artifacts lie for other machines too. What is there is in the store, fetched or not."""
        self.remakes_stale = remakes_stale
        """Whether what `staleness` finds is made again."""
        self._checked: set[str] = set()
        """Keys of what was compared with its digests, through this object, and is as it was written."""
        self._discarded: set[str] = set()
        """Keys of what was found to be damaged."""
        require_writable(self.root)

    @property
    def reply_cache(self) -> Path:
        """The folder of paid replies of endpoints, shared by all steps; not part of any artifact."""
        return self.root / ".kept"

    @property
    def logs(self) -> Path:
        """The folder of the output of steps until they have ended well."""
        return self.root / ".logs"

    @property
    def _locks(self) -> Path:
        return self.root / ".locks"

    def folder(self, artifact: Artifact) -> Path:
        """Return the folder of `artifact` once it is made."""
        return self.root / artifact.step / artifact.key

    def has(self, artifact: Artifact) -> bool:
        """Return whether `artifact` is there: with a readable record, and every file at its full size.

        Artifacts with failed rows that the next run may mend, their own or in those they were made from, do not count.
        """
        record = self._read_record(artifact)
        return record is not None and not record["retry"]

    def record(self, artifact: Artifact) -> Mapping[str, Any]:
        """Return the content of ``artifact.json``, also of one to be made again for its failed rows.

        Raises Removed when the store does not have `artifact`.
        """
        record = self._read_record(artifact)
        if record is None:
            raise removed(artifact, self.folder(artifact))
        return record

    def staleness(self, targets: Iterable[Artifact]) -> Staleness:
        """Return what is stale among `targets` and all they are made from, as far as it is there and not damaged."""
        made = in_graph(targets, self._read_record)
        return staleness(made, self._discarded - {record["key"] for record in made})

    def damage(self, artifact: Artifact) -> str | None:
        """Return the first file of `artifact` that is not what was written, if it lies here. Read once for this object.

        Read once for this object.
        """
        record = read_record(self.folder(artifact), artifact.key)
        if record is None or artifact.key in self._checked:
            return None
        damaged = damaged_file(self.folder(artifact), record)
        if damaged is None:
            self._checked.add(artifact.key)
        return damaged

    def discard(self, artifact: Artifact) -> str | None:
        """Remove a damaged `artifact` from the store, and return the damaged file; None where all is well.

        It is looked at again while nobody else can make it: it may have been replaced while it was read.
        """
        with self._lock(artifact, silent):
            damaged = self.damage(artifact)
            if damaged is not None:
                self._discarded.add(artifact.key)
                record = self.folder(artifact) / RECORD
                with suppress(FileNotFoundError):  # removed at this moment
                    record.replace(record.with_name(f"damaged-{RECORD}"))
        return damaged

    def spoilt_file(self, artifact: Artifact) -> str | None:
        """Return why a folder that is there is no finished artifact: the missing, cut or unreadable file.

        None where that was said already, here or by `discard`.
        """
        folder = self.folder(artifact)
        is_known = artifact.key in self._discarded
        if is_known or not folder.is_dir() or read_record(folder, artifact.key) is not None:
            return None
        self._discarded.add(artifact.key)
        record = stored_record(folder)
        return RECORD if record is None else incomplete_file(folder, record)

    def bind(self, artifact: Artifact) -> Artifact:
        """Return `artifact` and all it was made from, each bound to its folder if it is there.

        `artifact` itself is fetched, if it is shared. Raises Removed where it is not there.
        """
        self._fetch(artifact)
        if not (self.folder(artifact) / RECORD).exists():
            raise removed(artifact, self.folder(artifact))
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
        report: EventHandler = silent,
        limits: Limits | None = None,
        compute: Compute | None = None,
    ) -> bool:
        """Run the step of `artifact`, whose inputs must be there; return False if another process has made it
        meanwhile.

        Whatever the step raises is raised; the store is then as before, but for what a resumable step has appended.
        Raises Removed where somebody takes away what it works with.
        """
        with self._lock(artifact, report):
            shutil.rmtree(replaced_folder(self.folder(artifact)), ignore_errors=True)  # of a killed run
            is_done = self.has(artifact) and not (self.remakes_stale and self._is_stale(artifact))
            if is_done or self._share_what_is_here(artifact):
                return False
            for parent in artifact.parents():
                self._fetch(parent)
            parents = {parent.key: self.record(parent) for parent in artifact.parents()}
            partial, origin = self._open_partial(
                artifact,
                {
                    "code": code_of(artifact),  # before it is imported: what runs is what is read now
                    "made_from": {key: record.get("content") for key, record in parents.items()},
                },
            )
            output = Output(partial, report, reply_cache=self.reply_cache, limits=limits, compute=compute)
            output.name_tracking(artifact.label or artifact.step, artifact.key, self.root)
            with self._removals_reported(artifact, partial):
                times = _run_step(artifact, self._bound(artifact), output)
                digests = {str(path.relative_to(partial)): file_digest(path) for path in payload_files(partial)}
                content = {"content": content_digest(digests, output.counts), "digests": digests}
                retry = {"retry": output.retry or any(record["retry"] for record in parents.values())}
                write_record(
                    partial, {**_identity(artifact), **times, **origin, **content, "counts": output.counts, **retry}
                )
                publish(partial, self.folder(artifact))
            self._share(artifact)
            return True

    @contextmanager
    def _removals_reported(self, artifact: Artifact, partial: Path) -> Iterator[None]:
        """Raise Removed in the place of an error inside, where an input is gone, or the folder that is filled."""
        try:
            yield
        except Exception as error:
            for parent in artifact.parents():
                if read_record(self.folder(parent), parent.key) is None:
                    raise removed(parent, self.folder(parent)) from error
            if not (partial.exists() or self.folder(artifact).exists()):
                raise removed(artifact, partial) from error
            raise

    def adopt(self, artifact: Artifact, folder: Path) -> None:
        """Make `folder`, where another store has `artifact`, part of this store too.

        Its files are linked, and copied where that cannot be.
        """
        partial = self.folder(artifact).with_name(f".adopted-{artifact.key}")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(folder, partial, copy_function=link_or_copy)
        publish(partial, self.folder(artifact))
        self._share(artifact)

    def sweep(self) -> None:
        """Remove what killed processes left: locks that nobody has, and leftovers beside artifacts that are there.

        The latter are what the artifacts replaced, copies of them and logs of their steps.
        """
        remove_unheld(self._locks, "*.lock")
        for path in [*self.root.glob("*/.*-*"), *self.logs.glob("*-*.log")]:
            if (artifact := self._finished(path)) is not None:
                with locked_at_once(self._locks / f"{artifact.name}.lock") as is_free:
                    if is_free and path.is_dir():
                        shutil.rmtree(path, ignore_errors=True)
                    elif is_free:
                        path.unlink(missing_ok=True)

    def _finished(self, path: Path) -> Path | None:
        """Return the artifact that is there, which `path` was left beside or is a log of; None for other paths."""
        start, _, key = path.name.removesuffix(".log").rpartition("-")
        if path.parent == self.logs:
            artifact = self.root / start / key
        elif start in _BESIDE:
            artifact = path.with_name(key)
        else:
            return None
        return artifact if (artifact / RECORD).is_file() else None

    def _is_stale(self, artifact: Artifact) -> bool:
        """Return whether its code or one of its inputs, all of which are as they should be by now, is another."""
        record = self.record(artifact)
        known = {parent.key: self._read_record(parent) for parent in artifact.parents()}
        content = {key: found.get("content") for key, found in known.items() if found}
        return bool(changed_modules(record, code_of(artifact))) or has_other_inputs(record, content)

    def _read_record(self, artifact: Artifact) -> dict[str, Any] | None:
        if self.shared:
            return self.shared.record(place(artifact))
        return read_record(self.folder(artifact), artifact.key)

    def _share_what_is_here(self, artifact: Artifact) -> bool:
        """Share an artifact of a run that was killed before it could, or did not share."""
        record = read_record(self.folder(artifact), artifact.key)
        if self.shared is None or record is None or record["retry"] or self.remakes_stale:
            return False
        self._share(artifact)
        return True

    def _share(self, artifact: Artifact) -> None:
        if self.shared:
            self.shared.push(place(artifact), self.folder(artifact))

    def _fetch(self, artifact: Artifact) -> None:
        """Fetch the artifact if others share it."""
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
            if damaged := damaged_file(partial, read_record(partial, artifact.key) or record):
                raise UserError(
                    f"{self.shared.url}/{place(artifact)}: {damaged} is damaged; remove that folder"
                    " and run the same command, which makes it again"
                )
            publish(partial, self.folder(artifact))

    def _lies_here(self, artifact: Artifact, shared: Mapping[str, Any]) -> bool:
        """Return whether the local artifact is the shared one, which may have been made again for its failed rows."""
        here = read_record(self.folder(artifact), artifact.key)
        return here is not None and all(here.get(name) == shared.get(name) for name in ("files", "content"))

    def _open_partial(self, artifact: Artifact, origin: Mapping[str, Any]) -> tuple[Path, dict[str, Any]]:
        """Return the folder to fill, and its origin: `origin`, or the code that a killed run began it with.

        What was begun with other inputs is thrown away, and so is what was begun by other code if that is to be made
        again. Else the code that began it stands in the record, so that the artifact is named as stale.
        """
        partial = self.folder(artifact).with_name(f".partial-{artifact.key}")
        begun = {**origin, **begun_with(partial)}
        is_other = begun["made_from"] != origin["made_from"] or (self.remakes_stale and begun["code"] != origin["code"])
        if partial.exists() and (is_other or not find_step(artifact).resumable):
            shutil.rmtree(partial)
        if not partial.exists():
            begun = dict(origin)
        partial.mkdir(parents=True, exist_ok=True)
        (partial / RECORD).write_text(json.dumps(begun), encoding="utf-8")
        return partial, begun

    @contextmanager
    def _lock(self, artifact: Artifact, report: EventHandler) -> Iterator[None]:
        self._locks.mkdir(parents=True, exist_ok=True)
        with locked(self._locks / f"{artifact.key}.lock", lambda: report(Waiting())):
            yield


def open_store(root: Path, compute: Compute, *, remakes_stale: bool = False) -> Store:
    """Return the store at `root`, with what `compute` shares it by. Raises UserError where either cannot be used."""
    return Store(root, SharedStore(compute.store) if compute.store else None, remakes_stale=remakes_stale)


def place(artifact: Artifact) -> str:
    """Return the path of `artifact` in any store: ``<step>/<key>``."""
    return f"{artifact.step}/{artifact.key}"


def require_writable(folder: Path) -> None:
    """Make the folder if need be and try to write into it. Raises UserError when that fails."""
    import tempfile

    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is not a folder; choose another place for the run")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error.strerror}); choose another place") from None


def _run_step(artifact: Artifact, bound: Artifact, output: Output) -> dict[str, Any]:
    """Run the step of `artifact`, `bound` to its inputs; return its start and duration, for the record.

    Raises what the step raises, and UserError for a text of its rows that no file can hold.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    try:
        find_step(artifact).run(output, bound)
    except UnicodeEncodeError as error:
        raise lone_surrogate_error(error) from None
    output.close()
    return {
        "started": started.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - clock, 3),
    }


def _identity(artifact: Artifact) -> dict[str, Any]:
    """Return the fields of an artifact's record that say what it is, and where it was made."""
    return {
        "step": artifact.step,
        "functions": functions_of(artifact),
        "version": artifact.version,
        "key": artifact.key,
        "label": artifact.label,
        "params": artifact.params,
        "seed": artifact.params.get("seed"),
        "inputs": input_keys(artifact.inputs),
        "provenance": {**provenance(), "device": device(), **_outside(artifact)},
    }


def _outside(artifact: Artifact) -> dict[str, Any]:
    """Return the packages from outside that an artifact's step and its arguments' classes are of."""
    roots = {function.partition(":")[0].partition(".")[0] for function in functions_of(artifact)} - OURS
    found = [package for root in sorted(roots) if (package := package_around(root))]
    return {"outside": found} if found else {}

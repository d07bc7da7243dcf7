"""Artifacts under a URL that fsspec knows, for machines that share no file system."""

import posixpath
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from json import loads
from os import getuid
from pathlib import Path
from typing import Any, TypeVar

from harness.errors import UserError

T = TypeVar("T")
RECORD = "artifact.json"

_CREDENTIALS = re.compile(r"://(?:[^/]*@|[^/\[]*:(?!\d*(?:/|$)))")
"""A user before the host; or what follows its colon is no port, as in ``s3://KEY:SEC/RET@bucket``."""
_CONTAINER = re.compile(r"\b(abfss?)://[^/@:]+@")
"""What Azure's URLs have in that place is no user."""


@dataclass(frozen=True, slots=True)
class SharedStore:
    """Folders of artifacts below `url`, such as ``s3://bucket/run``; their names are places, ``<step>/<key>``.

    A record is put there last, so that an artifact with a record is whole. All methods raise UserError where the URL
    cannot be used; so does the constructor for one with a user or password, which manifests and errors would show.
    """

    url: str
    keeps_records: bool = True
    """Whether records are asked for once; not so where artifacts that are there may be made again."""
    _records: dict[str, dict[str, Any]] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        if _CREDENTIALS.search(_CONTAINER.sub(r"\1://", self.url)):
            raise UserError(
                "the URL of --store may hold no user and no password (nothing before an @): it is written into results;"
                " credentials belong in the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )

    def record(self, place: str) -> dict[str, Any] | None:
        """Return the content of the artifact's record, without its payload; None where it is not there."""
        if not self.keeps_records or place not in self._records:
            text = self._do(lambda files, root: _read(files, posixpath.join(root, place, RECORD)))
            try:
                record = loads(text) if text is not None else None
            except ValueError:  # a file system that shows half of a file
                record = None
            if not isinstance(record, dict):
                return None
            record.setdefault("retry", False)
            if record["retry"]:  # to be made again
                return record
            self._records[place] = record
        return self._records[place]

    def fetch(self, place: str, folder: Path) -> None:
        """Copy the artifact into the empty folder."""
        names = [*(self.record(place) or {}).get("files", ()), RECORD]

        def copy(files: Any, root: str) -> None:
            for name in names:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                files.get_file(posixpath.join(root, place, name), str(folder / name))

        self._do(copy)

    def push(self, place: str, folder: Path) -> None:
        """Copy the artifact in `folder` there, its record last."""
        names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        names.remove(RECORD)

        def copy(files: Any, root: str) -> None:
            target = posixpath.join(root, place)
            if files.exists(target):  # one whose failed rows were tried again, or half of one
                files.rm(target, recursive=True)
            for name in [*names, RECORD]:
                files.makedirs(posixpath.dirname(posixpath.join(target, name)), exist_ok=True)
                files.put_file(str(folder / name), posixpath.join(target, name))

        self._records.pop(place, None)
        self._do(copy)

    def cache(self, machine: str) -> Path:
        """Return the folder where `machine` keeps what it fetches and makes, among its temporary files."""
        name = sha256(self.url.encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"harness-{getuid()}" / name / machine

    def _do(self, action: Callable[[Any, str], T]) -> T:
        """Call `action` with fsspec's file system and the path that stands for the URL in it."""
        import fsspec

        try:
            files, root = fsspec.core.url_to_fs(self.url)
            files.invalidate_cache()  # others write there too
            return action(files, root)
        except Exception as error:  # each file system has its own
            why = " ".join(str(error).split()) or type(error).__name__
            raise UserError(
                f"the store {self.url} cannot be used ({why}); fix that, or give another URL with --store"
            ) from error


def _read(files: Any, path: str) -> bytes | None:
    try:
        content: bytes = files.cat_file(path)
        return content
    except FileNotFoundError:
        return None

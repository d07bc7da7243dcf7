"""Files that readers never see half written, and places where nothing more can be written."""

import errno
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from harness.core.errors import UserError

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})


def no_room(error: BaseException, place: Path) -> UserError | None:
    """What to tell the user where `error`, or what led to it, is that a disk is full or read-only; None elsewhere.

    `place` is where the writing was to be, for errors that do not say.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _NO_ROOM:
            return UserError(
                f"cannot write to {cause.filename or place} ({cause.strerror}); see to that and run the same command:"
                " what was made and paid for before is kept"
            )
        cause = cause.__cause__ or cause.__context__
    return None


def replace_file(path: Path, content: bytes) -> None:
    """Writes beside `path` and renames, so that a reader never sees half a file. Raises OSError where that fails."""
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Makes `target` the same file as `source`; a copy where the file system cannot."""
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)

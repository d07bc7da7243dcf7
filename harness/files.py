"""Files that readers never see half written, and places where nothing more can be written."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex

from harness.errors import UserError

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
LETTERS = 8
"""That make the name of a file beside another its own."""


def disk_full_error(error: BaseException, place: Path) -> UserError | None:
    """Return the UserError where `error`, or its cause, is that a disk is full or read-only; None elsewhere.

    `place` is where the writing was to be, for errors that do not say.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _NO_ROOM:
            return UserError(
                f"cannot write to {cause.filename or place} ({cause.strerror}); fix that and run the same command:"
                " finished and paid work is kept"
            )
        cause = cause.__cause__ or cause.__context__
    return None


def replace_file(path: Path, content: bytes) -> None:
    """Write beside `path` and rename, so that a reader never sees half a file. Raises OSError where that fails."""

    def write(aside: Path) -> None:
        with aside.open("xb") as file:
            file.write(content)

    _replace(path, write)


def replace_link(path: Path, target: str) -> None:
    """Make `path` a link to `target`, at no moment missing if it was there. Raises OSError where that fails."""
    _replace(path, lambda aside: aside.symlink_to(target))


def _replace(path: Path, make: Callable[[Path], None]) -> None:
    """Make the new `path` beside it with `make`, and rename it. Removes what killed processes have left there.

    It may remove what another process is about to rename, which then makes it again.
    """
    start = f".{path.name}-"
    for stray in path.parent.iterdir():
        if stray.name.startswith(start) and len(stray.name) == len(start) + LETTERS:
            stray.unlink(missing_ok=True)
    while True:
        aside = path.with_name(start + token_hex(LETTERS // 2))
        try:
            make(aside)
            os.replace(aside, path)
            return
        except FileNotFoundError:
            if not path.parent.is_dir():
                raise
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Make `target` the same file as `source`; a copy where the file system cannot."""
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)

"""Locks between processes that leave no file behind."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def locked(path: Path, waits: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock `path`, a file in a folder that is there, until the context is left.

    `waits` is called, once, where another process has it.

    The file goes with the lock. Who waited for it then sees that it is another file, and takes the lock anew
    (`filelock`), so that two never have it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        waits()
        lock.acquire()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


@contextmanager
def locked_at_once(path: Path) -> Iterator[bool]:
    """Take the lock `path` as `locked` does if it is free; return whether it was."""
    from filelock import FileLock, Timeout

    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def remove_unheld(folder: Path, pattern: str) -> None:
    """Remove the locks in `folder` that match and nobody has: of processes that were killed."""
    for path in folder.glob(pattern):
        with suppress(OSError), locked_at_once(path):
            pass

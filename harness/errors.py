"""Errors that end a command with one line and a definite exit code."""

import difflib
from collections.abc import Iterable, Mapping
from typing import ClassVar, TypeVar

T = TypeVar("T")


class HarnessError(Exception):
    """An error that ends a command: shown as ``error: <message>`` without a traceback, then `exit_code`.

    The message is the only argument, so that every subclass can be pickled.
    """

    exit_code: ClassVar[int] = 1


class UserError(HarnessError):
    """Something the user can mend. The message is one line that says what is wrong and how to mend it."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class StepFailed(HarnessError):
    """A step raised something unexpected; the message carries the full traceback."""


class WorkerDied(HarnessError):
    """A worker process ended without an answer, most likely because memory ran out: what the user can mend."""

    exit_code = 2


class Interrupted(HarnessError):
    """The user pressed Ctrl-C during a run."""

    exit_code = 130


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate most like `name`, or None when nothing comes close."""
    matches = difflib.get_close_matches(name, list(candidates), n=1)
    return matches[0] if matches else None


def unknown(kind: str, name: str, candidates: Iterable[str], besides: str = "") -> UserError:
    """Return the error for a misspelt name: ``unknown method 'sgop'; did you mean 'sgpo'? (known: dpo, sft, sgpo)``.

    `besides` ends what is known.
    """
    known = sorted(candidates)
    guess = nearest(name, known)
    hint = f"; did you mean {guess!r}?" if guess else ""
    return UserError(f"unknown {kind} {name!r}{hint} (known: {', '.join(known) or 'none'}{besides})")


def named(kind: str, name: str, known: Mapping[str, T], besides: str = "") -> T:
    """Return what `known` has under `name`. Raises `unknown` where it has nothing."""
    if name not in known:
        raise unknown(kind, name, known, besides)
    return known[name]

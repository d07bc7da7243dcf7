"""The signals that end a command from outside."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

ENDINGS = (signal.SIGTERM, signal.SIGHUP)
"""A request to end, and the end of the terminal."""


@contextmanager
def endings_interrupt() -> Iterator[list[int]]:
    """Make `ENDINGS` interrupt as Ctrl-C does, so that it is tidied up; yield the numbers of those received so far.

    One that is ignored, as under nohup, stays ignored.
    """
    heard: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        heard.append(number)
        raise KeyboardInterrupt

    usual = [number for number in ENDINGS if signal.getsignal(number) is signal.SIG_DFL]
    for number in usual:
        signal.signal(number, interrupt)
    try:
        yield heard
    finally:
        for number in usual:
            signal.signal(number, signal.SIG_DFL)


def interrupted_code(heard: Sequence[int]) -> int:
    """Return the exit code of a command that was interrupted, after it `heard` these endings, or else Ctrl-C.

    An interrupt that went through code given as text (dataclasses make such) is remembered by the interpreter, which
    would end by SIGINT whatever exit code it is told. Other code given as text makes it forget that.
    """
    eval("None")
    return 128 + (heard[-1] if heard else signal.SIGINT)

"""Output to a terminal: texts of others, of files and endpoints, are shown and never obeyed.

A model's name, an annotator's, an answer of an endpoint can hold characters that a terminal obeys: escape sequences
that clear the screen or name the window, marks that turn the writing round, a line end before a forged "error:".
"""

import io
import re
import sys
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff]")
"""Controls of both sets but tab and line end, marks of direction, other line ends, and halves of characters, which no
stream can print."""

PATIENCE = 2.0
"""Seconds after which somebody wonders whether a command still lives."""


def visible(text: str) -> str:
    """Return the text with characters that a terminal would obey as escapes, such as ``\\x1b``; keeps line ends."""
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    """Return `visible` text with its line ends as escapes too: for a text of others within a line of ours."""
    return visible(text).replace("\n", "\\n")


def joined(lines: Iterable[str]) -> str:
    """Return lines as a text of exactly so many lines."""
    return "\n".join(map(one_line, lines))


def aligned(rows: Sequence[Sequence[str]], words: Collection[int]) -> list[str]:
    """Return rows of cells as lines: the columns `words` begin alike, those of figures end alike."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(["", *(f"{cell:{'<' if at in words else '>'}{widths[at]}}" for at, cell in enumerate(row))]).rstrip()
        for row in rows
    ]


class VisibleStream:
    """A text stream that makes all `visible` that is written to it; else it is the stream that it is made of."""

    def __init__(self, stream: TextIO) -> None:
        self.unfiltered = stream

    def write(self, text: str) -> int:
        """Write as the stream does; characters that it does not have are written as escapes."""
        encoding = self.unfiltered.encoding or "utf-8"
        self.unfiltered.write(visible(text).encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write lines as `write` does."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unfiltered, name)


@contextmanager
def visible_output() -> Iterator[None]:
    """Make everything that is printed inside, from wherever, `visible`."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (VisibleStream(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def console(stream: TextIO) -> "Console":
    """Return a rich console on `stream` that reads no markup or emoji in what it is given.

    The terminal obeys nothing but what rich itself writes.
    """
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class VisibleConsole(Console):
        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(visible(segment.text), segment.style)

    own = getattr(stream, "unfiltered", stream)
    return VisibleConsole(file=own, markup=False, emoji=False, highlight=False)


_progress_is_hidden = False


@contextmanager
def without_progress() -> Iterator[None]:
    """Have nothing printed inside of how far a command is; what went wrong, or costs money, still is."""
    global _progress_is_hidden
    before, _progress_is_hidden = _progress_is_hidden, True
    try:
        yield
    finally:
        _progress_is_hidden = before


def progress_stream() -> TextIO:
    """Return the stream for what is printed of how far a command is: stderr, or one that goes nowhere."""
    return io.StringIO() if _progress_is_hidden else sys.stderr


@contextmanager
def note_if_slow(line: str) -> Iterator[None]:
    """Print the line as progress where what is done inside takes longer than `PATIENCE`."""
    timer = threading.Timer(PATIENCE, lambda: print(line, file=progress_stream(), flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()

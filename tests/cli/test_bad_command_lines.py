"""Command lines that are wrong, made over all commands and options: each is one line on stderr and exit code 2."""

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest

from harness.cli import app
from harness.cli.parameters import FiniteFloat, NamedPath, Names, Text, Whole

ROOT = Path(__file__).parents[2]
CONTROLS = ("\0", "a\x1b[2Jb", "one\ntwo", "\x7f", "\udcff")
NUMBERS = ("", "x", "nan", "inf", "-inf", "1e400", "-0", "-1", "1_000", " 1", "+1", "0x1", "½", "9" * 5000, *CONTROLS)
PATIENCE = 25
"""Seconds that finding out may take, on a busy machine."""
LONG = "x" * 20_000

Line = tuple[str, ...]

ENOUGH: dict[str, Line] = {
    "reproduce": ("table3",),
    "doctor": ("table3",),
    "plan": ("table3",),
    "prefetch": ("table3",),
    "eval": ("--bench", "arena_hard", "--model", "mini:llama"),
    "compare": ("a.json", "b.json", "--bench", "arena_hard"),
    "leaderboard": ("verdicts",),
    "report": ("folder",),
    "sweep": ("table3", "--methods", "dpo:beta={0.1,0.5}"),
    "regress": ("--baseline", "a", "--candidate", "b"),
    "list": ("methods",),
    "new method": ("half-dpo",),
    "new eval": ("word-count",),
    "new paper": ("my-paper",),
    "data split": ("outputs",),
    "judge check": ("--model", "m"),
    "judge calibrate": ("annotations", "--model", "m"),
    "paper check": ("sgpo",),
    "mini pretrain": ("llama", "folder"),
    "mini diagnose": (),
    "mini rates": (),
    "rates": (),
}
"""A command line without options that are wrong, by command: what is wrong is added to it."""


def commands(group: click.Group = app.cli, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        full = f"{path} {name}".strip()
        yield from commands(command, full) if isinstance(command, click.Group) else ((full, command),)


def wrong_values(kind: click.ParamType) -> Sequence[str]:
    """What such a parameter must refuse by itself."""
    if isinstance(kind, Whole | FiniteFloat):
        return (*NUMBERS, str(int(kind.max or 0) + 1))
    if isinstance(kind, click.Choice):
        return ("", "x", LONG, *CONTROLS, str(kind.choices[0]).upper())
    if isinstance(kind, Names):
        return ("", ",", "a,,b", "a,a", *CONTROLS)
    if isinstance(kind, Text):
        return ("", " ", *CONTROLS)
    return ("", "\0") if isinstance(kind, NamedPath) else ()


def wrong_options(name: str, option: click.Option) -> Iterator[Line]:
    """Lines on which one option is wrong."""
    start, word = (*name.split(), *ENOUGH[name]), option.opts[0]
    if option.is_flag:
        yield (*start, f"{word}=1")
        yield (*start, word, word)
    else:
        yield (*start, word)
        values = wrong_values(option.type)
        yield from ((*start, word, value) for value in values)
        yield from ((*start, f"{word}={value}") for value in values[:3])
    yield (*start, f"{word}x")
    yield (*start, word.upper())


def wrong_arguments(name: str, command: click.Command) -> Iterator[Line]:
    """Lines with an argument too few, too many or wrong."""
    words, enough = tuple(name.split()), ENOUGH[name]
    arguments = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
    yield (*words, *enough, "--nonsense")
    yield (*words, *enough, "-z")
    if any(each.required for each in command.params):
        yield words
    if all(each.nargs == 1 for each in arguments):
        yield (*words, *enough, *("more",) * (1 + len(arguments)))
    for place, argument in enumerate(arguments):
        if argument.nargs == 1:
            yield from ((*words, *enough[:place], value, *enough[place + 1 :]) for value in wrong_values(argument.type))


GENERATED = [
    line
    for name, command in commands()
    for line in (
        *wrong_arguments(name, command),
        *(line for each in command.params if isinstance(each, click.Option) for line in wrong_options(name, each)),
    )
]


def check(line: Line, exit_code: object, out: str, err: str) -> None:
    shown = " ".join(word[:60] for word in line)
    assert (exit_code, out) == (2, ""), f"{shown}: {exit_code} {out[:300]} {err[-800:]}"
    assert err.startswith("error: ") and err.count("\n") == 1 and err.endswith("\n"), f"{shown}: {err[-1500:]}"
    assert len(err) < 2000, f"{shown}: {len(err)} characters"
    assert all(letter.isprintable() for letter in err[:-1]), f"{shown}: {err!r}"


def runs_on(*arguments: object) -> None:
    raise AssertionError("it has begun to work")


def run_here(line: Line, monkeypatch: pytest.MonkeyPatch) -> tuple[object, str, str]:
    """What the command does in this process; streams in memory, since a thousand files take long."""
    monkeypatch.setattr(sys, "argv", ["harness", *line])
    signal.signal(signal.SIGALRM, runs_on)
    signal.alarm(PATIENCE)
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    code: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            app.main()
        except SystemExit as stop:
            code = stop.code
        finally:
            signal.alarm(0)
        out.flush()
        err.flush()
    return code, out.buffer.getvalue().decode(), err.buffer.getvalue().decode()  # type: ignore[attr-defined]


def test_every_command_has_lines() -> None:
    assert {name for name, _ in commands()} == set(ENOUGH)
    assert len(GENERATED) >= 1000
    print(f"{len(GENERATED)} wrong command lines")


@pytest.mark.parametrize("name", sorted(ENOUGH))
def test_a_wrong_command_line_is_one_line_and_exit_code_2(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    words = tuple(name.split())
    for line in (line for line in GENERATED if line[: len(words)] == words):
        check(line, *run_here(line, monkeypatch))
    assert not list(tmp_path.iterdir())


SAMPLE = GENERATED[:: len(GENERATED) // 12]


@pytest.mark.parametrize("line", [line for line in SAMPLE if not any("\0" in word for word in line)], ids=repr)
def test_in_a_process_of_its_own_too(line: Line, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness", *map(os.fsencode, line)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
    )
    check(line, done.returncode, done.stdout.decode(), done.stderr.decode())


# What is wrong in itself, not in its form


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a folder, a file that is no text, an empty file and a closed folder, in which the commands run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 8)
    (tmp_path / "empty").touch()
    (tmp_path / "list.yaml").write_text("- one\n- two\n")
    return tmp_path


RUNS = ("reproduce", "doctor", "plan", "prefetch")
PLACES = (
    "folder",
    "binary",
    "empty",
    "nowhere",
    "nowhere/file",
    "binary/file",
    "/dev/null",
    "/dev/null/file",
    "x" * 300,
)
METHODS = ("sgop", "sgpo:", "sgpo:rounds", "sgpo:x=1", LONG)
JUDGES: tuple[Line, ...] = (
    ("--judge-base-url", "http://127.0.0.1:9/v1"),
    ("--judge-without", "logprobs"),
    ("--judge-model", "m", "--judge-base-url", "ftp://x"),
    ("--judge-model", "m", "--judge-base-url", "127.0.0.1"),
    ("--judge-model", "m", "--judge-base-url", "http://user:pass@127.0.0.1:9/v1"),
    ("--judge-model", "mini:juge"),
)
SEMANTIC: list[Line] = [
    ("reprodce", "table3"),
    ("judge", "chek"),
    ("mini", "nothing"),
    *((run, "table99") for run in RUNS),
    *((run, "table3", "--scale", scale) for run in RUNS for scale in ("min", "./nowhere.yaml", "../x", LONG)),
    *((run, "table3", "--scale", f"./{place}.yaml") for run in RUNS for place in ("list", "nowhere")),
    *(
        (run, "table3", "--methods", value)
        for run in RUNS
        for value in ("sgop", "sgpo:", "sgpo:rounds", "sgpo:x=1", LONG)
    ),
    *((run, "table3", "--models", value) for run in RUNS for value in ("qwn", "table3", LONG)),
    *((run, "table3", "--seed", "4294967295", "--seeds", "2") for run in RUNS),
    *((run, "table3", *judge) for run in RUNS if run != "prefetch" for judge in JUDGES),
    *((run, "table3", "--accelerate", "fdsp") for run in RUNS),
    *((run, "table3", "--ray-address", "127.0.0.1:1") for run in RUNS),
    *((run, "fig5", "--methods", "sft") for run in RUNS),
    ("plan", "table3", "--device", "h1000"),
    *(("eval", "--bench", "arena_hard", option, place) for option in ("--model", "--outputs") for place in PLACES),
    *(("eval", "--bench", "arena_hard", "--judgments", place) for place in PLACES),
    *(("eval", "--bench", "alpaca_eval2", "--annotations", place) for place in PLACES),
    *(("eval", "--bench", "arena_hard", "--model", "mini:llama", "--scale", scale) for scale in ("min", "./empty", "")),
    *(("eval", "--bench", "arena_hard", "--model", "mini:llama", *judge) for judge in JUDGES),
    ("eval", "--bench", "arena_hrad", "--model", "mini:llama"),
    ("eval", "--bench", "arena_hard"),
    ("eval", "--bench", "arena_hard", "--model", "mini:llama", "--outputs", "binary"),
    ("eval", "--bench", "arena_hard", "--judgments", "binary", "--annotations", "binary"),
    *(("compare", place, "empty", "--bench", bench) for place in PLACES for bench in ("alpaca_eval2", "arena_hard")),
    *(("compare", "empty", place, "--bench", "alpaca_eval2") for place in (",", ",,", "empty,nowhere")),
    ("compare", "binary", "empty", "--bench", "arena_hard", "--lc-calibration", "binary"),
    *(("regress", "--baseline", place, "--candidate", "folder") for place in PLACES),
    *(("regress", "--baseline", "folder", "--candidate", place) for place in PLACES),
    *(("regress", "--baseline", place, "--candidate", "folder", "--rerun-affected") for place in PLACES),
    *(("report", place) for place in PLACES),
    *(("data", "split", place) for place in PLACES),
    *(("judge", "calibrate", place, "--model", "m") for place in PLACES),
    ("judge", "check", "--model", "m", "--batch"),
    ("judge", "check", "--model", "m", "--base-url", "x"),
    ("judge", "check", "--model", "m", "--judge-model", "n"),
    ("judge", "check", "--model", "mini:judge"),
    *(("paper", "check", name) for name in ("sgop", "../mini", "/", ".", LONG)),
    *(("mini", "pretrain", "llama", place) for place in ("binary", "binary/file", "/dev/null/file", "x" * 300)),
    *(("mini", "diagnose", "--models", name) for name in ("qwn", LONG)),
    *(
        (*rates, *option)
        for rates in (("rates",), ("mini", "rates"))
        for option in (("--models", "qwn"), ("--methods", "sgop"))
    ),
    *(("rates", "--scale", scale) for scale in ("min", "./list.yaml", "nowhere.yaml")),
    *(("reproduce", "table3", "--run-dir", place) for place in ("binary", "binary/file", "/dev/null/x", "x" * 300)),
    *(("doctor", "table3", "--run-dir", place) for place in ("binary", "binary/file", "/dev/null/x", "x" * 300)),
]


@pytest.mark.parametrize("line", SEMANTIC, ids=lambda line: " ".join(word[:40] for word in line))
def test_a_command_that_cannot_do_what_it_is_told_says_so_in_one_line(
    line: Line, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    check(line, *run_here(line, monkeypatch))

"""The options that messages name, and whether the command that prints them has these."""

import re
from collections.abc import Iterator, Sequence

import click

from harness.cli import app

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")
_ELSEWHERE = re.compile(r"(?:pip|ray|git|nvidia-smi) [^`;,]*")
"""Commands of others, with their options."""


def commands(group: click.Group = app.cli, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command by its name, such as "judge check"."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


COMMANDS = dict(commands())
_NAMED = re.compile(rf"harness ({'|'.join(sorted(COMMANDS, key=len, reverse=True))})\b")


def options_of(command: str) -> set[str]:
    """All options of the command `command`."""
    return {option for parameter in COMMANDS[command].params for option in parameter.opts} | {"--help"}


def command_of(arguments: Sequence[str]) -> str | None:
    """The command that is run with these arguments; None where it is none."""
    return next((name for name in (" ".join(arguments[:count]) for count in (2, 1)) if name in COMMANDS), None)


def mends(command: str, out: str, err: str) -> Iterator[str]:
    """The messages among what a command printed: its error, and the lines of `doctor`; not what it says of an option
    that a user has invented."""
    lines = [*err.splitlines(), *(out.splitlines() if command == "doctor" else ())]
    for line in lines:
        if not line.startswith("error: No such option") and line.startswith(("error: ", "failure ", "warning ")):
            yield line


def absent(command: str, message: str) -> list[str]:
    """The options that a message of `command` names and that are none: of the command that stands before an option, as
    in "`harness eval` takes --data", or else of `command`."""
    text = _ELSEWHERE.sub("", message)
    named = [(found.end(), found[1]) for found in _NAMED.finditer(text)]
    lacking = []
    for found in OPTION.finditer(text):
        of = next((name for end, name in reversed(named) if end <= found.start()), command)
        if found[0] not in options_of(of) | (set() if of == command else options_of(command)):
            lacking.append(found[0])
    return lacking

"""The examples in the help of every command: they are there, and each is a command line that can be given."""

import shlex

import pytest

from harness.cli import app
from harness.cli.examples import EXAMPLES
from tests.command import Harness
from tests.mends import COMMANDS, command_of

LINES = [pytest.param(name, line, id=line) for name, lines in EXAMPLES.items() for line in lines]
GROUPS = ("", "new", "data", "judge", "paper", "mini")


def test_every_command_has_some() -> None:
    assert EXAMPLES.keys() == {*COMMANDS, *GROUPS}
    assert all(EXAMPLES.values())


@pytest.mark.parametrize("name", EXAMPLES)
def test_its_help_shows_them(harness: Harness, name: str) -> None:
    outcome = harness(*name.split(), "--help")
    shown = outcome.out.partition("Examples:\n")[2].splitlines()
    assert [line.strip() for line in shown if line.strip()] == list(EXAMPLES[name])


@pytest.mark.parametrize(("name", "line"), LINES)
def test_an_example_is_a_command_line_of_the_command(name: str, line: str) -> None:
    program, *arguments = shlex.split(line)
    command = command_of(arguments)
    assert program == "harness" and command is not None
    assert name in GROUPS or command == name
    given = arguments[len(command.split()) :]
    COMMANDS[command].make_context(command, given, parent=app.cli.make_context("harness", [command.split()[0]]))

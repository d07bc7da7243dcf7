"""Types of command-line values."""

import click
import pytest

from harness import cli
from harness.parameters import FiniteFloat


@pytest.mark.parametrize("value", ["nan", "NaN", "-nan", "inf", "Infinity", "1e400", "-inf", "abc", "", "-1"])
def test_what_is_no_finite_number_in_the_range_is_refused(value: str) -> None:
    with pytest.raises(click.BadParameter):
        FiniteFloat(min=0).convert(value, None, None)


@pytest.mark.parametrize(("value", "number"), [("0", 0.0), ("1.5", 1.5), ("1e-3", 1e-3), (2, 2.0)])
def test_a_finite_number_is_taken(value: object, number: float) -> None:
    assert FiniteFloat(min=0).convert(value, None, None) == number


def test_no_option_of_any_command_takes_a_number_that_is_not_finite() -> None:
    def commands(command: click.Command) -> list[click.Command]:
        inner = command.commands.values() if isinstance(command, click.Group) else []
        return [command, *(each for one in inner for each in commands(one))]

    ranges = [
        (command.name, option.name)
        for command in commands(cli.cli)
        for option in command.params
        if isinstance(option.type, click.types.FloatParamType) and not isinstance(option.type, FiniteFloat)
    ]
    assert ranges == []

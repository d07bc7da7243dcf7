"""The values of options: no command has one whose type lets odd values through."""

from collections.abc import Iterator

import click
import pytest

from harness.cli import parameters
from harness.cli.app import cli
from harness.cli.parameters import FiniteFloat, NamedPath, Names, Text, TrainingSeeds, Whole
from tests.command import Harness

STRICT = (FiniteFloat, Whole, Text, NamedPath, Names, TrainingSeeds, click.Choice, click.types.BoolParamType)
ODD_NUMBERS = ["nan", "NaN", "inf", "-inf", "infinity", "1e400", "-0", "-0.0", "-1", "1_0", " 1", "+1", "0x10", "٣", ""]


def parameters_of(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Parameter]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from parameters_of(command, *path, name)
        else:
            yield from (((*path, name), parameter) for parameter in command.params)


PARAMETERS = [pytest.param(*each, id=" ".join((*each[0], each[1].name or ""))) for each in parameters_of(cli)]


@pytest.mark.parametrize(("command", "parameter"), PARAMETERS)
def test_every_parameter_has_a_type_that_refuses_odd_values(command: tuple[str, ...], parameter: click.Parameter):
    assert isinstance(parameter.type, STRICT), f"{' '.join(command)} {parameter.opts}: {parameter.type}"


@pytest.mark.parametrize("type", [FiniteFloat(), FiniteFloat(0, 10, min_open=True), Whole(), Whole(0, 5)], ids=repr)
@pytest.mark.parametrize("value", [*ODD_NUMBERS, "9" * 400, "9" * 5000, "1e9999999"])
def test_an_odd_number_is_refused_in_a_short_line(type: click.ParamType, value: str):
    with pytest.raises(click.BadParameter) as refused:
        type.convert(value, None, None)
    assert len(refused.value.message) < 200


@pytest.mark.parametrize(("value", "number"), [("0", 0), ("7.50", 7.5), ("1e3", 1000), ("0.0", 0), ("5.", 5)])
def test_numbers_are_numbers(value: str, number: float):
    assert FiniteFloat().convert(value, None, None) == number


def test_whole_numbers_keep_to_their_range():
    assert Whole(0, 5).convert("5", None, None) == 5
    assert parameters.SEED.convert(str(2**32 - 1), None, None) == 2**32 - 1
    with pytest.raises(click.BadParameter, match="6 is not in the range"):
        Whole(0, 5).convert("6", None, None)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["plan", "table3", "--gpu-usd-per-hour", "nan"], "'--gpu-usd-per-hour': 'nan' is not a valid number"),
        (["eval", "--bench", "b", "--max-usd", "nan"], "'--max-usd': 'nan' is not a valid number"),
        (["judge", "check", "--model", "m", "--timeout", "1e400"], "'--timeout': '1e400' is not a finite number"),
        (["judge", "check", "--model", "m", "--timeout", "0"], "'--timeout': 0.0 is not in the range"),
        (["reproduce", "table3", "--seed", "1", "--seed", "2"], "--seed is given twice"),
        (["reproduce", "table3", "--fast", "--fast"], "--fast is given twice"),
        (["eval", "--bench", "b", "--bench", "b"], "--bench is given twice with one value"),
        (["reproduce", "table3", "--methods", "sft,sft"], "'sft' is named twice"),
        (["reproduce", "table3", "--teacher", ""], "'--teacher': it is empty"),
        (["reproduce", "ta\x1bble3"], r"'ta\x1bble3' holds characters that cannot be printed"),
        (["reproduce", "table3", "--run-dir", "a\0b"], "holds a character that no path can have"),
    ],
)
def test_odd_values_are_refused(harness: Harness, arguments: list[str], complaint: str):
    outcome = harness(*arguments)
    assert (outcome.exit_code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert complaint in outcome.err


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("dpo:beta={0.01,0.1}", ("dpo:beta=0.01", "dpo:beta=0.1")),
        ("sft,dpo:beta={0.1, 0.5}:epochs=2,spin", ("sft", "dpo:beta=0.1:epochs=2", "dpo:beta=0.5:epochs=2", "spin")),
        ("dpo:beta={0.1}", ("dpo:beta=0.1",)),
        ("dpo:beta={0.1", ("dpo:beta={0.1",)),
    ],
)
def test_braces_are_a_name_for_each_value(text: str, names: tuple[str, ...]) -> None:
    assert Names().convert(text, None, None) == names


def test_a_value_that_is_given_twice_is_refused() -> None:
    with pytest.raises(click.BadParameter, match="named twice"):
        Names().convert("dpo:beta={0.1,0.1}", None, None)

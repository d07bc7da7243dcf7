"""The command `harness`. Thin: each command reads its options, calls one function and shows what it returns."""

import sys
from collections.abc import Callable

import click

from harness.cli.embedded import mini
from harness.cli.help import Commands
from harness.cli.inventory import data, list_, paper
from harness.cli.judges import judge
from harness.cli.new import new
from harness.cli.parameters import format_message
from harness.cli.runs import doctor, plan, prefetch, rates, report, reproduce
from harness.cli.scores import compare, eval_, leaderboard, regress
from harness.cli.sweeps import sweep
from harness.engine.signals import endings_interrupt, interrupted_code
from harness.errors import HarnessError, Interrupted, StepFailed
from harness.terminal import one_line, visible_output


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="preference-harness", prog_name="harness")
def cli() -> None:
    """Reproduce the tables of preference-optimization papers, and score models as they did."""


for command in (  # in the order of use
    *(reproduce, report, compare, sweep, regress),
    *(list_, plan, doctor, prefetch),
    *(eval_, judge, leaderboard, paper),
    *(new, rates, data, mini),
):
    cli.add_command(command)


def main() -> None:
    """Run the command; an error that a user can mend is one line on stderr, and so is its being ended."""
    with endings_interrupt() as heard, visible_output():
        _run_command(lambda: interrupted_code(heard))


def _run_command(interrupted: Callable[[], int]) -> None:
    """Run the command; `interrupted` is the exit code where it is."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.exceptions.NoArgsIsHelpError as no_command:
        click.echo(no_command.format_message())
    except (click.Abort, KeyboardInterrupt):  # the latter where click itself was at work
        _fail("interrupted", interrupted())
    except click.ClickException as error:
        _fail(" ".join(error.format_message().split()), 2)
    except OSError as error:
        if error.filename is None or not error.strerror:
            raise
        _fail(f"{error.filename}: {error.strerror}; fix that, or name another place", 2)
    except Interrupted as error:
        _fail(str(error), interrupted())
    except StepFailed as error:  # with its traceback
        _fail(str(error), error.exit_code)
    except HarnessError as error:
        _fail(one_line(str(error)), error.exit_code)


def _fail(message: str, exit_code: int) -> None:
    click.echo(f"error: {format_message(message)}", err=True)
    sys.exit(exit_code)

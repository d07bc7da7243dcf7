"""The commands `harness new`."""

from typing import TYPE_CHECKING

import click

from harness.cli.help import Commands
from harness.cli.parameters import TEXT

if TYPE_CHECKING:
    from harness.commands.new_package import PackageKind


@click.group(cls=Commands)
def new() -> None:
    """Start a method, a benchmark or a paper of your own: a package with a test that passes."""


@new.command()
@click.argument("name", type=TEXT)
def method(name: str) -> None:
    """Write a package with the method NAME, such as half-dpo, into a folder of that name."""
    _write("method", name)


@new.command("eval")
@click.argument("name", type=TEXT)
def eval_(name: str) -> None:
    """Write a package with the benchmark NAME, such as word-count, into a folder of that name."""
    _write("eval", name)


@new.command()
@click.argument("name", type=TEXT)
def paper(name: str) -> None:
    """Write a package with the paper NAME, such as my-paper, into a folder of that name."""
    _write("paper", name)


def _write(kind: "PackageKind", name: str) -> None:
    from harness.commands.new_package import new_package

    click.echo("\n".join(new_package(kind, name)))

"""Commands and options as their help shows them."""

import functools
from collections.abc import Callable
from typing import Any

import click

from harness.engine.scratch import scratch


class WithExamples(click.Command):
    """A command whose help ends with examples."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from harness.cli.examples import EXAMPLES

        if lines := EXAMPLES.get(_path(ctx)):
            with formatter.section("Examples"):
                for line in lines:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")


def _path(ctx: click.Context) -> str:
    """Return a command's name with those of its groups, such as ``judge check``."""
    return " ".join(filter(None, (_path(ctx.parent), ctx.info_name))) if ctx.parent else ""


class Command(WithExamples):
    """A command that takes an option once, and a value of a repeatable one: the last would silently be the one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        rest = super().parse_args(ctx, args)
        for option in (each for each in given if isinstance(each, click.Option)):
            values = ctx.params.get(option.name or "") if option.multiple else given.count(option) * (None,)
            if isinstance(values, tuple) and len(set(values)) < len(values):
                raise click.UsageError(f"{option.opts[0]} is given twice" + " with one value" * option.multiple)
        return rest


class Commands(click.Group, WithExamples):
    """A group that offers the nearest name for a misspelt command, and shows its commands as they are defined."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Summaries are whole sentences, which take more than a line where they must."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.get_short_help_str(limit=200)) for name, each in self.commands.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        from harness.errors import unknown

        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise unknown("command", args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)


class HeadedOption(click.Option):
    """An option that the command's help shows under a heading."""

    def __init__(self, *names: Any, heading: str, **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.heading = heading


class HeadedCommand(Command):
    """A command with so many options that its help shows them under headings, and that leaves no temporary file."""

    def invoke(self, ctx: click.Context) -> Any:
        with scratch():
            return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        options = (parameter for parameter in self.get_params(ctx) if isinstance(parameter, click.Option))
        for option in options:
            if record := option.get_help_record(ctx):
                sections.setdefault(getattr(option, "heading", "Options"), []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def under(heading: str) -> Callable[..., Any]:
    """Return `click.option`, with its help under the heading."""
    return functools.partial(click.option, cls=HeadedOption, heading=heading)

"""Commands that show what there is, and make the data sets of a scale."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from harness.cli.help import Command, Commands
from harness.cli.options import as_json_option
from harness.cli.parameters import PATH, TEXT


@click.command("list", cls=Command)
@click.argument("kind", type=click.Choice(["papers", "experiments", "methods", "evals", "scales", "models", "judges"]))
@as_json_option
def list_(kind: str, as_json: bool) -> None:
    """List the papers, experiments, methods, evaluations, scales, models or judges there are."""
    from harness.commands.listing import BARE_NAMES, listing

    lines = list(listing(kind))
    if as_json:
        click.echo(json.dumps([{"name": name, "summary": summary} for name, summary in lines], indent=1))
        return
    width = max(len(name) for name, _ in lines)
    for name, summary in lines:
        click.echo(f"{name:{width}}  {summary}")
    if kind == "experiments":
        click.echo(BARE_NAMES, err=True)


@click.group(cls=Commands)
def data() -> None:
    """Make the data sets of a scale."""


@data.command("split")
@click.argument("source", type=PATH)
@click.option("--out", type=PATH, default=Path("data/small"), show_default=True, help="The folder of the data sets.")
def split_(source: Path, out: Path) -> None:
    """Deal AlpacaEval's outputs in the folder SOURCE out to the data roles of the scale `small`."""
    from harness.commands.small_data import split

    for name, rows in split(source, out).items():
        click.echo(f"{out / name}.jsonl  {rows} rows")


@click.group(cls=Commands)
def paper() -> None:
    """Look into a paper: its numbers and its claims."""


@paper.command("check")
@click.argument("name", type=TEXT, required=False)
@as_json_option
def check_paper(name: str | None, as_json: bool) -> None:
    """Show where the paper NAME disagrees with itself; all there are if no name is given."""
    from harness.papers.consistency import check_paper, format_findings
    from harness.papers.folders import papers

    names = [name] if name else papers()
    if as_json:
        found = {each: [asdict(finding) for finding in check_paper(each)] for each in names}
        click.echo(json.dumps(found, indent=1, ensure_ascii=False))
        return
    for each in names:
        click.echo(format_findings(each))

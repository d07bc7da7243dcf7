"""Commands about the embedded world."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.help import Commands
from harness.cli.options import SCALE
from harness.cli.parameters import NAMES, PATH, SEED, Whole
from harness.cli.runs import choose_rates, rates_options
from harness.mini.pretrain import FAMILIES, TOKENS

if TYPE_CHECKING:
    from harness.commands.bounds import BoundedValue


@click.group(cls=Commands)
def mini() -> None:
    """Look into the embedded world, or make its models again."""


@mini.command()
@click.argument("family", type=click.Choice(FAMILIES))
@click.argument("folder", type=PATH)
@click.option("--tokens", default=TOKENS, show_default=True, type=Whole(), help="How many tokens to train on.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Of the initial weights and of the texts.")
def pretrain(family: str, folder: Path, tokens: int, seed: int) -> None:
    """Make a base model again, as the packaged ones were made, and save it in FOLDER."""
    from harness.engine.store import require_writable
    from harness.mini.pretrain import pretrain as train

    require_writable(folder)
    train(family, folder, tokens=tokens, seed=seed, report=lambda line: click.echo(line, err=True))
    click.echo(f"saved in {folder}")


@mini.command()
@click.option(
    "--models", type=NAMES, default="qwen,llama,qwen-small", show_default=True, help="Base models, comma-separated."
)
@click.option("--seed", default=1000, show_default=True, type=SEED, help="Apart from the seeds that experiments use.")
@click.option("--run-dir", type=PATH, default=Path("runs/mini"), show_default=True, help="The folder of artifacts.")
def diagnose(models: tuple[str, ...], seed: int, run_dir: Path) -> None:
    """Measure what the world was sized on: base models, initial policy, teacher and improver, but no preference method.

    Beside each figure stand the bounds that were set before it was looked at. Ends with 1 where one is missed.
    """
    from harness.commands.diagnostics import diagnostics, findings
    from harness.commands.skills import skill_findings
    from harness.engine.pipeline import run
    from harness.engine.store import Store
    from harness.recipes.loading import load_recipe

    store, recipe = Store(run_dir / "store"), load_recipe(SCALE)
    found = {name: diagnostics(recipe, name, seed) for name in models}
    missed = 0
    for name in models:
        missed += _print_findings(f"{name}: the base model", skill_findings(recipe.base_models[name].reference, seed))
    run([target for each in found.values() for target in each.targets()], store)
    for name, each in found.items():
        missed += _print_findings(f"{name}: initial policy, teacher, improver", findings(each, store))
    if missed:
        click.echo(f"{missed} figures are outside their bounds")
        raise SystemExit(1)


def _print_findings(title: str, found: "Iterable[BoundedValue]") -> int:
    """Print figures below their title, and return how many are outside their bounds."""
    click.echo(title)
    missed = 0
    for finding in found:
        click.echo(f"  {finding}")
        missed += finding.is_missed
    return missed


@mini.command("rates")
@rates_options
def mini_rates(**options: Any) -> None:
    """Choose the learning rates of preference stages of the embedded world: `harness rates --scale mini`."""
    choose_rates(SCALE, **options)

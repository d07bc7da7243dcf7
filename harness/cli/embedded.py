"""Commands about the embedded world."""

from pathlib import Path
from typing import Any

import click

from harness.cli.help import Commands
from harness.cli.options import SCALE
from harness.cli.parameters import NAMES, PATH, SEED, Whole
from harness.cli.runs import choose_rates, rates_options


@click.group(cls=Commands)
def mini() -> None:
    """Look into the embedded world, or make its models again."""


@mini.command()
@click.argument("family", type=click.Choice(["qwen2", "llama", "mistral", "qwen2-small"]))
@click.argument("folder", type=PATH)
@click.option("--tokens", default=40_000_000, show_default=True, type=Whole(), help="How many tokens to train on.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Of the initial weights and of the texts.")
def pretrain(family: str, folder: Path, tokens: int, seed: int) -> None:
    """Make a base model again, as the packaged ones were made, and save it in FOLDER."""
    from harness.engine.store import require_writable
    from harness.mini.pretrain import pretrain as train

    require_writable(folder)
    train(family, folder, tokens=tokens, seed=seed, report=lambda line: click.echo(line, err=True))
    click.echo(f"saved in {folder}")


@mini.command()
@click.option("--models", type=NAMES, default="qwen,llama", show_default=True, help="Base models, comma-separated.")
@click.option("--seed", default=1000, show_default=True, type=SEED, help="Apart from the seeds that experiments use.")
@click.option("--run-dir", type=PATH, default=Path("runs/mini"), show_default=True, help="The folder of artifacts.")
def diagnose(models: tuple[str, ...], seed: int, run_dir: Path) -> None:
    """Measure what the world was sized on: initial policy, teacher and improver, but no preference method."""
    from harness.commands.diagnostics import diagnostics, report
    from harness.engine.pipeline import run
    from harness.engine.store import Store
    from harness.recipes.loading import load_recipe

    store = Store(run_dir / "store")
    found = {name: diagnostics(load_recipe(SCALE), name, seed) for name in models}
    run([target for each in found.values() for target in each.targets()], store)
    for name, each in found.items():
        click.echo(f"{name}\n" + "\n".join(f"  {line}" for line in report(each, store)))


@mini.command("rates")
@rates_options
def mini_rates(**options: Any) -> None:
    """Choose the learning rates of preference stages of the embedded world: `harness rates --scale mini`."""
    choose_rates(SCALE, **options)

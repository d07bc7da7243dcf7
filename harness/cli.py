"""The command `harness`. Thin: each command reads its options, calls one function and shows what it returns."""

import sys
from pathlib import Path
from typing import Any

import click

from harness.core.errors import HarnessError

SCALE = "mini"
LARGEST_SEED = 2**32 - 1
SEED = click.IntRange(0, LARGEST_SEED)
"""What numpy takes, which the trainers seed."""


class Commands(click.Group):
    """A group that offers the nearest name for a misspelt command."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        from harness.core.errors import unknown

        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise unknown("command", args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="preference-harness", prog_name="harness")
def cli() -> None:
    """Reproduce the tables of preference-optimization papers, and score models as they did."""


def main() -> None:
    """Runs the command; an error that a user can mend is one line on stderr."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.exceptions.NoArgsIsHelpError as no_command:
        click.echo(no_command.format_message())
    except click.Abort:
        _fail("interrupted", 130)
    except click.ClickException as error:
        _fail(" ".join(error.format_message().split()), 2)
    except HarnessError as error:
        _fail(str(error), error.exit_code)


def _fail(message: str, exit_code: int) -> None:
    click.echo(f"error: {message}", err=True)
    sys.exit(exit_code)


def _names(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    """A comma-separated list."""
    return tuple(name.strip() for name in value.split(",") if name.strip()) if value else ()


@cli.command()
@click.argument("experiment")
@click.option("--scale", default=SCALE, show_default=True, help="What fills the paper's roles: configs/scales.")
@click.option("--fast", is_flag=True, help="The same code on small counts and one base model.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="The first training seed.")
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1, 100), help="How many training seeds.")
@click.option("--models", callback=_names, help="Only these base models (comma-separated).")
@click.option("--methods", callback=_names, help="Only these methods (comma-separated).")
@click.option(
    "--run-dir", type=click.Path(path_type=Path), help="Where artifacts and report go.  [default: runs/SCALE]"
)
def reproduce(
    experiment: str,
    scale: str,
    fast: bool,
    seed: int,
    seeds: int,
    models: tuple[str, ...],
    methods: tuple[str, ...],
    run_dir: Path | None,
) -> None:
    """Train, generate, judge and score what EXPERIMENT (such as table3) needs, and write its report.

    What is in the run directory already is not computed again.
    """
    from harness.reproduce import reproduce as run

    if seed + seeds - 1 > LARGEST_SEED:
        raise click.UsageError(f"the last seed, {seed + seeds - 1}, is above {LARGEST_SEED}")
    run(
        experiment,
        scale,
        fast=fast,
        seeds=range(seed, seed + seeds),
        models=models,
        methods=methods,
        run_dir=run_dir or Path("runs") / (f"{scale}-fast" if fast else scale),
    )


@cli.command("eval")
@click.option("--bench", "benches", multiple=True, required=True, help="alpaca_eval2 or arena_hard; may be repeated.")
@click.option("--model", help="A checkpoint folder, or mini:qwen2 or mini:llama.")
@click.option(
    "--annotations", type=click.Path(path_type=Path), help="Stored AlpacaEval verdicts (.csv, .csv.gz, .json)."
)
@click.option("--judgments", type=click.Path(path_type=Path), help="Stored Arena-Hard verdicts (.jsonl).")
@click.option(
    "--lc-calibration", type=click.Path(path_type=Path), help="df_gamed.csv, for the length-controlled win rate."
)
@click.option(
    "--reference-outputs", type=click.Path(path_type=Path), help="The instructions in order, to join verdicts by."
)
@click.option("--allow-missing", is_flag=True, help="Score what is there, when verdicts are missing.")
@click.option("--scale", default=SCALE, show_default=True, help="Where instructions, baseline and judge come from.")
@click.option("--run-dir", type=click.Path(path_type=Path), help="Where artifacts go.  [default: runs/SCALE]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object to stdout.")
def eval_(
    benches: tuple[str, ...],
    model: str | None,
    annotations: Path | None,
    judgments: Path | None,
    lc_calibration: Path | None,
    reference_outputs: Path | None,
    allow_missing: bool,
    scale: str,
    run_dir: Path | None,
    as_json: bool,
) -> None:
    """Score a checkpoint, or verdicts that are stored already. Give one of --model, --annotations, --judgments."""
    from harness import evaluate

    if sum(source is not None for source in (model, annotations, judgments)) != 1:
        raise click.UsageError("give exactly one of --model, --annotations and --judgments")
    if annotations is None and (lc_calibration or reference_outputs or allow_missing):
        raise click.UsageError("--lc-calibration, --reference-outputs and --allow-missing go with --annotations")
    results = []
    if model is not None:
        results = evaluate.score_checkpoint(model, benches, scale, run_dir or Path("runs") / scale)
    elif annotations is not None:
        evaluate.required_bench(benches, "alpaca_eval2", "--annotations")
        stored = evaluate.score_stored_annotations(
            annotations, lc_calibration, reference_outputs, allow_missing=allow_missing
        )
        results = [stored]
    elif judgments is not None:
        evaluate.required_bench(benches, "arena_hard", "--judgments")
        results = [evaluate.score_stored_judgments(judgments)]
    if as_json:
        import json

        one = results[0] if len(results) == 1 else {scores["bench"]: scores for scores in results}
        click.echo(json.dumps(one, indent=1))
    else:
        click.echo("\n".join(evaluate.shown(scores) for scores in results))


@cli.command("list")
@click.argument("kind", type=click.Choice(["methods", "evals", "experiments"]))
def list_(kind: str) -> None:
    """Show what there is."""
    from harness.listing import listing

    for name, summary in listing(kind):
        click.echo(f"{name:20} {summary}")


@cli.group(cls=Commands)
def mini() -> None:
    """The embedded world."""


@mini.command()
@click.argument("family", type=click.Choice(["qwen2", "llama"]))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--tokens", default=20_000_000, show_default=True, type=click.IntRange(min=1), help="How many tokens to train on."
)
@click.option("--seed", default=0, show_default=True, type=SEED)
def pretrain(family: str, folder: Path, tokens: int, seed: int) -> None:
    """Make a base model again, as the packaged ones were made, and save it in FOLDER."""
    from harness.core.store import require_writable
    from harness.mini.pretrain import pretrain as train

    require_writable(folder)
    train(family, folder, tokens=tokens, seed=seed, report=lambda line: click.echo(line, err=True))
    click.echo(f"saved in {folder}")


@mini.command()
@click.option("--models", callback=_names, default="qwen,llama", show_default=True)
@click.option("--seed", default=1000, show_default=True, type=SEED, help="Apart from the seeds that experiments use.")
@click.option("--run-dir", type=click.Path(path_type=Path), default=Path("runs/mini"), show_default=True)
def diagnose(models: tuple[str, ...], seed: int, run_dir: Path) -> None:
    """Measure what the world was sized on: initial policy, teacher and improver, but no preference method."""
    from harness.core.store import Store
    from harness.diagnostics import diagnostics, report
    from harness.pipeline import run
    from harness.scales import load_scale

    store = Store(run_dir / "store")
    found = {name: diagnostics(load_scale(SCALE), name, seed) for name in models}
    run([target for each in found.values() for target in each.targets()], store)
    for name, each in found.items():
        click.echo(f"{name}\n" + "\n".join(f"  {line}" for line in report(each, store)))

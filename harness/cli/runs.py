"""Commands about a run: what it takes, whether it can go well, and the run itself."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.help import Command, HeadedCommand, under
from harness.cli.options import (
    RECIPE,
    SCALE,
    TRACK,
    all_by_default,
    as_json_option,
    choice_options,
    judge_options,
    offline,
    print_checks,
    print_finished_run,
    print_run,
    reproduction_options,
    run_dir_option,
    run_options,
)
from harness.cli.parameters import EXPERIMENT, NAMES, PATH, SEED, TEXT, FiniteFloat, Whole
from harness.config.yaml_files import name_in
from harness.engine.limits import Limits
from harness.papers.folders import DEFAULT_PAPER

if TYPE_CHECKING:
    from harness.endpoints.reference import EndpointReference
    from harness.engine.staleness import CodeChanges
    from harness.run.options import Choice


assumed = under("Forecast assumptions")


@click.command(cls=HeadedCommand)
@run_options
@reproduction_options
def reproduce(
    experiment: str,
    choice: "Choice",
    run_dir: Path,
    judge: "EndpointReference | None",
    limits: Limits,
    allow_missing: bool,
    code_changes: "CodeChanges",
    as_json: bool,
) -> None:
    """Train, generate, judge and score what EXPERIMENT (such as sgpo/table3 or sgpo/all) needs, and write its report.

    What is in the run directory already is not computed again.
    """
    from harness.commands.reproduce import reproduce as run

    chosen = choice.judged_by(judge, allow_missing=allow_missing)
    print_finished_run(*run(experiment, chosen, run_dir, limits=limits, code_changes=code_changes), as_json)


@click.command(cls=Command)
@click.argument("folder", type=PATH)
@as_json_option
def report(folder: Path, as_json: bool) -> None:
    """Write the report of the run in FOLDER again (such as runs/mini/sgpo/table3), from it alone, and print it."""
    from reports.write import write_report

    print_run(write_report(folder), folder, as_json)


@click.command(cls=HeadedCommand)
@click.argument("experiment", type=EXPERIMENT, default="table3")
@choice_options
@run_dir_option
@offline
@judge_options(required=False)
@as_json_option
def doctor(
    experiment: str,
    choice: "Choice",
    run_dir: Path,
    judge: "EndpointReference | None",
    limits: Limits,
    as_json: bool,
) -> None:
    """Look whether `harness reproduce EXPERIMENT` (by default table3) can go well here; exit 2 if not.

    Trains a few rows that are thrown away, and asks endpoints for a few tokens.
    """
    from harness.preflight.doctor import doctor as run

    if print_checks(run(experiment, choice.judged_by(judge), run_dir, limits), as_json):
        sys.exit(2)


@click.command(cls=HeadedCommand)
@run_options
@run_dir_option
@offline
@judge_options(required=False)
@assumed(
    "--device", type=TEXT, help="The device: one of configs/hardware.yaml.  [default: the scale's, or as measured]"
)
@assumed("--devices", type=Whole(1, 100_000), help="The number of devices.  [default: the scale's]")
@assumed("--gpu-usd-per-hour", type=FiniteFloat(), help="The price of one device, in dollars per hour.")
@assumed("--calibrate", is_flag=True, help="Measure this machine first, with one base model, in two minutes.")
@as_json_option
def plan(
    experiment: str,
    choice: "Choice",
    run_dir: Path,
    judge: "EndpointReference | None",
    limits: Limits,
    device: str | None,
    devices: int | None,
    gpu_usd_per_hour: float | None,
    calibrate: bool,
    as_json: bool,
) -> None:
    """Say what `harness reproduce EXPERIMENT` would run, exactly how, and what that takes: time, memory, disk, money.

    Runs nothing and asks no other machine. What is in the run directory already counts as done.
    """
    from harness.plan.command import PlanOptions, plan_run

    options = PlanOptions(device, devices, gpu_usd_per_hour, calibrate, limits)
    click.echo(plan_run(experiment, choice.judged_by(judge), run_dir, options, as_json=as_json))


@click.command(cls=HeadedCommand)
@run_options
def prefetch(experiment: str, choice: "Choice") -> None:
    """Fetch the models and data sets of the hub that EXPERIMENT needs, so that it runs with --offline.

    EXPERIMENT may also be a benchmark, such as mt_bench or lm_eval:TASK, for `harness eval` on the official scale.
    Takes the options of the run as they are; those that need nothing of the hub change nothing here.
    """
    from harness.commands.prefetch import prefetch as run

    run(experiment, choice, click.echo)


def rates_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the two commands that choose learning rates."""
    for option in (
        click.option(
            "--sensitivity", is_flag=True, help="Score at half, the same and twice the chosen rates instead; see docs."
        ),
        click.option("--track", **TRACK),
        click.option("--run-dir", type=PATH, help="The folder of artifacts.  [default: runs/SCALE]"),
        click.option("--paper", type=TEXT, default=DEFAULT_PAPER, show_default=True, help="See `harness list papers`."),
        click.option("--seed", default=1000, show_default=True, type=SEED, help="The rule's; another sets no scale."),
        click.option("--limit", type=Whole(4), help="The most rows of each data set."),
        click.option("--methods", type=NAMES, callback=all_by_default, help="Only these methods (comma-separated)."),
        click.option("--models", type=NAMES, callback=all_by_default, help="Only these base models (comma-separated)."),
    ):
        command = option(command)
    return command


def choose_rates(
    scale: str,
    models: tuple[str, ...],
    methods: tuple[str, ...],
    limit: int | None,
    seed: int,
    paper: str,
    run_dir: Path | None,
    track: str | None,
    sensitivity: bool,
) -> None:
    """Choose the rates of a scale, or measure what depends on them."""
    from harness.commands.rates import choose_rates as choose
    from harness.commands.rates import measure_sensitivity
    from harness.run.options import Choice

    compute = {"track": track} if track else {}
    choice = Choice(
        scale=scale, limit=limit, seeds=(seed,), models=models, methods=methods, paper=paper, compute=compute
    )
    run = measure_sensitivity if sensitivity else choose
    run(choice, run_dir or Path("runs") / name_in(scale), click.echo)


@click.command(cls=Command)
@click.option(
    *RECIPE, type=TEXT, default=SCALE, show_default=True, help="Whose rates: see `harness list scales`; or a file."
)
@rates_options
def rates(scale: str, **options: Any) -> None:
    """Choose the learning rates of preference stages by the rule of docs/rates.md, and write rates/SCALE.yaml.

    Each method of the paper's tables is trained at six rates and looked at on held-out training prompts.
    """
    choose_rates(scale, **options)

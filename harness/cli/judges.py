"""Commands that find out whether a judge can be trusted."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.help import Commands, HeadedCommand
from harness.cli.options import all_by_default, as_json_option, judge_options, print_checks, print_result
from harness.cli.parameters import NAMES, PATH, TEXT, Whole
from harness.engine.limits import Limits

if TYPE_CHECKING:
    from harness.endpoints.reference import EndpointReference


@click.group(cls=Commands)
def judge() -> None:
    """Find out whether a judge can be trusted."""


@judge.command(cls=HeadedCommand)
@judge_options(required=True)
@as_json_option
def check(judge: "EndpointReference", limits: Limits, as_json: bool) -> None:
    """Ask a judge a few questions with an obvious answer; exit 1 unless it gives it."""
    from harness.preflight.judge_check import check_judge

    if limits.batch:
        raise click.UsageError("judge check asks a few questions at once: leave --batch out")
    if print_checks(check_judge(judge, limits), as_json):
        sys.exit(1)


@judge.command(cls=HeadedCommand)
@click.argument("annotations", type=PATH)
@click.option("--outputs", type=PATH, help="The models' outputs.  [default: model_outputs/ beside the folder]")
@click.option("--data", type=TEXT, help="The instructions and baseline outputs.  [default: where the folder is]")
@click.option("--models", type=NAMES, callback=all_by_default, help="Only these models (comma-separated).")
@click.option("--limit", type=Whole(2), help="The number of instructions, the first ones.")
@click.option("--bridge", type=PATH, help="Outputs of one more model, to estimate its published score.")
@click.option("--lc-calibration", type=PATH, help="df_gamed.csv, for the length-controlled win rate.")
@judge_options(required=True)
@click.option("--run-dir", type=PATH, default=Path("runs/official"), show_default=True, help="The folder of artifacts.")
@as_json_option
def calibrate(
    annotations: Path,
    outputs: Path | None,
    data: str | None,
    models: tuple[str, ...],
    limit: int | None,
    bridge: Path | None,
    lc_calibration: Path | None,
    judge: "EndpointReference",
    limits: Limits,
    run_dir: Path,
    as_json: bool,
) -> None:
    """Compare a judge with the published verdicts in the folder ANNOTATIONS, on the same outputs."""
    from evals.alpaca_eval2.judge_calibration_text import format_calibration
    from harness.commands.judge_calibrate import Published
    from harness.commands.judge_calibrate import calibrate as run

    found = run(
        Published(annotations, outputs, data),
        judge,
        run_dir,
        limits,
        models=models,
        limit=limit,
        bridge=bridge,
        length_calibration=lc_calibration,
    )
    print_result(found, format_calibration, as_json)

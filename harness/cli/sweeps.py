"""The command `harness sweep`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.help import HeadedCommand
from harness.cli.options import (
    print_finished_run,
    reproduction_options,
    run_options,
)
from harness.cli.parameters import NAMES
from harness.engine.limits import Limits

if TYPE_CHECKING:
    from harness.endpoints.reference import EndpointReference
    from harness.engine.staleness import CodeChanges
    from harness.run.options import Choice


@click.command(cls=HeadedCommand)
@run_options
@click.argument("rows", type=NAMES, nargs=-1)
@reproduction_options
def sweep(
    experiment: str,
    rows: tuple[tuple[str, ...], ...],
    choice: "Choice",
    run_dir: Path,
    judge: "EndpointReference | None",
    limits: Limits,
    allow_missing: bool,
    code_changes: "CodeChanges",
    as_json: bool,
) -> None:
    """Reproduce EXPERIMENT with one setting swept, as in --methods dpo:beta={0.01,0.1,0.5}, and compare the values.

    Each value is a row of the table; all are tested against each other, and scores are drawn over the setting. A shell
    that writes the braces out gives all but the first as ROWS.
    """
    from harness.commands.reproduce import reproduce as run

    swept = choice.swept(row for names in rows for row in names)
    chosen = swept.judged_by(judge, allow_missing=allow_missing)
    print_finished_run(*run(experiment, chosen, run_dir, limits=limits, code_changes=code_changes), as_json)

"""Options that several commands share."""

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from harness.cli.help import under
from harness.cli.parameters import EXPERIMENT, MAX_SEED, NAMES, PATH, SEED, TEXT, FiniteFloat, Whole
from harness.config.yaml_files import name_in
from harness.engine.compute import ExecutorKind, TrackerKind
from harness.engine.limits import Limits

if TYPE_CHECKING:
    from harness.endpoints.reference import EndpointReference
    from harness.preflight.check import Check
    from reports.blocks import Report

SCALE = "mini"
RECIPE = ("--scale", "--recipe", "scale")
"""One option: the name of a packaged recipe, or a file."""
MAX_TIMEOUT = 7 * 86400
"""Seconds; what the system counts time-outs in ends at some number."""

of_judge, pace, cost = under("The judge"), under("Request rate"), under("Cost")
of_run, execution = under("The run"), under("Execution")
of_scores, evidence = under("The scores"), under("Earlier results")


as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object to stdout.")


def print_result(found: Any, as_text: Callable[[Any], str], as_json: bool) -> None:
    """Print what a command found, as JSON or as text."""
    click.echo(json.dumps(found, indent=1) if as_json else as_text(found))


def print_checks(checks: Iterable["Check"], as_json: bool) -> bool:
    """Print checks as they are made, or, as JSON, once all are; return whether one of them is a failure."""
    made = []
    for found in checks:
        made.append(found)
        if not as_json:
            click.echo(str(found))
    if as_json:
        click.echo(json.dumps([asdict(each) for each in made], indent=1))
    return any(each.state == "failure" for each in made)


def print_run(report: "Report", folder: Path, as_json: bool) -> None:
    """Print the report of the run in `folder`, or, as JSON, what the run found."""
    if as_json:
        from harness.results.summary import run_summary

        click.echo(json.dumps(run_summary(folder, report.answer), indent=1))
    else:
        from reports.terminal import print_report

        print_report(report, folder)


def print_finished_run(report: "Report", folder: Path, as_json: bool) -> None:
    """Print a run that has just ended as `print_run` does, and where its checkpoints are, if it has any."""
    print_run(report, folder, as_json)
    if not as_json and any((folder / "checkpoints").iterdir()):
        click.echo(f"checkpoints: {folder / 'checkpoints'}")


def all_by_default(
    _context: click.Context, _parameter: click.Parameter, names: tuple[str, ...] | None
) -> tuple[str, ...]:
    """Return the names; none where the option is left out, which stands for all."""
    return names or ()


def _go_offline(_context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        from harness.network import go_offline

        go_offline()


offline = execution(
    "--offline",
    is_flag=True,
    expose_value=False,
    callback=_go_offline,
    help="Offline: use prefetched files only.",
)


def _hide_progress(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        from harness.terminal import without_progress

        context.with_resource(without_progress())


quiet = click.option(
    "--quiet",
    is_flag=True,
    expose_value=False,
    callback=_hide_progress,
    help="Print no progress: results, warnings and errors alone.",
)


run_dir_option = of_run(
    "--run-dir", type=PATH, help="The folder of artifacts and report.  [default: runs/SCALE, or runs/SCALE-fast]"
)
TRACK: Mapping[str, Any] = {
    "type": click.Choice(get_args(TrackerKind)),
    "help": "The tracker that training curves are handed on to, in RUN-DIR/tracking.",
}


def code_changes_option(*actions: str) -> Callable[..., Any]:
    """Return the option that says what is done with stale artifacts, which the command gets as `code_changes`."""
    return evidence(
        "--code-changes",
        type=click.Choice(actions),
        default="warn",
        show_default=True,
        help="Results of other code than the current: warn"
        + (", make them and what depends on them again" if "rerun" in actions else "")
        + ", or ignore.",
    )


def run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add EXPERIMENT, as `experiment`, and the options of `choice_options`."""
    return click.argument("experiment", type=EXPERIMENT)(choice_options(command))


_OF_THE_CHOICE = ("scale", "fast", "limit", "models", "methods", "against", "teacher", "settings")
_OF_COMPUTE = ("accelerate", "processes", "micro_batch_size", "executor", "ray_address", "store", "track")
_OF_LIMITS = ("concurrency", "requests_per_minute", "tokens_per_minute", "timeout_seconds", "max_usd", "batch")
"""The options that are fields of `Choice`, of `Compute` and of `Limits`, under their names there."""


def choice_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say what is run and on what, which the command gets as `choice`.

    A command that has `run_dir_option` too gets the scale's folder where it is left out.
    """

    @functools.wraps(command)
    def with_choice(seed: int, seeds: int | None, **given: Any) -> None:
        from harness.run.options import Choice

        least, most = (seeds, seeds) if seeds else _usual_seeds(given["experiment"])
        if seed + most - 1 > MAX_SEED:
            raise click.UsageError(f"the last seed, {seed + most - 1}, is above {MAX_SEED}")
        compute = {name: value for name in _OF_COMPUTE if (value := given.pop(name)) is not None}
        chosen = {name: given.pop(name) for name in _OF_THE_CHOICE}
        run_seeds = tuple(range(seed, seed + least))
        choice = Choice(**chosen, seeds=run_seeds, are_seeds_usual=seeds is None, compute=compute)
        if "run_dir" in given:
            folder = name_in(choice.scale) + "-fast" * choice.fast
            given["run_dir"] = given["run_dir"] or Path("runs") / folder
        command(choice=choice, **given)

    for option in reversed(_OPTIONS_OF_A_RUN):
        with_choice = option(with_choice)
    return with_choice


def _usual_seeds(name: str) -> tuple[int, int]:
    """Return the least and the most training seeds of an experiment; one for a benchmark, which `prefetch` takes."""
    from harness.papers.names import usual_seeds
    from harness.recipes.registries import is_benchmark

    return (1, 1) if is_benchmark(name) else usual_seeds(name)


_OPTIONS_OF_A_RUN: tuple[Callable[..., Any], ...] = (
    of_run(
        *RECIPE,
        type=TEXT,
        default=SCALE,
        show_default=True,
        help="The scale: a name from `harness list scales`, or a file.",
    ),
    of_run("--fast", is_flag=True, help="Reduced sizes, same code path."),
    of_run("--limit", type=Whole(), help="The most rows of each data set."),
    of_run("--seed", default=0, show_default=True, type=SEED, help="The first training seed."),
    of_run("--seeds", type=Whole(1, 100), help="The number of training seeds.  [default: 1, or the exhibit's]"),
    of_run("--models", type=NAMES, callback=all_by_default, help="Only these base models (comma-separated)."),
    of_run(
        "--methods",
        type=NAMES,
        callback=all_by_default,
        help="Only these methods (comma-separated), such as sft,sgpo:rounds=3.",
    ),
    of_run(
        "--against",
        type=NAMES,
        callback=all_by_default,
        help="Test every other row against these methods (comma-separated), and run them too.",
    ),
    of_run(
        "--set",
        "settings",
        type=TEXT,
        multiple=True,
        help="Change a setting of the recipe, such as methods.dpo.beta=0.1; repeatable.",
    ),
    of_run("--teacher", type=TEXT, help="The teacher, in place of the scale's."),
    execution(
        "--accelerate",
        type=TEXT,
        help="The accelerate config of training: a file of configs/accelerate.  [default: the scale's]",
    ),
    execution("--processes", type=Whole(), help="Training processes.  [default: the scale's]"),
    execution("--micro-batch-size", type=Whole(), help="Rows per process and forward pass."),
    execution(
        "--executor",
        type=click.Choice(get_args(ExecutorKind)),
        help="The executor of steps.  [default: the scale's, else local]",
    ),
    execution("--ray-address", type=TEXT, help="The Ray cluster.  [default: RAY_ADDRESS, else one on this machine]"),
    execution("--store", type=TEXT, help="A URL to share artifacts at, for machines without a common file system."),
    execution("--track", **TRACK),
)


def _options_of_a_judge(required: bool) -> tuple[Callable[..., Any], ...]:
    usual = Limits()

    def names(name: str) -> tuple[str, ...]:
        return (f"--{name}", f"--judge-{name}") if required else (f"--judge-{name}",)

    return (
        of_judge(
            *names("model"),
            "judge_model",
            type=TEXT,
            required=required,
            help="The judge: a model's name at the endpoint." + ("" if required else "  [default: the scale's]"),
        ),
        of_judge(
            *names("base-url"),
            "judge_url",
            type=TEXT,
            help="Its OpenAI-compatible endpoint.  [default: the OpenAI API]",
        ),
        of_judge(
            *names("without"),
            "refused",
            type=TEXT,
            multiple=True,
            help="Request parameters to leave out: temperature, logprobs, max_tokens or system (turns); repeatable.",
        ),
        pace(
            "--concurrency",
            default=usual.concurrency,
            show_default=True,
            type=Whole(1, 1024),
            help="Requests at a time.",
        ),
        pace("--requests-per-minute", type=Whole(), help="The rate limit.  [default: no limit]"),
        pace("--tokens-per-minute", type=Whole(), help="The rate limit.  [default: no limit]"),
        pace(
            "--timeout",
            "timeout_seconds",
            default=usual.timeout_seconds,
            show_default=True,
            type=FiniteFloat(0, MAX_TIMEOUT, min_open=True),
            help="Seconds to wait for a reply.",
        ),
        cost("--max-usd", type=FiniteFloat(), help="The budget of this run, in dollars."),
        cost("--batch", is_flag=True, help="Use the Batch API: half the price, within a day."),
    )


def judge_options(*, required: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options of a command that asks a judge, which gets them as `judge` and `limits`.

    Where it is not `required` it may be left out, and is the scale's. Where it is, --model stands for --judge-model.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def with_judge(
            judge_model: str | None,
            judge_url: str | None,
            refused: tuple[str, ...],
            **given: Any,
        ) -> None:
            limits = Limits(**{name: given.pop(name) for name in _OF_LIMITS})
            command(judge=_named_judge(judge_model, judge_url, refused), limits=limits, **given)

        for option in reversed(_options_of_a_judge(required)):
            with_judge = option(with_judge)
        return with_judge

    return decorate


def _named_judge(model: str | None, url: str | None, refused: tuple[str, ...]) -> "EndpointReference | None":
    if model is None:
        if url or refused:
            raise click.UsageError("--judge-base-url and --judge-without go with --judge-model")
        return None
    from harness.steps.judge import judge

    return judge(model, url, refused)


def reproduction_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a command that runs an experiment to its report, beside those of `run_options`."""
    for option in (
        as_json_option,
        quiet,
        code_changes_option("warn", "rerun", "ignore"),
        of_scores("--allow-missing", is_flag=True, help="Score despite missing verdicts."),
        judge_options(required=False),
        offline,
        run_dir_option,
    ):
        command = option(command)
    return command

"""The command `harness`. Thin: each command reads its options, calls one function and shows what it returns."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from harness.cli.parameters import (
    EXPERIMENT,
    MAX_SEED,
    NAMES,
    PATH,
    SEED,
    TEXT,
    FiniteFloat,
    TrainingSeeds,
    Whole,
    shown,
)
from harness.config.yaml_files import name_in
from harness.engine.compute import ExecutorKind
from harness.engine.limits import Limits
from harness.engine.scratch import scratch
from harness.engine.signals import endings_interrupt, interrupted_code
from harness.errors import HarnessError, Interrupted, StepFailed
from harness.terminal import one_line, visible_output

if TYPE_CHECKING:
    from harness.endpoints.reference import EndpointReference
    from harness.engine.staleness import CodeChanges
    from harness.run.options import Choice

SCALE = "mini"
RECIPE = ("--scale", "--recipe", "scale")
"""One option: the name of a packaged recipe, or a file."""
MAX_TIMEOUT = 7 * 86400
"""Seconds; what the system counts time-outs in ends at some number."""


class Command(click.Command):
    """A command that takes an option once, and a value of a repeatable one: the last would silently be the one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        rest = super().parse_args(ctx, args)
        for option in (each for each in given if isinstance(each, click.Option)):
            values = ctx.params.get(option.name or "") if option.multiple else given.count(option) * (None,)
            if isinstance(values, tuple) and len(set(values)) < len(values):
                raise click.UsageError(f"{option.opts[0]} is given twice" + " with one value" * option.multiple)
        return rest


class Commands(click.Group):
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


def _under(heading: str) -> Callable[..., Any]:
    """`click.option`, shown under the heading."""
    return functools.partial(click.option, cls=HeadedOption, heading=heading)


_scored, _instructions = _under("What to score"), _under("The instructions and the answers to them")
_judge, _pace, _cost = _under("The judge"), _under("Request rate"), _under("Cost")
_score, _evidence = _under("The scores"), _under("Earlier results")
_run, _machine = _under("The run"), _under("Execution")
_reckoned = _under("Forecast assumptions")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="preference-harness", prog_name="harness")
def cli() -> None:
    """Reproduce the tables of preference-optimization papers, and score models as they did."""


def main() -> None:
    """Runs the command; an error that a user can mend is one line on stderr, and so is its being ended."""
    with endings_interrupt() as heard, visible_output():
        _run_command(lambda: interrupted_code(heard))


def _run_command(interrupted: Callable[[], int]) -> None:
    """Runs the command; `interrupted` is the exit code where it is."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.exceptions.NoArgsIsHelpError as no_command:
        click.echo(no_command.format_message())
    except (click.Abort, KeyboardInterrupt):  # the latter where click itself was at work
        _fail("interrupted", interrupted())
    except click.ClickException as error:
        _fail(" ".join(error.format_message().split()), 2)
    except OSError as error:
        if error.filename is None or not error.strerror:
            raise
        _fail(f"{error.filename}: {error.strerror}; fix that, or name another place", 2)
    except Interrupted as error:
        _fail(str(error), interrupted())
    except StepFailed as error:  # with its traceback
        _fail(str(error), error.exit_code)
    except HarnessError as error:
        _fail(one_line(str(error)), error.exit_code)


def _fail(message: str, exit_code: int) -> None:
    click.echo(f"error: {shown(message)}", err=True)
    sys.exit(exit_code)


def _all(_context: click.Context, _parameter: click.Parameter, names: tuple[str, ...] | None) -> tuple[str, ...]:
    """None where the option is left out, which stands for all."""
    return names or ()


def _go_offline(_context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        from harness.network import go_offline

        go_offline()


_offline = _machine(
    "--offline",
    is_flag=True,
    expose_value=False,
    callback=_go_offline,
    help="Offline: use prefetched files only.",
)


def _code_changes(*actions: str) -> Callable[..., Any]:
    """The option that says what is done with stale artifacts, which the command gets as `code_changes`."""
    return _evidence(
        "--code-changes",
        type=click.Choice(actions),
        default="warn",
        show_default=True,
        help="Results of other code than the current: warn"
        + (", make them and what depends on them again" if "rerun" in actions else "")
        + ", or ignore.",
    )


def _run_options(command: Callable[..., None]) -> Callable[..., None]:
    """EXPERIMENT, as `experiment`, and the options of `_choice_options`."""
    return click.argument("experiment", type=EXPERIMENT)(_choice_options(command))


def _choice_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say what is run and on what, which the command gets as `choice` and `run_dir`."""

    @functools.wraps(command)
    def with_choice(
        scale: str,
        fast: bool,
        limit: int | None,
        seed: int,
        seeds: int,
        models: tuple[str, ...],
        methods: tuple[str, ...],
        teacher: str | None,
        settings: tuple[str, ...],
        accelerate: str | None,
        processes: int | None,
        micro_batch_size: int | None,
        executor: str | None,
        ray_address: str | None,
        store: str | None,
        run_dir: Path | None,
        **others: Any,
    ) -> None:
        from harness.run.options import Choice

        if seed + seeds - 1 > MAX_SEED:
            raise click.UsageError(f"the last seed, {seed + seeds - 1}, is above {MAX_SEED}")
        compute = {
            "accelerate": accelerate,
            "processes": processes,
            "micro_batch_size": micro_batch_size,
            "executor": executor,
            "ray_address": ray_address,
            "store": store,
        }
        choice = Choice(
            scale=scale,
            fast=fast,
            limit=limit,
            seeds=tuple(range(seed, seed + seeds)),
            models=models,
            methods=methods,
            teacher=teacher,
            settings=settings,
            compute={name: value for name, value in compute.items() if value is not None},
        )
        command(
            choice=choice,
            run_dir=run_dir or Path("runs") / (f"{name_in(scale)}-fast" if fast else name_in(scale)),
            **others,
        )

    for option in reversed(_OPTIONS_OF_A_RUN):
        with_choice = option(with_choice)
    return with_choice


_OPTIONS_OF_A_RUN: tuple[Callable[..., Any], ...] = (
    _run(
        *RECIPE,
        type=TEXT,
        default=SCALE,
        show_default=True,
        help="The scale: a name from `harness list scales`, or a file.",
    ),
    _run("--fast", is_flag=True, help="Reduced sizes, same code path."),
    _run("--limit", type=Whole(), help="The most rows of each data set."),
    _run("--seed", default=0, show_default=True, type=SEED, help="The first training seed."),
    _run("--seeds", default=1, show_default=True, type=Whole(1, 100), help="The number of training seeds."),
    _run("--models", type=NAMES, callback=_all, help="Only these base models (comma-separated)."),
    _run(
        "--methods", type=NAMES, callback=_all, help="Only these methods (comma-separated), such as sft,sgpo:rounds=3."
    ),
    _run(
        "--set",
        "settings",
        type=TEXT,
        multiple=True,
        help="Change a setting of the recipe, such as methods.dpo.beta=0.1; repeatable.",
    ),
    _run("--teacher", type=TEXT, help="The teacher, in place of the scale's."),
    _run("--run-dir", type=PATH, help="The folder of artifacts and report.  [default: runs/SCALE, or runs/SCALE-fast]"),
    _machine(
        "--accelerate",
        type=TEXT,
        help="The accelerate config of training: a file of configs/accelerate.  [default: the scale's]",
    ),
    _machine("--processes", type=Whole(), help="Training processes.  [default: the scale's]"),
    _machine("--micro-batch-size", type=Whole(), help="Rows per process and forward pass."),
    _machine(
        "--executor",
        type=click.Choice(get_args(ExecutorKind)),
        help="The executor of steps.  [default: the scale's, else local]",
    ),
    _machine("--ray-address", type=TEXT, help="The Ray cluster.  [default: RAY_ADDRESS, else one on this machine]"),
    _machine("--store", type=TEXT, help="A URL to share artifacts at, for machines without a common file system."),
)


def _options_of_a_judge(required: bool) -> tuple[Callable[..., Any], ...]:
    usual = Limits()

    def names(name: str) -> tuple[str, ...]:
        return (f"--{name}", f"--judge-{name}") if required else (f"--judge-{name}",)

    return (
        _judge(
            *names("model"),
            "judge_model",
            type=TEXT,
            required=required,
            help="The judge: a model's name at the endpoint." + ("" if required else "  [default: the scale's]"),
        ),
        _judge(
            *names("base-url"),
            "judge_url",
            type=TEXT,
            help="Its OpenAI-compatible endpoint.  [default: the OpenAI API]",
        ),
        _judge(
            *names("without"),
            "refused",
            type=TEXT,
            multiple=True,
            help="Request parameters to leave out: temperature, logprobs, max_tokens or system (turns); repeatable.",
        ),
        _pace(
            "--concurrency",
            default=usual.concurrency,
            show_default=True,
            type=Whole(1, 1024),
            help="Requests at a time.",
        ),
        _pace("--requests-per-minute", type=Whole(), help="The rate limit.  [default: no limit]"),
        _pace("--tokens-per-minute", type=Whole(), help="The rate limit.  [default: no limit]"),
        _pace(
            "--timeout",
            default=usual.timeout_seconds,
            show_default=True,
            type=FiniteFloat(0, MAX_TIMEOUT, min_open=True),
            help="Seconds to wait for a reply.",
        ),
        _cost("--max-usd", type=FiniteFloat(), help="The budget of this run, in dollars."),
        _cost("--batch", is_flag=True, help="Use the Batch API: half the price, within a day."),
    )


def _judge_options(*, required: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options of a command that asks a judge, which gets them as `judge` and `limits`.

    Where it is not `required` it may be left out, and is the scale's. Where it is, --model stands for --judge-model.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def with_judge(
            judge_model: str | None,
            judge_url: str | None,
            refused: tuple[str, ...],
            concurrency: int,
            requests_per_minute: int | None,
            tokens_per_minute: int | None,
            timeout: float,
            max_usd: float | None,
            batch: bool,
            **others: Any,
        ) -> None:
            limits = Limits(concurrency, requests_per_minute, tokens_per_minute, timeout, max_usd, batch)
            command(judge=_named_judge(judge_model, judge_url, refused), limits=limits, **others)

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


@cli.command(cls=HeadedCommand)
@_run_options
@_offline
@_judge_options(required=False)
@_score("--allow-missing", is_flag=True, help="Score despite missing verdicts.")
@_code_changes("warn", "rerun", "ignore")
def reproduce(
    experiment: str,
    choice: "Choice",
    run_dir: Path,
    judge: "EndpointReference | None",
    limits: Limits,
    allow_missing: bool,
    code_changes: "CodeChanges",
) -> None:
    """Train, generate, judge and score what EXPERIMENT (such as sgpo/table3 or sgpo/all) needs, and write its report.

    What is in the run directory already is not computed again.
    """
    from harness.commands.reproduce import reproduce as run

    chosen = choice.judged_by(judge, allow_missing=allow_missing)
    run(experiment, chosen, run_dir, limits=limits, code_changes=code_changes)


@cli.command()
@click.argument("folder", type=PATH)
def report(folder: Path) -> None:
    """Write the report of the run in FOLDER again (such as runs/mini/sgpo/table3), from it alone, and print it."""
    from reports.terminal import print_report
    from reports.write import write_report

    print_report(write_report(folder), folder)


@cli.command(cls=HeadedCommand)
@click.argument("experiment", type=EXPERIMENT, default="table3")
@_choice_options
@_offline
@_judge_options(required=False)
def doctor(experiment: str, choice: "Choice", run_dir: Path, judge: "EndpointReference | None", limits: Limits) -> None:
    """Look whether `harness reproduce EXPERIMENT` (by default table3) can go well here; exit 2 if not.

    Trains a few rows that are thrown away, and asks endpoints for a few tokens.
    """
    from harness.preflight.doctor import doctor as run

    failed = False
    for found in run(experiment, choice.judged_by(judge), run_dir, limits):
        click.echo(str(found))
        failed = failed or found.state == "failure"
    if failed:
        sys.exit(2)


@cli.command(cls=HeadedCommand)
@_run_options
@_offline
@_judge_options(required=False)
@_reckoned(
    "--device", type=TEXT, help="The device: one of configs/hardware.yaml.  [default: the scale's, or as measured]"
)
@_reckoned("--devices", type=Whole(1, 100_000), help="The number of devices.  [default: the scale's]")
@_reckoned("--gpu-usd-per-hour", type=FiniteFloat(), help="The price of one device, in dollars per hour.")
@_reckoned("--calibrate", is_flag=True, help="Measure this machine first, with one base model, in two minutes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object to stdout.")
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
    from harness.plan import PlanOptions, plan_run

    options = PlanOptions(device, devices, gpu_usd_per_hour, calibrate, limits)
    click.echo(plan_run(experiment, choice.judged_by(judge), run_dir, options, as_json=as_json))


@cli.command(cls=HeadedCommand)
@_run_options
def prefetch(experiment: str, choice: "Choice", run_dir: Path) -> None:
    """Fetch the models and data sets of the hub that EXPERIMENT needs, so that it runs with --offline.

    Takes the options of the run as they are; those that need nothing of the hub change nothing here.
    """
    from harness.commands.prefetch import prefetch as run

    run(experiment, choice, click.echo)


@cli.command("eval", cls=HeadedCommand)
@_scored(
    "--bench", "benches", type=TEXT, multiple=True, required=True, help="See `harness list evals`; may be repeated."
)
@_scored("--model", type=TEXT, help="A checkpoint folder, OWNER/NAME[@COMMIT] on the hub, gguf:FILE, or mini:llama.")
@_scored("--outputs", type=PATH, help="Stored outputs: model_outputs.json, or Arena-Hard's .jsonl.")
@_scored("--annotations", type=PATH, help="Stored AlpacaEval verdicts (.csv, .csv.gz, .json).")
@_scored("--judgments", type=PATH, help="Stored Arena-Hard verdicts (.jsonl).")
@_instructions(
    *RECIPE, type=TEXT, help="The scale they come from, or `official`.  [default: mini for its judge, else official]"
)
@_instructions("--data", type=TEXT, help="A folder with the official data.  [default: the hub]")
@_instructions("--baseline", type=TEXT, help="The baseline: a model of the official data, or a file of outputs.")
@_instructions("--limit", type=Whole(), help="The number of instructions, the first ones.")
@_instructions("--max-new-tokens", type=Whole(), help="The most tokens of an answer.  [default: the scale's]")
@_judge_options(required=False)
@_judge("--judge-repeats", default=1, show_default=True, type=Whole(1, 100), help="Verdicts per pair and order.")
@_cost("--dry-run", is_flag=True, help="Print the estimated cost of judging; ask nothing.")
@_score("--allow-missing", is_flag=True, help="Score despite missing verdicts.")
@_score("--lc-calibration", type=PATH, help="df_gamed.csv, for the length-controlled win rate.")
@_score("--reference-outputs", type=PATH, help="The instructions in order, to join stored verdicts by.")
@_code_changes("warn", "rerun", "ignore")
@_offline
@click.option("--run-dir", type=PATH, help="The folder of artifacts.  [default: runs/SCALE]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object to stdout.")
def eval_(
    benches: tuple[str, ...],
    model: str | None,
    outputs: Path | None,
    annotations: Path | None,
    judgments: Path | None,
    scale: str | None,
    data: str | None,
    baseline: str | None,
    limit: int | None,
    max_new_tokens: int | None,
    judge_repeats: int,
    judge: "EndpointReference | None",
    limits: Limits,
    dry_run: bool,
    lc_calibration: Path | None,
    reference_outputs: Path | None,
    allow_missing: bool,
    code_changes: "CodeChanges",
    run_dir: Path | None,
    as_json: bool,
) -> None:
    """Score a checkpoint (--model), stored outputs (--outputs), or stored verdicts (--annotations, --judgments)."""
    from harness.cli.eval_options import require_applicable, subject_of

    context = click.get_current_context()
    subject = subject_of(context.params)
    require_applicable(context, subject, benches)
    if subject in ("annotations", "judgments"):
        from harness.run.evidence import look_at_files

        stale = look_at_files(filter(None, [annotations, judgments]), code_changes)
        stored = _score_stored(benches, annotations, judgments, lc_calibration, reference_outputs, allow_missing)
        _show([{**stored, "stale": stale.lines}], as_json)
        return
    from harness.commands.evaluate import Source, evaluate, forecast
    from harness.recipes.benches import OFFICIAL, BenchChoice

    choice = BenchChoice(
        scale=scale or (OFFICIAL if judge or data or outputs else SCALE),
        data=data,
        baseline=baseline,
        limit=limit,
        judge=judge,
        judge_repeats=judge_repeats,
        allow_missing=allow_missing,
        length_calibration=lc_calibration,
        max_new_tokens=max_new_tokens,
    )
    where = run_dir or Path("runs") / name_in(choice.scale)
    if dry_run:
        costs = forecast(benches, Source(model, outputs), choice, where)
        if as_json:
            _print_json([cost.as_json() for cost in costs])
        else:
            click.echo("\n".join(map(str, costs)) or "nothing is judged, so nothing is paid for")
    else:
        _show(evaluate(benches, Source(model, outputs), choice, where, limits, code_changes), as_json)


def _score_stored(
    benches: tuple[str, ...],
    annotations: Path | None,
    judgments: Path | None,
    lc_calibration: Path | None,
    reference_outputs: Path | None,
    allow_missing: bool,
) -> dict[str, Any]:
    from evals.base import FileOptions
    from harness.commands.stored_verdicts import score_file

    option, bench = ("--annotations", "alpaca_eval2") if annotations else ("--judgments", "arena_hard")
    if benches != (bench,):
        raise click.UsageError(f"{option} holds verdicts of {bench}; give --bench {bench} and no other")
    path = annotations or judgments
    assert path is not None
    return dict(score_file(bench, path, FileOptions(lc_calibration, reference_outputs, allow_missing)))


def _print_json(results: list[dict[str, Any]]) -> None:
    """One object: of one bench, or by bench."""
    import json

    one = results[0] if len(results) == 1 else {result["bench"]: result for result in results}
    click.echo(json.dumps(one, indent=1))


def _show(results: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        _print_json(results)
    else:
        from harness.commands.scorecard import scorecard

        click.echo("\n".join(map(scorecard, results)))


@cli.command()
@click.argument("first", type=TrainingSeeds())
@click.argument("others", type=TrainingSeeds(), nargs=-1, required=True)
@click.option("--bench", required=True, type=TEXT, help="The benchmark of the verdicts.")
@click.option("--allow-missing", is_flag=True, help="Compare despite missing verdicts.")
@click.option("--lc-calibration", type=PATH, help="df_gamed.csv, for the length-controlled win rate.")
@click.option("--reference-outputs", type=PATH, help="The instructions in order, to join verdicts by.")
@_code_changes("warn", "ignore")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object to stdout.")
def compare(
    first: tuple[Path, ...],
    others: tuple[tuple[Path, ...], ...],
    bench: str,
    allow_missing: bool,
    lc_calibration: Path | None,
    reference_outputs: Path | None,
    code_changes: "CodeChanges",
    as_json: bool,
) -> None:
    """Test stored verdicts on one model, FIRST, against those on OTHERS, on the same prompts.

    Each is a file of AlpacaEval's annotations or Arena-Hard's judgments. Of a model trained with several seeds give
    all in one argument, separated by commas: a0.json,a1.json,a2.json. Equally many are compared seed by seed.
    """
    from harness.commands.compare import compare_files, comparison_table

    found = compare_files(
        bench,
        first,
        others,
        calibration=lc_calibration,
        reference_outputs=reference_outputs,
        allow_missing=allow_missing,
        code_changes=code_changes,
    )
    if as_json:
        import json

        click.echo(json.dumps(found, indent=1))
    else:
        click.echo(comparison_table(found))


@cli.command()
@click.option("--baseline", type=PATH, required=True, help="The run before the change: such as runs/mini/sgpo/table3.")
@click.option("--candidate", type=PATH, required=True, help="The run after it.")
@click.option(
    "--rerun-affected", is_flag=True, help="Make the candidate first: rerun the steps that the change affects."
)
@click.option("--out", type=PATH, help="The folder of regress.html and regress.json.  [default: the candidate]")
@_code_changes("warn", "ignore")
def regress(
    baseline: Path, candidate: Path, rerun_affected: bool, out: Path | None, code_changes: "CodeChanges"
) -> None:
    """Compare two runs on the same prompts; exit 1 if a change made anything worse.

    Each run is the folder of an exhibit with scores, or of all. With three training seeds or more in the baseline
    (`harness reproduce ... --seeds 5`) their spread counts; with one in each run nothing can be told.
    """
    from harness.commands.affected import make_candidate
    from harness.regress import regress as run
    from reports.regress import comparison_table

    make = make_candidate if rerun_affected else None
    comparison, page = run(baseline, candidate, out, make, code_changes)
    click.echo(f"{comparison_table(comparison)}\npage: {page}")
    if comparison.is_worse:
        sys.exit(1)


@cli.command("list")
@click.argument("kind", type=click.Choice(["papers", "experiments", "methods", "evals", "scales", "models", "judges"]))
def list_(kind: str) -> None:
    """List the papers, experiments, methods, evaluations, scales, models or judges there are."""
    from harness.commands.listing import BARE_NAMES, listing

    lines = list(listing(kind))
    width = max(len(name) for name, _ in lines)
    for name, summary in lines:
        click.echo(f"{name:{width}}  {summary}")
    if kind == "experiments":
        click.echo(BARE_NAMES, err=True)


@cli.group(cls=Commands)
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


@cli.group(cls=Commands)
def judge() -> None:
    """Find out whether a judge can be trusted."""


@judge.command(cls=HeadedCommand)
@_judge_options(required=True)
def check(judge: "EndpointReference", limits: Limits) -> None:
    """Ask a judge a few questions with an obvious answer; exit 1 unless it gives it."""
    from harness.preflight.judge_check import check_judge

    if limits.batch:
        raise click.UsageError("judge check asks a few questions at once: leave --batch out")
    failed = False
    for found in check_judge(judge, limits):
        click.echo(str(found))
        failed = failed or found.state == "failure"
    if failed:
        sys.exit(1)


@judge.command(cls=HeadedCommand)
@click.argument("annotations", type=PATH)
@click.option("--outputs", type=PATH, help="The models' outputs.  [default: model_outputs/ beside the folder]")
@click.option("--data", type=TEXT, help="The instructions and baseline outputs.  [default: where the folder is]")
@click.option("--models", type=NAMES, callback=_all, help="Only these models (comma-separated).")
@click.option("--limit", type=Whole(2), help="The number of instructions, the first ones.")
@click.option("--bridge", type=PATH, help="Outputs of one more model, to estimate its published score.")
@click.option("--lc-calibration", type=PATH, help="df_gamed.csv, for the length-controlled win rate.")
@_judge_options(required=True)
@click.option("--run-dir", type=PATH, default=Path("runs/official"), show_default=True, help="The folder of artifacts.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object to stdout.")
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
    from evals.alpaca_eval2.judge_calibration_text import shown
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
    if as_json:
        import json

        click.echo(json.dumps(found, indent=1))
    else:
        click.echo(shown(found))


@cli.group(cls=Commands)
def paper() -> None:
    """Look into a paper: its numbers and its claims."""


@paper.command("check")
@click.argument("name", type=TEXT, required=False)
def check_paper(name: str | None) -> None:
    """Show where the paper NAME disagrees with itself; all there are if no name is given."""
    from harness.papers import papers
    from harness.papers.consistency import shown

    for each in [name] if name else papers():
        click.echo(shown(each))


@cli.group(cls=Commands)
def mini() -> None:
    """Look into the embedded world, or make its models again."""


@mini.command()
@click.argument("family", type=click.Choice(["qwen2", "llama", "qwen2-small"]))
@click.argument("folder", type=PATH)
@click.option("--tokens", default=20_000_000, show_default=True, type=Whole(), help="How many tokens to train on.")
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


def _rates_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of the two commands that choose learning rates."""
    for option in (
        click.option(
            "--sensitivity", is_flag=True, help="Score at half, the same and twice the chosen rates instead; see docs."
        ),
        click.option("--run-dir", type=PATH, help="The folder of artifacts.  [default: runs/SCALE]"),
        click.option("--seed", default=1000, show_default=True, type=SEED, help="The rule's; another sets no scale."),
        click.option("--limit", type=Whole(4), help="The most rows of each data set."),
        click.option("--methods", type=NAMES, callback=_all, help="Only these methods (comma-separated)."),
        click.option("--models", type=NAMES, callback=_all, help="Only these base models (comma-separated)."),
    ):
        command = option(command)
    return command


def _choose_rates(
    scale: str,
    models: tuple[str, ...],
    methods: tuple[str, ...],
    limit: int | None,
    seed: int,
    run_dir: Path | None,
    sensitivity: bool,
) -> None:
    from harness.commands.rates import choose_rates, measure_sensitivity
    from harness.run.options import Choice

    choice = Choice(scale=scale, limit=limit, seeds=(seed,), models=models, methods=methods)
    run = measure_sensitivity if sensitivity else choose_rates
    run(choice, run_dir or Path("runs") / name_in(scale), click.echo)


@cli.command()
@click.option(
    *RECIPE, type=TEXT, default=SCALE, show_default=True, help="Whose rates: see `harness list scales`; or a file."
)
@_rates_options
def rates(scale: str, **options: Any) -> None:
    """Choose the learning rates of preference stages by the rule of docs/rates.md, and write rates/SCALE.yaml.

    Each method of the paper's tables is trained at six rates and looked at on held-out training prompts.
    """
    _choose_rates(scale, **options)


@mini.command("rates")
@_rates_options
def mini_rates(**options: Any) -> None:
    """Choose the learning rates of preference stages of the embedded world: `harness rates --scale mini`."""
    _choose_rates(SCALE, **options)

"""Commands that score and compare models."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.help import Command, HeadedCommand, under
from harness.cli.options import (
    RECIPE,
    SCALE,
    as_json_option,
    code_changes_option,
    cost,
    judge_options,
    of_judge,
    of_scores,
    offline,
    print_result,
    quiet,
)
from harness.cli.parameters import NAMES, PATH, TEXT, TrainingSeeds, Whole
from harness.config.yaml_files import name_in
from harness.engine.limits import Limits

if TYPE_CHECKING:
    from evals.base import FileOptions
    from harness.endpoints.reference import EndpointReference
    from harness.engine.staleness import CodeChanges

STORED = {"annotations": ("alpaca_eval2",), "judgments": ("arena_hard", "arena_hard_v2", "mt_bench")}
"""The option of stored verdicts -> the benches that they may be of."""

scored, instructions = under("What to score"), under("The instructions and the answers to them")


@click.command("eval", cls=HeadedCommand)
@scored(
    "--bench", "benches", type=TEXT, multiple=True, required=True, help="See `harness list evals`; may be repeated."
)
@scored("--model", type=TEXT, help="A checkpoint folder, OWNER/NAME[@COMMIT] on the hub, gguf:FILE, or mini:llama.")
@scored(
    *("--outputs", "--answers", "outputs"),
    type=PATH,
    help="Stored outputs: model_outputs.json, or Arena-Hard's, MT-Bench's or IFEval's .jsonl.",
)
@scored("--annotations", type=PATH, help="Stored AlpacaEval verdicts (.csv, .csv.gz, .json).")
@scored("--judgments", type=PATH, help="Stored verdicts of Arena-Hard or MT-Bench (.jsonl).")
@instructions(
    *RECIPE, type=TEXT, help="The scale they come from, or `official`.  [default: mini for its judge, else official]"
)
@instructions("--data", type=TEXT, help="A folder with the official data.  [default: the hub]")
@instructions("--baseline", type=TEXT, help="The baseline: a model of the official data, or a file of outputs.")
@instructions("--limit", type=Whole(), help="The number of instructions, the first ones.")
@instructions("--max-new-tokens", type=Whole(), help="The most tokens of an answer.  [default: the scale's]")
@instructions("--chat-template", is_flag=True, help="Ask lm-eval's tasks through the model's chat template.")
@instructions(
    "--revisions", type=Whole(0, 100), help="Score each of so many revisions of the answers too; SRPO has 0 to 5."
)
@judge_options(required=False)
@of_judge("--judge-repeats", default=1, show_default=True, type=Whole(1, 100), help="Verdicts per pair and order.")
@cost("--dry-run", is_flag=True, help="Print the estimated cost of judging; ask nothing.")
@of_scores("--allow-missing", is_flag=True, help="Score despite missing verdicts.")
@of_scores("--lc-calibration", type=PATH, help="df_gamed.csv, for the length-controlled win rate.")
@of_scores("--reference-outputs", type=PATH, help="The instructions in order, to join stored verdicts by.")
@code_changes_option("warn", "rerun", "ignore")
@offline
@click.option("--run-dir", type=PATH, help="The folder of artifacts.  [default: runs/SCALE]")
@quiet
@as_json_option
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
    chat_template: bool,
    revisions: int | None,
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
    if subject in STORED:
        from evals.base import FileOptions

        options = FileOptions(lc_calibration, reference_outputs, allow_missing)
        _show([_score_stored(benches, subject, context.params[subject], options, code_changes)], as_json)
        return
    from harness.commands.evaluate import evaluate
    from harness.commands.evaluations import Source
    from harness.commands.judging_forecast import forecast
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
        chat_template=chat_template,
    )
    source = Source(model, outputs, revisions)
    where = run_dir or Path("runs") / name_in(choice.scale)
    if dry_run:
        costs = forecast(benches, source, choice, where)
        if as_json:
            _print_json([cost.as_json() for cost in costs])
        else:
            click.echo("\n".join(map(str, costs)) or "nothing is judged, so nothing is paid for")
    else:
        _show(evaluate(benches, source, choice, where, limits, code_changes), as_json)


def _score_stored(
    benches: tuple[str, ...], subject: str, path: Path, options: "FileOptions", code_changes: "CodeChanges"
) -> dict[str, Any]:
    from harness.commands.stored_verdicts import score_file
    from harness.run.evidence import look_at_files

    known = STORED[subject]
    if len(benches) != 1 or benches[0] not in known:
        of = " or ".join(known)
        raise click.UsageError(f"--{subject} holds verdicts of {of}; give --bench {of} and no other")
    [bench] = benches
    stale = look_at_files([path], code_changes)
    return {**score_file(bench, path, options), "stale": stale.lines}


def _print_json(results: list[dict[str, Any]]) -> None:
    """Print one object: of one bench, or by bench."""
    one = results[0] if len(results) == 1 else {result["bench"]: result for result in results}
    click.echo(json.dumps(one, indent=1))


def _show(results: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        _print_json(results)
    else:
        from harness.commands.scorecard import scorecard

        click.echo("\n".join(map(scorecard, results)))


OF_FILES = ("bench", "allow_missing", "lc_calibration", "reference_outputs")
"""Options of `compare` that go with files of verdicts; the benchmarks and rules of a run are its own."""


@click.command(cls=Command)
@click.argument("first", type=TrainingSeeds(), metavar="FIRST|RUN")
@click.argument("others", type=TrainingSeeds(), nargs=-1)
@click.option("--methods", type=NAMES, help="Methods of RUN: the first is tested against each of the others.")
@click.option("--bench", type=TEXT, help="The benchmark of the verdicts.")
@click.option("--allow-missing", is_flag=True, help="Compare despite missing verdicts.")
@click.option("--lc-calibration", type=PATH, help="df_gamed.csv, for the length-controlled win rate.")
@click.option("--reference-outputs", type=PATH, help="The instructions in order, to join verdicts by.")
@code_changes_option("warn", "ignore")
@quiet
@as_json_option
def compare(
    first: tuple[Path, ...],
    others: tuple[tuple[Path, ...], ...],
    methods: tuple[str, ...] | None,
    bench: str | None,
    allow_missing: bool,
    lc_calibration: Path | None,
    reference_outputs: Path | None,
    code_changes: "CodeChanges",
    as_json: bool,
) -> None:
    """Test which of two methods of a run is better, or stored verdicts on one model against those on others.

    With --methods RUN is the folder of a run, such as runs/mini/sgpo/table3: paired over all its base models,
    benchmarks, prompts and training seeds. Without, FIRST and OTHERS are files of AlpacaEval's annotations, or of
    Arena-Hard's or MT-Bench's judgments. Of a model trained with several seeds give all in one argument, separated by
    commas: a0.json,a1.json,a2.json. Equally many are compared seed by seed.
    """
    if methods:
        _compare_methods(first, others, methods, code_changes, as_json)
        return
    if not bench or not others:
        raise click.UsageError("give RUN and --methods FIRST,OTHER, or FIRST, OTHERS and their --bench")
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
    print_result(found, comparison_table, as_json)


def _compare_methods(
    run: tuple[Path, ...],
    others: tuple[tuple[Path, ...], ...],
    methods: tuple[str, ...],
    code_changes: "CodeChanges",
    as_json: bool,
) -> None:
    from harness.commands.compare_methods import compare_methods, methods_table

    given = click.get_current_context().params
    if stray := [f"--{name.replace('_', '-')}" for name in OF_FILES if given[name]]:
        raise click.UsageError(f"{stray[0]} goes with files of verdicts, not with --methods: a run has its own")
    if len(run) > 1 or others:
        raise click.UsageError("--methods compares methods of one run: give one folder")
    print_result(compare_methods(run[0], methods, code_changes), methods_table, as_json)


@click.command(cls=Command)
@click.argument("folder", type=PATH)
@click.option("--pairs", type=TEXT, help="Pairs of models to test, such as a:b,c:d.")
@click.option("--lc-calibration", type=PATH, help="df_gamed.csv, for the length-controlled win rate.")
@click.option(
    "--out", type=PATH, default=Path("runs/leaderboard"), show_default=True, help="The folder of page, CSV and figure."
)
@as_json_option
def leaderboard(folder: Path, pairs: str | None, lc_calibration: Path | None, out: Path, as_json: bool) -> None:
    """Rank the models whose verdicts lie in FOLDER, and say which places are more than chance.

    FOLDER holds AlpacaEval's annotations, as in its repository or as tables (.csv, .csv.gz), or Arena-Hard's judgments:
    one file a model, all of one judge on the same prompts.
    """
    from harness.commands.leaderboard import leaderboard as rank
    from harness.commands.leaderboard import parse_pairs
    from reports.leaderboard import as_json as to_json
    from reports.leaderboard import leaderboard_table, write_leaderboard

    found = rank(folder, calibration=lc_calibration, pairs=parse_pairs(pairs) if pairs else ())
    page = write_leaderboard(found, out)
    click.echo(to_json(found) if as_json else f"{leaderboard_table(found)}\npage: {page}")


@click.command(cls=Command)
@click.option("--baseline", type=PATH, required=True, help="The run before the change: such as runs/mini/sgpo/table3.")
@click.option("--candidate", type=PATH, required=True, help="The run after it.")
@click.option(
    "--rerun-affected", is_flag=True, help="Make the candidate first: rerun the steps that the change affects."
)
@click.option("--out", type=PATH, help="The folder of regress.html and regress.json.  [default: the candidate]")
@code_changes_option("warn", "ignore")
@quiet
@as_json_option
def regress(
    baseline: Path, candidate: Path, rerun_affected: bool, out: Path | None, code_changes: "CodeChanges", as_json: bool
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
    if as_json:
        click.echo(json.dumps({"page": str(page), **asdict(comparison)}, indent=1, ensure_ascii=False))
    else:
        click.echo(f"{comparison_table(comparison)}\npage: {page}")
    if comparison.is_worse:
        sys.exit(1)

"""`harness eval`: scores of a checkpoint or of stored outputs. `stored_verdicts` has those of stored verdicts."""

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any

from evals.contracts import checked_scores
from evals.mt_bench.benchmark import MtBench
from evals.mt_bench.benchmark import departure as mt_bench_departure
from evals.own_items import OwnItems
from evals.withholding import withheld
from harness.commands.evaluations import Evaluation, Source, build_evaluations
from harness.engine.artifacts import Artifact
from harness.engine.limits import Limits
from harness.engine.pipeline import checked_plan, print_plan, run
from harness.engine.staleness import CodeChanges
from harness.engine.store import Store
from harness.errors import UserError
from harness.recipes.benches import (
    BenchChoice,
    departure,
)
from harness.records import Judgment, Prompt
from harness.run.evidence import look_at_files, tell_stale
from harness.run.spending import run_and_report_spending
from harness.steps.judge import FAILURES, OTHER_MODELS, by_reason
from harness.steps.revise import WITHOUT_ROOM
from harness.terminal import one_line

Scores = dict[str, Any]

SUMMARY = "summary.json"
SEED_SCORES = "seed-0/scores.json"
"""What a benchmark saves of one checkpoint."""

SHOWN_REASONS = 3
SHOWN_INSTRUCTIONS = 3
SHOWN_CHARACTERS = 50


def evaluate(
    benches: Sequence[str],
    source: Source,
    choice: BenchChoice,
    run_dir: Path,
    limits: Limits,
    code_changes: CodeChanges = "warn",
) -> list[Scores]:
    """Score `source` on each bench, at each revision if any are asked for.

    What is in the run directory is not made, or asked for, again, but for what is damaged, and, with `code_changes` as
    "rerun", what is stale. What is stale of a checkpoint or of outputs that lie in a store is said.

    Raises UserError for unknown names, data that is not there, a judge that cannot be asked, and a run directory that
    cannot be written to.
    """
    evaluations = [each for name in benches for each in build_evaluations(name, source, choice)]
    store = Store(run_dir / "store", remakes_stale=code_changes == "rerun")
    targets = [each.result for each in evaluations]
    of_source, of_run = look_at_files(source.places, code_changes), tell_stale(targets, store, code_changes)
    print_plan(checked_plan(targets, store))
    if source.outputs:
        require_outputs(evaluations, source.outputs, choice, store)
    run_and_report_spending(targets, store, limits)
    scores = [_scores(each, source, choice, store) for each in evaluations]
    for each in evaluations:
        print_failures(each.title, each.rows, store, each.benchmark.verdict_type)
    for each, found in zip(evaluations, scores, strict=True):
        print(f"{each.title}: rows and scores are in {found['folder']}", file=sys.stderr)
    if code_changes == "rerun":
        of_run = store.staleness(targets)
    stale = [*of_source.lines, *of_run.lines]
    return [{**found, "stale": stale} for found in _by_bench(evaluations, scores)]


def _by_bench(evaluations: Sequence[Evaluation], scores: Sequence[Scores]) -> list[Scores]:
    """Return the scores of each bench: of one with revisions, all of them under `revisions`."""
    found: list[Scores] = []
    for name, of in groupby(zip(evaluations, scores, strict=True), key=lambda pair: pair[0].name):
        pairs = list(of)
        if pairs[0][0].revision is None:
            found += [of_bench for _, of_bench in pairs]
        else:
            revisions = [{"revision": each.revision, **of_bench} for each, of_bench in pairs]
            found.append({"bench": name, "model": pairs[0][1]["model"], "revisions": revisions})
    return found


def require_outputs(evaluations: Sequence[Evaluation], path: Path, choice: BenchChoice, store: Store) -> None:
    """Read stored outputs before any is judged. Raises UserError where so many are missing that no score is shown."""
    judged = [(each, each.outputs) for each in evaluations if each.outputs]
    run([outputs for _, outputs in judged], store)
    for each, outputs in judged:
        counts = store.record(outputs)["counts"]
        there, missing = int(counts["rows"]), int(counts["without_output"])
        if missing and withheld(there, there + missing, allow_missing=choice.allow_missing):
            raise UserError(
                f"{path}: no output for {missing} of the {there + missing} instructions of {each.name}, so that nothing"
                " was judged; complete it, or pass --allow-missing to judge those that are there"
            )
        if missing:
            print(f"{each.name}: no output for {missing} of {there + missing} instructions in {path}", file=sys.stderr)


def failed_verdicts(judgments: Artifact, store: Store, type: type[Any] = Judgment) -> list[Any]:
    """Return the rows of a judging artifact, of class `type`, without a verdict."""
    if not (store.folder(judgments) / FAILURES).is_file():
        return []
    return [row for row in store.bind(judgments).rows(type) if row.state != "ok"]


def print_failures(name: str, judgments: Artifact, store: Store, type: type[Any] = Judgment) -> None:
    """Tell why verdicts of `name` are missing, the commonest reason first, and on which instructions.

    The verdicts are rows of class `type`.
    """
    if failed := failed_verdicts(judgments, store, type):
        for reason, rows in list(by_reason(failed).items())[:SHOWN_REASONS]:
            which = _named(list(dict.fromkeys(row.prompt for row in rows)))
            print(one_line(f"{name}: {len(rows)} verdicts failed: {reason}; {which}"), file=sys.stderr)


def _beginning(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= SHOWN_CHARACTERS else words[:SHOWN_CHARACTERS] + "…"


def _named(prompts: Sequence[Prompt]) -> str:
    """Return the first few of the instructions, by id and beginning."""
    named = [f"{prompt.id} ({_beginning(prompt.text)!r})" for prompt in prompts[:SHOWN_INSTRUCTIONS]]
    more = f" and {len(prompts) - len(named)} more" if len(prompts) > len(named) else ""
    return f"instruction{'s' if len(prompts) > 1 else ''} {', '.join(named)}{more}"


def _scores(each: Evaluation, source: Source, choice: BenchChoice, store: Store) -> Scores:
    """Describe what was found, of what, against what, and by which judge or under what."""
    describe = _of_measuring
    if each.outputs:
        describe = _of_grading if isinstance(each.benchmark, MtBench) else _of_judging
    of = {"bench": each.name, "model": source.name, **describe(each, source, choice, store)}
    folder = store.folder(each.result)
    if (folder / SUMMARY).is_file():
        return {**of, **_saved(each, SUMMARY, store), "folder": str(folder)}
    names = tuple(metric.name for metric in each.benchmark.metrics)
    scores = {**checked_scores(each.name, names, _saved(each, SEED_SCORES, store)), **other_models(each.rows, store)}
    return {**of, "metrics": list(names), **scores, "folder": str((folder / SEED_SCORES).parent)}


def _of_grading(each: Evaluation, source: Source, choice: BenchChoice, store: Store) -> Scores:
    return {
        **_judge(each),
        "departure": mt_bench_departure(each.setting, choice.scale),
        "n_cut_off": store.record(each.outputs or each.rows)["counts"].get("cut_off"),
    }


def _judge(each: Evaluation) -> Scores:
    judge = each.setting.judge
    return {
        "judge": judge.model,
        "judge_base_url": judge.base_url or None,
        "judge_without": list(judge.without),
        "judge_fingerprint": each.benchmark.fingerprint(each.setting),
    }


def _of_judging(each: Evaluation, source: Source, choice: BenchChoice, store: Store) -> Scores:
    answers = each.outputs or each.rows
    return {
        "baseline": each.setting.baseline_name,
        **_judge(each),
        "departure": departure(each.name, each.setting, choice),
        "length_calibration": str(choice.length_calibration) if choice.length_calibration else None,
        "n_cut_off": store.record(answers)["counts"].get("cut_off"),
        **_without_room(answers, store),
    }


def _without_room(answers: Artifact, store: Store) -> Scores:
    """Return how many answers were not revised; {} where none was to be."""
    counts = store.record(answers)["counts"]
    return {"n_without_room": counts[WITHOUT_ROOM]} if WITHOUT_ROOM in counts else {}


def _of_measuring(each: Evaluation, source: Source, choice: BenchChoice, store: Store) -> Scores:
    of: Scores = {}
    if isinstance(each.benchmark, OwnItems):
        of |= {"departure": each.benchmark.departure(each.setting), **each.benchmark.described(each.setting)}
    if "baselines" in each.benchmark.needs:
        of["baseline"] = choice.baseline or choice.scale
    if "model" in each.benchmark.needs:
        of["checkpoint"] = source.model
    if each.benchmark.counts_tokens:
        of["tokens_are"] = f"those of {source.model}" if source.model and source.outputs else "words between blanks"
    return of


def other_models(judgments: Artifact, store: Store) -> Scores:
    """Return how many replies came of which models that were not asked, as the endpoint says; {} where none did."""
    path = store.folder(judgments) / OTHER_MODELS
    return {"other_models": json.loads(path.read_text())} if path.is_file() else {}


def _saved(each: Evaluation, file: str, store: Store) -> Any:
    """Return the content of a JSON file that the evaluation saves. Raises UserError where it did not."""
    bound = store.bind(each.result)
    with suppress(ValueError):
        if (bound.folder / file).is_file():
            return bound.json(file)
    raise UserError(
        f"the evaluation {each.name} does not keep to its contract: {each.result} saved no JSON file {file}; save it"
        f" with out.write_json({file!r}, ...)"
    )

"""`harness eval`: scores of a checkpoint or of stored outputs. `stored_verdicts` has those of stored verdicts."""

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from evals.base import Benchmark, Setting
from evals.contracts import checked_scores
from evals.judged_pairs import JudgedPairs, PairSetting
from evals.official_data import outputs_model
from evals.official_steps import stored_outputs
from evals.withholding import withheld
from harness.endpoints.cost import CostEstimate, describe, estimate
from harness.endpoints.reply_cache import is_recorded
from harness.engine.artifacts import Artifact, labels
from harness.engine.limits import Limits
from harness.engine.pipeline import checked_plan, print_plan, run
from harness.engine.staleness import CodeChanges
from harness.engine.store import Store
from harness.errors import UserError
from harness.models.references import located
from harness.recipes.benches import (
    BenchChoice,
    choose_baselines,
    choose_bench,
    choose_unjudged,
    departure,
    judged_pairs,
    or_passed,
)
from harness.recipes.registries import load_benchmark
from harness.records import Judgment, Prompt, Response
from harness.run.evidence import look_at_files, tell_stale
from harness.run.spending import run_and_report_spending
from harness.steps.data import model as model_artifact
from harness.steps.judge import FAILURES, OTHER_MODELS, by_reason, needs_judge, pair_up
from harness.terminal import one_line

Scores = dict[str, Any]

SUMMARY = "summary.json"
SEED_SCORES = "seed-0/scores.json"
"""What a benchmark saves of one checkpoint."""

SHOWN_REASONS = 3
SHOWN_INSTRUCTIONS = 3
SHOWN_CHARACTERS = 50


@dataclass(frozen=True)
class Source:
    """The subject of an evaluation: a checkpoint, or outputs that are stored in a file.

    Perplexity takes both, and the edit distance of stored outputs counts the tokens of a checkpoint, if one is given.
    """

    model: str | None = None
    outputs: Path | None = None

    @cached_property
    def name(self) -> str:
        """The name in official files: the model that stored outputs name themselves."""
        if self.outputs:
            return outputs_model("pairwise", self.outputs)
        return str(self.model).rstrip("/").rpartition("/")[2]

    @property
    def places(self) -> list[Path]:
        """The files and folders that are named."""
        named = [self.outputs, Path(self.model) if self.model else None]
        return [path for path in named if path and path.exists()]

    def checkpoint(self) -> Artifact:
        """Return the model. Raises UserError where none is given, or it is no checkpoint."""
        if self.model is None:
            raise UserError("this evaluation needs a checkpoint: pass --model")
        return model_artifact(located(self.model))


@dataclass(frozen=True, slots=True)
class Judged:
    """One judged evaluation, as promises."""

    name: str
    benchmark: JudgedPairs
    bench: PairSetting
    outputs: Artifact
    judgments: Artifact
    score: Artifact


def evaluate(
    benches: Sequence[str],
    source: Source,
    choice: BenchChoice,
    run_dir: Path,
    limits: Limits,
    code_changes: CodeChanges = "warn",
) -> list[Scores]:
    """Score `source` on each bench; what is in the run directory is not made, or asked for, again.

    But for what is damaged, and, with `code_changes` as "rerun", what is stale. What is stale of a checkpoint or of
    outputs that lie in a store is said.

    Raises UserError for unknown names, data that is not there, a judge that cannot be asked, and a run directory that
    cannot be written to.
    """
    judged, measured = _build(benches, source, choice)
    store = Store(run_dir / "store", remakes_stale=code_changes == "rerun")
    targets = [*(each.score for each in judged), *measured.values()]
    of_source, of_run = look_at_files(source.places, code_changes), tell_stale(targets, store, code_changes)
    print_plan(checked_plan(targets, store))
    if source.outputs:
        _require_outputs(judged, source.outputs, choice, store)
    run_and_report_spending(targets, store, limits)
    scores = {each.name: _scores(each, source, choice, store) for each in judged}
    scores |= {name: _summary(name, source, choice, artifact, store) for name, artifact in measured.items()}
    for each in judged:
        print_failures(each.name, each.judgments, store)
    for name in benches:
        print(f"{name}: rows and scores are in {scores[name]['folder']}", file=sys.stderr)
    if code_changes == "rerun":
        of_run = store.staleness(targets)
    return [{**scores[name], "stale": [*of_source.lines, *of_run.lines]} for name in benches]


def _require_outputs(judged: Sequence[Judged], path: Path, choice: BenchChoice, store: Store) -> None:
    """Read stored outputs before any is judged. Raises UserError where so many are missing that no score is shown."""
    run([each.outputs for each in judged], store)
    for each in judged:
        counts = store.record(each.outputs)["counts"]
        there, missing = int(counts["rows"]), int(counts["without_output"])
        if missing and withheld(there, there + missing, allow_missing=choice.allow_missing):
            raise UserError(
                f"{path}: no output for {missing} of the {there + missing} instructions of {each.name}, so that nothing"
                " was judged; complete it, or pass --allow-missing to judge those that are there"
            )
        if missing:
            print(f"{each.name}: no output for {missing} of {there + missing} instructions in {path}", file=sys.stderr)


def failed_verdicts(judgments: Artifact, store: Store) -> list[Judgment]:
    """Return the rows of a judging artifact without a verdict."""
    if not (store.folder(judgments) / FAILURES).is_file():
        return []
    return [row for row in store.bind(judgments).rows(Judgment) if row.state != "ok"]


def print_failures(name: str, judgments: Artifact, store: Store) -> None:
    """Tell why verdicts of `name` are missing, the commonest reason first, and on which instructions."""
    if failed := failed_verdicts(judgments, store):
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


@dataclass(frozen=True, slots=True)
class JudgingForecast:
    """The estimated cost of judging one bench; `assumes_answers` where the baseline's stand in for answers to come."""

    bench: str
    cost: CostEstimate
    assumes_answers: bool

    def __str__(self) -> str:
        assumed = "\nanswers            not there yet; taken to be as long as the baseline's"
        return f"{self.bench}\n{describe(self.cost)}{assumed if self.assumes_answers else ''}"

    def as_json(self) -> dict[str, Any]:
        """Return the same figures; dollars are None where the price is unknown."""
        cost = self.cost
        return {
            "bench": self.bench,
            "judge": cost.reference.model,
            "judge_base_url": cost.reference.base_url or None,
            "calls": cost.calls,
            "recorded": cost.recorded,
            "prompt_tokens": cost.prompt_tokens,
            "counting": cost.counting,
            "completion_tokens": cost.completion_tokens,
            "most_completion_tokens": cost.most_completion_tokens,
            "usd": cost.usd(),
            "most_usd": cost.most_usd(),
            "usd_batch": cost.usd(batch=True),
            "most_usd_batch": cost.most_usd(batch=True),
            "assumes_answers": self.assumes_answers,
        }


def forecast(benches: Sequence[str], source: Source, choice: BenchChoice, run_dir: Path) -> list[JudgingForecast]:
    """Estimate what judging would cost, bench by bench, without asking the judge anything (`--dry-run`).

    Data is read, and answers that are not there yet are not generated: the baseline's stand in for their length.
    """
    judged, _ = _build(benches, source, choice)
    store = Store(run_dir / "store")
    run([each.bench.baselines for each in judged], store)
    if source.outputs:
        _require_outputs(judged, source.outputs, choice, store)
    return [_forecast(each, store) for each in judged]


def _build(benches: Sequence[str], source: Source, choice: BenchChoice) -> tuple[list[Judged], dict[str, Artifact]]:
    judged, measured = [], {}
    for name in benches:
        benchmark = load_benchmark(name)
        if source.outputs and source.model and isinstance(benchmark, JudgedPairs):
            raise UserError(f"{name} judges a model's answers or those in a file: give --model or --outputs, not both")
        with labels(f"{source.name} {name}"):
            if isinstance(benchmark, JudgedPairs):
                judged.append(_judged(name, benchmark, source, choice))
            else:
                measured[name] = _measured(name, benchmark, source, choice)
    return judged, measured


def _judged(name: str, benchmark: JudgedPairs, source: Source, choice: BenchChoice) -> Judged:
    bench = choose_bench(name, choice)
    outputs = (
        stored_outputs(name, source.outputs, bench.baselines)
        if source.outputs
        else benchmark.answers(bench, source.checkpoint(), 0)
    )
    judgments = benchmark.rows(bench, outputs=outputs)
    with or_passed("--lc-calibration FILE"):
        score = benchmark.score(bench, [judgments], source.name)
    return Judged(name, benchmark, bench, outputs, judgments, score)


def _measured(name: str, benchmark: Benchmark[Setting], source: Source, choice: BenchChoice) -> Artifact:
    """Build scores, or a summary, of what the benchmark needs of the checkpoint, the outputs and the baseline's
    answers."""
    given = {}
    if "model" in benchmark.needs:
        given["model"] = source.checkpoint()
    if "outputs" in benchmark.needs:
        given["outputs"] = _outputs_to_measure(source, choice, alone="baselines" not in benchmark.needs)
    if "baselines" in benchmark.needs:
        given["baselines"] = choose_baselines("pairwise", choice)
    if benchmark.counts_tokens and source.outputs and source.model:
        given["tokenizer"] = source.checkpoint()
    setting = choose_unjudged(name, choice)
    rows = benchmark.rows(setting, **given)
    if not isinstance(rows, Artifact):
        raise UserError(
            f"the evaluation {name} does not keep to its contract: its rows returned a {type(rows).__name__};"
            " return what calling a step gives"
        )
    return benchmark.summarise(rows) or benchmark.score(setting, [rows], source.name)


def _outputs_to_measure(source: Source, choice: BenchChoice, *, alone: bool) -> Artifact:
    """Build stored outputs, joined to the baseline's prompts unless they are measured `alone`; else the model's
    answers."""
    if source.outputs and alone:
        return choose_baselines("pairwise", replace(choice, baseline=str(source.outputs))).with_label(
            source.outputs.name
        )
    if source.outputs:
        return stored_outputs("pairwise", source.outputs, choose_baselines("pairwise", choice))
    bench = choose_bench("pairwise", choice)
    return judged_pairs("pairwise").answers(bench, source.checkpoint(), 0)


def _scores(judged: Judged, source: Source, choice: BenchChoice, store: Store) -> Scores:
    judge = judged.bench.judge
    folder = store.folder(judged.score) / "seed-0"
    names = tuple(metric.name for metric in judged.benchmark.metrics)
    scores = checked_scores(judged.name, names, _saved(judged.name, judged.score, SEED_SCORES, store))
    return {
        "bench": judged.name,
        "model": source.name,
        "baseline": judged.bench.baseline_name,
        "judge": judge.model,
        "judge_base_url": judge.base_url or None,
        "judge_without": list(judge.without),
        "judge_fingerprint": judged.benchmark.fingerprint(judged.bench),
        "departure": departure(judged.name, judged.bench, choice),
        "length_calibration": str(choice.length_calibration) if choice.length_calibration else None,
        "n_cut_off": store.record(judged.outputs)["counts"].get("cut_off"),
        "metrics": list(names),
        **scores,
        **other_models(judged.judgments, store),
        "folder": str(folder),
    }


def other_models(judgments: Artifact, store: Store) -> Scores:
    """Return how many replies came of which models that were not asked, as the endpoint says; {} where none did."""
    path = store.folder(judgments) / OTHER_MODELS
    return {"other_models": json.loads(path.read_text())} if path.is_file() else {}


def _summary(name: str, source: Source, choice: BenchChoice, artifact: Artifact, store: Store) -> Scores:
    """Describe what was found without a judge, of what, against what or under what."""
    benchmark, folder = load_benchmark(name), store.folder(artifact)
    of: dict[str, Any] = {"bench": name, "model": source.name}
    if "baselines" in benchmark.needs:
        of["baseline"] = choice.baseline or choice.scale
    if "model" in benchmark.needs:
        of["checkpoint"] = source.model
    if benchmark.counts_tokens:
        of["tokens_are"] = f"those of {source.model}" if source.model and source.outputs else "words between blanks"
    if (folder / SUMMARY).is_file():
        return {**of, **_saved(name, artifact, SUMMARY, store), "folder": str(folder)}
    names = tuple(metric.name for metric in benchmark.metrics)
    scores = checked_scores(name, names, _saved(name, artifact, SEED_SCORES, store))
    return {**of, "metrics": list(names), **scores, "folder": str((folder / SEED_SCORES).parent)}


def _saved(name: str, artifact: Artifact, file: str, store: Store) -> Any:
    """Return the content of a JSON file that the evaluation `name` saves. Raises UserError where it did not."""
    bound = store.bind(artifact)
    with suppress(ValueError):
        if (bound.folder / file).is_file():
            return bound.json(file)
    raise UserError(
        f"the evaluation {name} does not keep to its contract: {artifact} saved no JSON file {file}; save it with"
        f" out.write_json({file!r}, ...)"
    )


def _forecast(judged: Judged, store: Store) -> JudgingForecast:
    baselines = store.bind(judged.bench.baselines).rows(Response)
    known = store.has(judged.outputs)
    outputs = store.bind(judged.outputs).rows(Response) if known else baselines
    games = pair_up(judged.benchmark.protocol, outputs, baselines, judged.bench.judge_repeats)
    requests = [game.request(judged.bench.prompt) for game in games if needs_judge(judged.benchmark.protocol, game)]
    judge = judged.bench.judge
    return JudgingForecast(
        judged.name, estimate(requests, judge, is_recorded(store.reply_cache, judge)), assumes_answers=not known
    )

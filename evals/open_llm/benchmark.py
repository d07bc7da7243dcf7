"""The Open LLM Leaderboard, version 1, as lm-eval asks it; in the embedded world six tasks that stand for its six."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from evals import scoring
from evals.base import RESAMPLES, ItemResults, Scored, Setting
from evals.item_scores import write_scores
from evals.lm_eval.benchmark import AsksTasks, TaskOptions
from evals.lm_eval.costs import own_requests
from evals.lm_eval.rows import TaskAsking, TaskItem
from evals.lm_eval.run import fetch_task, installed_version
from evals.lm_eval.steps import OWN_RESULTS, ask_task, write_items
from evals.open_llm.mini_tasks import FAMILIES, SIZES, mini_requests, task_config, write_questions
from evals.open_llm.scores import COLUMNS, METRICS, board_results, column_intervals
from evals.own_items import UserData
from harness.engine.artifacts import Artifact, Output, step
from harness.engine.scratch import temporary_folder
from harness.errors import UserError
from harness.mini.identity import world_digest
from harness.models.generator import Engine
from harness.models.references import checkpoint_of

TITLE = "the Open LLM Leaderboard"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLLMOptions(TaskOptions):
    """The options of the leaderboard: the tasks, and how they are asked. The board asked without chat template."""

    tasks: Literal["mini", "official"] = "mini"

    @property
    def size(self) -> int:
        """The most items of a task."""
        return self.items or (max(SIZES.values()) if self.tasks == "mini" else sys.maxsize)


class OpenLLM(AsksTasks):
    """The six tasks of the leaderboard."""

    summary = "the six tasks of the Open LLM Leaderboard, version 1, and their average, through lm-eval"
    source = "Beeching et al. 2023; lm-eval's group openllm"
    metrics = METRICS
    Options = OpenLLMOptions

    def official(self, given: UserData) -> OpenLLMOptions:
        """Return the options of the leaderboard itself. Raises UserError for data, which lm-eval fetches by itself."""
        if given.data:
            raise UserError("lm-eval has the tasks of open_llm from the hub; leave out --data")
        return OpenLLMOptions(tasks="official", items=given.limit)

    def run(self, setting: Setting, checkpoint: Artifact, seed: int) -> Artifact:
        """Return `TaskItem` rows of all six tasks. Nothing is drawn at random."""
        installed_version()
        return self.rows(setting, model=checkpoint)

    def rows(self, setting: Setting, **given: Artifact) -> Artifact:
        """Return `TaskItem` rows of all six tasks."""
        options: OpenLLMOptions = setting.options
        engine = setting.sampling.engine
        if options.tasks == "mini":
            world = world_digest()
            asked = [write_questions(family=each, size=options.size, world=world) for each in FAMILIES.values()]
            template = options.chat_template
            return ask_mini_tasks(model=given["model"], questions=asked, chat_template=template, engine=engine)
        asking = TaskAsking(options.items, options.chat_template)
        tasks = [
            ask_task(model=given["model"], task=column.task, asking=asking, engine=engine).append_label(name)
            for name, column in COLUMNS.items()
        ]
        return gather_tasks(tasks=tasks)

    def score(self, setting: Setting, rows: Sequence[Artifact], name: str) -> Artifact:
        """Build `scores.json` of columns and averages."""
        return score_open_llm(rows=rows, allow_missing=setting.allow_missing, resamples=RESAMPLES)

    def compare(self, setting: Setting, better: Sequence[Artifact], worse: Sequence[Artifact]) -> Artifact:
        """Build `comparison.json` of the differences on the same items."""
        return compare_open_llm(better=better, worse=worse, allow_missing=setting.allow_missing, resamples=RESAMPLES)

    def results(self, scored: Sequence[Scored]) -> list[ItemResults]:
        """Return the values of the items."""
        return [board_results(rows.rows(TaskItem)) for each in scored for rows in each.rows]

    def fetch(self) -> Iterator[str]:
        """Fetch the data of the six tasks. Raises UserError for what cannot be had."""
        for column in COLUMNS.values():
            yield from fetch_task(column.task.name)

    def departure(self, setting: Setting) -> str | None:
        """Describe what keeps the numbers from being the leaderboard's."""
        options: OpenLLMOptions = setting.options
        mini = "the tasks are those of the embedded world" if options.tasks == "mini" else ""
        part = f"on the first {options.items} items of each task" if options.items else ""
        template = "asked through the chat template" if options.chat_template else ""
        reasons = "; ".join(filter(None, (mini, part, template)))
        return f"not {TITLE}: {reasons}" if reasons else None


BENCHMARK = OpenLLM()


@step(version=1, work="likelihood", rows=mini_requests, cost=own_requests)
def ask_mini_tasks(
    out: Output,
    *,
    model: Artifact,
    questions: Sequence[Artifact],
    chat_template: bool = False,
    engine: Engine = "transformers",
) -> None:
    """Write `TaskItem` rows of the world's six tasks, whose questions are written in the order of `FAMILIES`."""
    from evals.lm_eval.run import evaluate

    with temporary_folder() as cache:
        tasks = [task_config(name, written, cache) for name, written in zip(FAMILIES, questions, strict=True)]
        asking = TaskAsking(chat_template=chat_template)
        rows, results = evaluate([], asking, checkpoint_of(model.folder), engine, tasks)
    write_items(out, rows, results)


@step(version=1)
def gather_tasks(out: Output, *, tasks: Sequence[Artifact]) -> None:
    """Write the `TaskItem` rows of several tasks as one set, and lm-eval's own numbers of each."""
    out.write_rows(row for each in tasks for row in each.rows(TaskItem))
    parts = [each.json(OWN_RESULTS) for each in tasks]
    by_task = [key for key, value in parts[0].items() if isinstance(value, dict)]
    merged = {key: {name: of for part in parts for name, of in part[key].items()} for key in by_task}
    out.write_json(OWN_RESULTS, {**parts[0], **merged})


@step(version=1)
def score_open_llm(out: Output, *, rows: Sequence[Artifact], allow_missing: bool, resamples: int) -> None:
    """Write `scores.json` over all training seeds, and each seed's own in `seed-<n>/`."""
    sets = [board_results(each.rows(TaskItem)) for each in rows]
    asked = max(len(each.items) for each in sets)
    write_scores(out, rows, sets, asked, allow_missing=allow_missing, resamples=resamples)
    for folder, of in ((".", sets), *((f"seed-{number}", [each]) for number, each in enumerate(sets))):
        name = f"{folder}/scores.json"
        scores = json.loads((out.folder / name).read_text(encoding="utf-8"))
        out.write_json(name, scores | {"ci95": {**scores["ci95"], **column_intervals(of, resamples)}})


@step(version=1)
def compare_open_llm(
    out: Output, *, better: Sequence[Artifact], worse: Sequence[Artifact], allow_missing: bool, resamples: int
) -> None:
    """Write `comparison.json`: for each column and average the paired difference between two methods."""
    first, second = ([board_results(rows.rows(TaskItem)) for rows in side] for side in (better, worse))
    scoring.write_comparison(out, first, second, METRICS, allow_missing=allow_missing, resamples=resamples)

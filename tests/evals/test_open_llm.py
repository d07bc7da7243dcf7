"""The Open LLM Leaderboard through lm-eval, on a checkpoint of the embedded world, beside lm-eval called directly."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evals.base import Setting
from evals.lm_eval.rows import AskedTask, TaskItem
from evals.lm_eval.run import _known, _require_version
from evals.open_llm.benchmark import BENCHMARK, OpenLLMOptions
from evals.open_llm.mini_tasks import FAMILIES, task_config
from evals.open_llm.scores import COLUMNS, METRICS, board_results, column_of
from harness.engine.artifacts import Artifact
from harness.engine.store import Store
from harness.errors import UserError
from harness.mini.questions import questions
from harness.models.generator import Sampling
from harness.steps.data import model
from harness.steps.judge import judge
from tests.command import Harness
from tests.steps.given import made

ITEMS = 24
SETTING = Setting(options=OpenLLMOptions(items=ITEMS), judge=judge("mini:judge"), sampling=Sampling(0.0, 1.0, 8))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def rows(store: Store, disturbed: Path) -> Artifact:
    """The items of a checkpoint that is right often, and not always."""
    return made(store, BENCHMARK.run(SETTING, model(str(disturbed)), 0))


def test_every_item_has_what_lm_eval_called_directly_gives_it(
    rows: Artifact, store: Store, disturbed: Path, tmp_path: Path
) -> None:
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    written = [store.bind(each) for each in rows.inputs["questions"]]  # type: ignore[arg-type]
    tasks = [dict(task_config(name, each, tmp_path)) for name, each in zip(FAMILIES, written, strict=True)]
    found: Any = simple_evaluate(
        model="hf",
        model_args={"pretrained": str(disturbed)},
        device="cpu",
        batch_size=7,
        tasks=tasks,
        task_manager=TaskManager(include_defaults=False),
        bootstrap_iters=0,
    )
    ours = {row.id: row for row in rows.rows(TaskItem)}
    theirs = {f"{task}/{sample['doc_id']}": sample for task, of in found["samples"].items() for sample in of}
    assert ours.keys() == theirs.keys() and len(ours) == len(COLUMNS) * ITEMS
    for id, sample in theirs.items():
        [metric] = sample["metrics"]
        assert ours[id].values == pytest.approx({f"{metric},{sample['filter']}": sample[metric]}, abs=1e-5), id
        assert ours[id].prompt_hash == sample["prompt_hash"]
    scores = board_results(ours.values())
    for name in COLUMNS:
        [own] = [value for key, value in found["results"][name].items() if "," in key and "stderr" not in key]
        assert scores.statistic(name, scores.items).value == pytest.approx(100 * own, abs=1e-3)


def test_some_items_are_right_and_some_are_wrong(rows: Artifact) -> None:
    """Else the parity would say little."""
    shares = [each.statistic("average", each.items).value for each in [board_results(rows.rows(TaskItem))]]
    assert 20 < shares[0] < 95


def test_the_questions_are_those_of_the_world_in_order(rows: Artifact, store: Store) -> None:
    import json

    for family, each in zip(FAMILIES.values(), rows.inputs["questions"], strict=True):  # type: ignore[arg-type]
        lines = (store.bind(each).folder / "test.jsonl").read_text().splitlines()
        for line, question in zip(map(json.loads, lines), questions(family, "test", ITEMS), strict=True):
            right = line["choices"][line["answer"]] if question.choices else line["answer"]
            assert (line["prompt"], right, set(line["choices"])) == (
                question.prompt,
                question.answer,
                set(question.choices),
            )


def test_scores_are_written_for_each_training_seed_and_over_all(rows: Artifact, store: Store) -> None:
    scored = made(store, BENCHMARK.score(SETTING, [rows, rows], "mine"))
    both, first = scored.json("scores.json"), scored.json("seed-0/scores.json")
    assert set(both["mean"]) == {metric.name for metric in METRICS} == set(first["ci95"])
    assert both["per_seed"]["average"] == [first["average"]] * 2
    assert first["average"] == pytest.approx(np.mean([first[name] for name in COLUMNS]))
    assert (first["n_asked"], first["n_missing"]) == (len(COLUMNS) * ITEMS, 0)
    compared = made(store, BENCHMARK.compare(SETTING, [rows], [rows])).json("comparison.json")
    assert compared["average"]["difference"] == 0


def item(task: str, number: int, right: bool) -> TaskItem:
    metric = COLUMNS[column_of(task)].metric
    return TaskItem(f"{task}/{number}", task, "1.0", "", "", "", {metric: float(right)})


def test_the_board_weighs_the_subjects_of_mmlu_alike_and_lm_eval_by_size() -> None:
    """Three of four right in one subject, none of one in the other: 37.5 % on the board, 60 % by size."""
    mmlu = [*(item("mmlu_virology", n, n < 3) for n in range(4)), item("mmlu_law", 0, False)]
    others = [item("gsm8k", n, n < 1) for n in range(2)]
    found = board_results([*mmlu, *others])
    values = {metric: found.statistic(metric, found.items).value for metric in ("mmlu", "mmlu_by_size", "average")}
    assert values == {"mmlu": 37.5, "mmlu_by_size": 60.0, "average": (37.5 + 50) / 2}
    assert found.statistic("average_by_size", found.items).value == (60 + 50) / 2


def test_an_interval_of_a_column_rests_on_its_own_items(store: Store, base: Path) -> None:
    """The base model answers all of a text's questions rightly: the exact interval of as many items, not of all."""
    rows = made(store, BENCHMARK.run(SETTING, model("mini:llama"), 0))
    scores = made(store, BENCHMARK.score(SETTING, [rows], "mine")).json("seed-0/scores.json")
    assert scores["mmlu"] == 100
    assert scores["ci95"]["mmlu"][0] == pytest.approx(100 * 0.025 ** (1 / ITEMS))


def test_a_task_that_there_is_not_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match="lm-eval has no task 'hellaswga'; did you mean 'hellaswag'"):
        _known([AskedTask("hellaswga")])


def test_results_are_not_kept_under_another_version_of_a_task() -> None:
    task = COLUMNS["mmlu"].task
    _require_version(task, {"mmlu": 2, "mmlu_stem": 2, "mmlu_virology": 1.0})
    with pytest.raises(UserError, match=r"the task mmlu_virology is of version 1.1 .* and 1.0 is meant"):
        _require_version(task, {"mmlu": 2, "mmlu_virology": 1.1})


def test_the_board_s_tasks_are_asked_with_its_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """lm-eval's own group has the same numbers, but for all of TruthfulQA in the place of mc2."""
    from importlib.resources import files

    import yaml

    group = yaml.safe_load((files("lm_eval") / "tasks/benchmarks/openllm.yaml").read_text())
    theirs = {each["task"]: each["num_fewshot"] for each in group["task"]}
    assert {name: column.task.shots for name, column in COLUMNS.items()} == theirs


@pytest.mark.usefixtures("in_this_process")
def test_the_command_prints_the_six_columns(harness: Harness) -> None:
    outcome = harness("eval", "--bench", "open_llm", "--model", "mini:llama", "--limit", "6")
    assert outcome.exit_code == 0, outcome.err
    assert "chat template off" in outcome.out and "on the first 6 items of each task" in outcome.out
    assert all(name in outcome.out for name in (*COLUMNS, "average"))


@pytest.mark.usefixtures("in_this_process")
def test_the_chat_template_changes_the_prompt_and_is_said(harness: Harness) -> None:
    what = ("eval", "--bench", "open_llm", "--model", "mini:llama", "--limit", "6")
    without, through = (Path(harness(*what, *more, "--json").scores["folder"]) for more in ((), ("--chat-template",)))
    hashes = [{row["prompt_hash"] for row in _lines(folder / "rows.jsonl")} for folder in (without, through)]
    assert not hashes[0] & hashes[1]
    assert "chat template on" in harness(*what, "--chat-template").out


def _lines(path: Path) -> list[dict[str, Any]]:
    import json

    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--bench", "lm_eval:gsm9k", "--model", "mini:llama"), "lm-eval has no task 'gsm9k'; did you mean 'gsm8k'?"),
        (("--bench", "open_llm", "--outputs", "a.json"), "this evaluation asks a checkpoint"),
        (("--bench", "perplexity", "--model", "mini:llama", "--chat-template"), "--chat-template goes with"),
    ],
)
def test_a_wrong_command_line_is_one_line(harness: Harness, arguments: tuple[str, ...], said: str) -> None:
    Path("a.json").write_text('[{"instruction": "a", "output": "b"}]')
    outcome = harness("eval", *arguments)
    assert outcome.exit_code == 2
    assert said in outcome.err.splitlines()[-1]


def test_without_lm_eval_the_extra_is_named(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import PackageNotFoundError

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("evals.lm_eval.run.version", missing)
    for bench in ("open_llm", "lm_eval:gsm8k"):
        outcome = harness("eval", "--bench", bench, "--model", "mini:llama")
        assert outcome.exit_code == 2
        assert 'pip install "preference-harness[lm-eval]"' in outcome.err

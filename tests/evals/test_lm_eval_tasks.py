"""Tasks of lm-eval by their names: here of a folder of its YAML files in the place of its own."""

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from evals.lm_eval.rows import AskedTask, TaskAsking
from evals.lm_eval.run import evaluate
from harness.mini.questions import questions
from tests.command import Harness

N = 12


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a task `counted_facts`, in which examples come from another split, and a group of it."""
    from lm_eval import tasks as package

    for split in ("test", "shots"):
        rows = [
            {"prompt": each.prompt, "choices": each.choices, "answer": each.choices.index(each.answer)}
            for each in questions("told_facts", split, N)
        ]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {
        "task": "counted_facts",
        "dataset_path": "json",
        "dataset_kwargs": {
            "data_files": {split: str(tmp_path / f"{split}.jsonl") for split in ("test", "shots")},
            "cache_dir": str(tmp_path / "cache"),
        },
        "test_split": "test",
        "fewshot_split": "shots",
        "output_type": "multiple_choice",
        "doc_to_text": "prompt",
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": 2.0},
    }
    (tmp_path / "yaml").mkdir()
    (tmp_path / "yaml" / "task.yaml").write_text(yaml.safe_dump(task))
    manager = functools.partial(package.TaskManager, include_defaults=False, include_path=str(tmp_path / "yaml"))
    monkeypatch.setattr(package, "TaskManager", manager)
    return tmp_path


@pytest.mark.usefixtures("in_this_process", "tasks")
def test_any_task_is_run_by_its_name(harness: Harness) -> None:
    what = ("eval", "--bench", "lm_eval:counted_facts", "--model", "mini:llama")
    scores = harness(*what, "--json").scores
    found = scores["counted_facts"]["acc (%)"]
    rows = [json.loads(line) for line in (Path(scores["folder"]) / "rows.jsonl").read_text().splitlines()]
    assert found["value"] == pytest.approx(100 * sum(row["values"]["acc,none"] for row in rows) / N)
    assert found["ci95"][0] <= found["value"] <= found["ci95"][1]
    assert (scores["n"], scores["task_versions"], scores["chat_template"]) == (N, {"counted_facts": "2.0"}, "off")
    assert "acc (%)" in harness(*what).out
    assert harness(*what, "--limit", "5", "--json").scores["n"] == 5


@pytest.mark.usefixtures("tasks")
@pytest.mark.parametrize("shots", [0, 3])
def test_a_task_is_asked_with_the_examples_that_are_wanted(base: Path, shots: int) -> None:
    rows, results = evaluate([AskedTask("counted_facts", shots, "2.0")], TaskAsking(limit=4), base, "transformers")
    assert results["shots"]["counted_facts"] == shots
    assert {row.id for row in rows} == {f"counted_facts/{n}" for n in range(4)}


@pytest.mark.usefixtures("in_this_process")
def test_data_that_is_not_there_is_one_line(harness: Harness, tasks: Path) -> None:
    (tasks / "test.jsonl").unlink()
    outcome = harness("eval", "--bench", "lm_eval:counted_facts", "--model", "mini:llama")
    assert outcome.exit_code == 2
    assert "the data of lm-eval's task counted_facts cannot be loaded" in outcome.err.splitlines()[-1]


@pytest.mark.usefixtures("tasks")
def test_prefetch_takes_a_task(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # a test before may have begun offline
    outcome = harness("prefetch", "lm_eval:counted_facts")
    assert (outcome.exit_code, outcome.out) == (0, "lm-eval's counted_facts  is there\n"), outcome.err


def test_no_task_is_asked_of_the_network(monkeypatch: pytest.MonkeyPatch, base: Path, tasks: Path) -> None:
    import socket

    def refuse(*_: Any, **__: Any) -> Any:
        pytest.fail("a socket is opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    evaluate([AskedTask("counted_facts")], TaskAsking(limit=2), base, "transformers")

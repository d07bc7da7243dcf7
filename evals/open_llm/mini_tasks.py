"""The six tasks of the leaderboard in the embedded world: questions in files, and how lm-eval is to ask them.

Each stands for one of the six, is asked as that one is, and has its metric; all are asked without examples, as base
models of the world have learnt to answer questions.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evals.lm_eval.run import probability_of_true_answers
from harness.engine.artifacts import Artifact, Output, step
from harness.mini.questions import Question, questions

SIZES = {
    "told_facts": 250,
    "completion": 250,
    "facts_from_text": 250,
    "misconceptions": 80,
    "which_of_two": 250,
    "counting": 250,
}
"""How many questions of each family there are at most: of misconceptions the world has hardly more."""

FAMILIES = {
    "arc_challenge": "told_facts",
    "hellaswag": "completion",
    "mmlu": "facts_from_text",
    "truthfulqa": "misconceptions",
    "winogrande": "which_of_two",
    "gsm8k": "counting",
}
"""By the leaderboard's task, the family of questions that stands for it."""

TEST = "test.jsonl"
_BY_LIKELIHOOD = {
    "output_type": "multiple_choice",
    "doc_to_text": "prompt",
    "doc_to_choice": "choices",
    "doc_to_target": "answer",
}
_FIRST_WORD = [{"function": "regex", "regex_pattern": "(\\w+)"}, {"function": "take_first"}]
_IN_WORDS = {
    "output_type": "generate_until",
    "doc_to_text": "prompt",
    "doc_to_target": "answer",
    "generation_kwargs": {"until": ["."], "do_sample": False, "temperature": 0.0, "max_gen_toks": 8},
    "filter_list": [{"name": "strict-match", "filter": _FIRST_WORD}],
}


@step(version=1)
def write_questions(out: Output, *, family: str, size: int, world: str) -> None:
    """Write the first `size` questions of a family of the world, one JSON object a line, as lm-eval reads data.

    The right choice comes first where the task of the leaderboard has it so. `world` identifies the mini world's code.
    """
    asked = questions(family, "test", min(size, SIZES[family]))
    lines = (json.dumps(_document(family, question)) + "\n" for question in asked)
    (out.folder / TEST).write_text("".join(lines), encoding="utf-8")
    out.counts["rows"] = len(asked)


def _document(family: str, question: Question) -> dict[str, Any]:
    choices = question.choices
    if family == FAMILIES["truthfulqa"]:
        choices = (question.answer, *(each for each in choices if each != question.answer))
    answer = choices.index(question.answer) if choices else question.answer
    labels = [int(each == question.answer) for each in choices]
    return {
        "id": question.id,
        "prompt": question.prompt,
        "choices": choices,
        "answer": answer,
        "mc2_targets": {"choices": choices, "labels": labels},
    }


def task_config(task: str, written: Artifact, cache: Path) -> Mapping[str, Any]:
    """Return the configuration of a task on the questions that are `written`; `cache` is for the library that reads
    them."""
    files = {"test": str(written.folder / TEST)}
    asked = _IN_WORDS if task == "gsm8k" else _BY_LIKELIHOOD
    return {
        "task": task,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": files, "cache_dir": str(cache)},
        "test_split": "test",
        "num_fewshot": 0,
        "metric_list": [{"metric": _METRICS[task], "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": 1.0},
        **asked,
        **_own_metric(task),
    }


_METRICS = {
    "arc_challenge": "acc_norm",
    "hellaswag": "acc_norm",
    "mmlu": "acc",
    "truthfulqa": "acc",
    "winogrande": "acc",
    "gsm8k": "exact_match",
}


def _own_metric(task: str) -> dict[str, Any]:
    """Return how lm-eval computes TruthfulQA's mc2, the share of probability that true answers have."""
    if task != "truthfulqa":
        return {}
    return {"process_results": probability_of_true_answers()}

"""The one place that calls lm-eval: `simple_evaluate` on a checkpoint. It is imported by the steps that run it alone.

lm-eval is an extra of this package; `installed_version` tells whether it is there without importing it.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from pathlib import Path
from typing import Any

from evals.lm_eval.rows import AskedTask, TaskAsking, TaskItem
from harness.errors import UserError, nearest
from harness.models.generator import Engine
from harness.models.hf import load_pretrained, load_tokenizer

BATCH_SIZE = 64
"""Requests that the processor computes at once. On a GPU lm-eval finds the largest batch that fits."""
_GROUPS_OF_MMLU = ("mmlu_stem", "mmlu_other", "mmlu_social_sciences", "mmlu_humanities")
"""Groups of tasks inside a group, which have versions of their own."""
_INSTALL = 'pip install "preference-harness[lm-eval]"'
LocalTask = Mapping[str, Any]
"""The configuration of a task that lm-eval does not have, with the keys of its YAML files."""


def installed_version() -> str:
    """Return the version of lm-eval. Raises UserError where it is not installed."""
    try:
        return version("lm_eval")
    except PackageNotFoundError:
        raise UserError(f"this needs lm-eval, which is not installed; {_INSTALL}") from None


def evaluate(
    tasks: Sequence[AskedTask],
    asking: TaskAsking,
    checkpoint: Path,
    engine: Engine,
    local: Sequence[LocalTask] = (),
) -> tuple[list[TaskItem], dict[str, Any]]:
    """Return the items of some of lm-eval's tasks, or of `local` ones of ours, and lm-eval's own results of them.

    The model is read as everywhere in this package; prompts, log-likelihoods and metrics are lm-eval's own.

    Raises UserError for a task that there is not, one of another version, data that is not there, and a checkpoint
    without a chat template that is to be asked through it.
    """
    with _silenced():
        specs, manager = _local(local) if local else _known(tasks)
        found = _evaluated(specs, manager, asking, _language_model(checkpoint, engine, asking.chat_template))
    for task in tasks:
        _require_version(task, found["versions"])
    return _items(found["samples"], found["versions"]), _own_results(found)


def fetch_task(name: str) -> Iterator[str]:
    """Fetch the data of a task, as loading it does, and yield a line on it. Raises UserError where it cannot be had."""
    installed_version()
    with _silenced():
        _known([AskedTask(name)])
    yield f"lm-eval's {name}  is there"


def probability_of_true_answers() -> Callable[..., dict[str, float]]:
    """Return lm-eval's function for TruthfulQA's mc2: the probability of true answers, of that of all of them."""
    from lm_eval.tasks.truthfulqa.utils import process_results_mc2

    checked: Callable[..., dict[str, float]] = process_results_mc2
    return checked


def instruction_checkers() -> tuple[Collection[str], Callable[..., dict[str, Any]]]:
    """Return the instructions that lm-eval's IFEval knows, and its function from a row and answers to what is followed.

    Of its language detection and of what it draws at random the seeds are the caller's. NLTK's data must be there.
    """
    from lm_eval.tasks.ifeval import instructions_registry, utils

    return instructions_registry.INSTRUCTION_DICT, utils.process_results


def _local(configs: Sequence[LocalTask]) -> tuple[list[Any], Any]:
    from lm_eval.tasks import TaskManager

    return [dict(each) for each in configs], TaskManager(include_defaults=False)


def _known(tasks: Sequence[AskedTask]) -> tuple[list[Any], Any]:
    """Return what `simple_evaluate` takes as tasks, whose data is there, and the manager that knows them."""
    from lm_eval.tasks import TaskManager

    manager = TaskManager()
    for task in tasks:
        if task.name not in manager.all_tasks:
            guess = nearest(task.name, manager.all_tasks)
            hint = f"; did you mean {guess!r}?" if guess else ""
            raise UserError(f"lm-eval has no task {task.name!r}{hint} (`lm-eval ls tasks` lists all of them)")
    specs = [_with_shots(task) for task in tasks]
    for task, spec in zip(tasks, specs, strict=True):
        _load(task.name, spec, manager)
    return specs, manager


def _with_shots(task: AskedTask) -> Any:
    """Return a task with a number of examples as a group of one: lm-eval takes other settings of a task in groups."""
    if task.shots is None:
        return task.name
    part = {"task": task.name, "num_fewshot": task.shots}
    return {"group": f"{task.name} with {task.shots} examples", "task": [part]}


def _evaluated(specs: list[Any], manager: Any, asking: TaskAsking, model: Any) -> dict[str, Any]:
    from lm_eval import simple_evaluate

    found: dict[str, Any] = simple_evaluate(
        model=model,
        tasks=specs,
        limit=asking.limit,
        apply_chat_template=asking.chat_template,
        fewshot_as_multiturn=asking.chat_template,
        task_manager=manager,
        bootstrap_iters=0,  # intervals are this package's own
        log_samples=True,
    )
    return found


def _language_model(checkpoint: Path, engine: Engine, chat_template: bool) -> Any:
    """Return the checkpoint as lm-eval takes models."""
    tokenizer = load_tokenizer(checkpoint)
    if chat_template and not tokenizer.chat_template:
        raise UserError(f"the tokenizer in {checkpoint} has no chat template, through which it is to be asked")
    if engine == "vllm":
        from lm_eval.models.vllm_causallms import VLLM

        return VLLM(pretrained=str(checkpoint), batch_size="auto")
    import torch
    from lm_eval.models.huggingface import HFLM

    on_gpu = torch.cuda.is_available()
    model = load_pretrained(checkpoint, "cuda" if on_gpu else "cpu")
    return HFLM(pretrained=model, tokenizer=tokenizer, batch_size="auto" if on_gpu else BATCH_SIZE)


def _items(samples: Mapping[str, Sequence[Mapping[str, Any]]], versions: Mapping[str, Any]) -> list[TaskItem]:
    """Return a row for each item: lm-eval has a sample of it for each filter."""
    rows: dict[str, TaskItem] = {}
    for task, of_task in samples.items():
        for sample in of_task:
            id = f"{task}/{sample['doc_id']}"
            values = {
                f"{metric},{sample['filter']}": float(sample[metric])
                for metric in sample["metrics"]
                if isinstance(sample[metric], bool | int | float)
            }
            if id in rows:
                rows[id].values.update(values)
            else:
                answer = str(sample["filtered_resps"])
                rows[id] = TaskItem(
                    id, task, str(versions.get(task)), sample["prompt_hash"], str(sample["target"]), answer, values
                )
    return list(rows.values())


def _require_version(task: AskedTask, versions: Mapping[str, Any]) -> None:
    """Raise UserError where a task is of another version than the one that its results are kept under."""
    parts = {name: str(each) for name, each in versions.items() if name.startswith(f"{task.name}_")}
    for name, each in (parts or {task.name: str(versions.get(task.name))}).items():
        if task.version and each != task.version and name not in _GROUPS_OF_MMLU:
            raise UserError(
                f"the task {name} is of version {each} in lm-eval {installed_version()}, and {task.version} is meant;"
                f" {_INSTALL} again"
            )


def _own_results(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return lm-eval's own numbers by task and by group, and what they rest on."""
    return {
        "lm_eval": installed_version(),
        "results": _numbers(found["results"]),
        "groups": _numbers(found.get("groups") or {}),
        "versions": {name: str(each) for name, each in found["versions"].items()},
        "shots": dict(found["n-shot"]),
        "higher_is_better": {name: dict(of) for name, of in found["higher_is_better"].items()},
    }


def _numbers(results: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    return {
        name: {
            metric: float(value)
            for metric, value in of.items()
            if isinstance(value, int | float) and not isinstance(value, bool) and "_stderr" not in metric
        }
        for name, of in results.items()
    }


def _load(task: str, spec: Any, manager: Any) -> None:
    """Load the data of a task. Raises UserError where it, or a package, is missing."""
    try:
        manager.load(spec)
    except ImportError as error:
        raise UserError(f"the task {task} of lm-eval needs a package that is not installed: {error}") from None
    except (OSError, ValueError) as error:  # of the library that loads data sets
        mend = f"run `harness prefetch lm_eval:{task}` where there is a network"
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"the data of lm-eval's task {task} cannot be loaded ({message}); {mend}") from error


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep lm-eval's advice and bars to itself: a step reports through its `Output`. No reading of files is counted.

    The library of data sets would tell a server of each, of local files too.
    """
    from datasets import config

    config.HF_UPDATE_DOWNLOAD_COUNTS = False
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    with redirect_stderr(StringIO()), redirect_stdout(StringIO()):
        yield

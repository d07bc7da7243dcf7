"""The speed of one device of this machine with one model of the scale, measured in two minutes."""

import gc
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.engine.artifacts import Artifact, ancestry
from harness.engine.compute import Compute
from harness.engine.main_memory import main_memory
from harness.engine.scratch import temporary_folder
from harness.engine.store import Store, require_writable
from harness.errors import UserError
from harness.models.memory import shape_in
from harness.models.references import checkpoint_of, load_generator, resolve
from harness.plan.hardware import MEASURED_HERE, Device, Kind, Throughput, load_hardware
from harness.recipes.recipe import Recipe
from harness.records import PreferencePair, Prompt, Response
from harness.steps.estimates import load_estimates
from harness.training.job import Progress
from harness.training.losses import Dpo
from harness.training.settings import TrainingSettings
from methods.base import training_settings

SECONDS = 20.0
"""That each kind of work is measured for, after its first step."""

DOUBT = 0.15
"""How far off another model or other lengths may be, beside what is measured."""

ROWS = 512
FILLER, OTHER_FILLER = " the", " of"


class _Enough(Exception):
    """Measured for long enough."""


@dataclass(frozen=True, slots=True)
class _Trial:
    """The workload of a measurement: rows like the scale's, in length and number, and its training and sampling."""

    folder: Path
    reference: str
    prompt: str
    answer: str
    tokens: int
    """Of a prompt with its answer, as the model counts them."""
    settings: TrainingSettings
    """With what all processes take at once as the batch."""
    compute: Compute
    recipe: Recipe


def calibrate(recipe: Recipe, model: str, path: Path, say: Callable[[str], None]) -> None:
    """Measure the scale's base model `model` on one device and writes `path`, which plans then take speeds from.

    `say` hears what is measured. Raises UserError where the model is not at hand.
    """
    require_writable(path.parent)
    with temporary_folder() as aside, _one_thread():
        trial = _trial(recipe, model, aside)
        shape, device = shape_in(trial.folder), _device_name()
        rows = []
        for kind, measure in _MEASURES.items():
            try:
                rate = measure(trial, aside / kind)
                _free()
            except UserError as error:
                say(f"{kind}: not measured: {error}")
                continue
            say(f"{kind}: {rate:,.0f} tokens/s of one device")
            rows.append(Throughput(device, kind, shape.parameters, rate, 1 - DOUBT, 1 + DOUBT, MEASURED_HERE))
    path.write_text(json.dumps(_measured(recipe, trial.reference, device, rows), indent=1) + "\n", encoding="utf-8")


def _trial(recipe: Recipe, model: str, aside: Path) -> _Trial:
    role = recipe.base_models[model]
    store = Store(aside / "store")
    artifact = _built(role.artifact(), store)
    folder = checkpoint_of(artifact.folder)
    estimate = load_estimates().of_data(_data(recipe))
    prompt, answer, tokens = _filled(folder, int(estimate.prompt), int(estimate.answer))
    compute = _compute(recipe)
    first = next(iter(training_settings(recipe.method(model, next(iter(recipe.methods)))).values()))
    settings = replace(first, global_batch_size=compute.processes * _micro_batch(recipe, first), epochs=1)
    tokens = min(tokens, settings.max_length)
    return _Trial(folder, resolve(artifact.folder), prompt, answer, tokens, settings, compute, recipe)


def _built(artifact: Artifact, store: Store) -> Artifact:
    for one in ancestry([artifact]):
        store.build(one)
    return store.bind(artifact)


def _filled(folder: Path, prompt_tokens: int, answer_tokens: int) -> tuple[str, str, int]:
    """Make a prompt and an answer of so many words, and count how many tokens they come to with the chat format."""
    from harness.models.chat import answer_ids, conversation, prompt_ids
    from harness.models.hf import load_tokenizer

    prompt, answer = (FILLER * prompt_tokens).strip(), (FILLER * answer_tokens).strip()
    tokenizer = load_tokenizer(folder)
    messages = conversation(Prompt("0", prompt))
    return prompt, answer, len(prompt_ids(tokenizer, messages)) + len(answer_ids(tokenizer, answer))


def _data(recipe: Recipe) -> str:
    """Return the first data set of the recipe."""
    return next(iter(recipe.data.values())).reference


def _micro_batch(recipe: Recipe, settings: TrainingSettings) -> int:
    """Return how many rows one process takes at once."""
    return recipe.compute.micro_batch_size or max(1, settings.global_batch_size // recipe.compute.processes)


def _compute(recipe: Recipe) -> Compute:
    """Return the scale's compute settings, where there are devices for its processes; else one process that uses memory
    alike."""
    import torch

    if 1 < recipe.compute.processes <= torch.cuda.device_count():
        return recipe.compute
    return Compute(gradient_checkpointing=recipe.compute.gradient_checkpointing)


def _sft(trial: _Trial, out: Path) -> float:
    from harness.training.sft import run_sft

    rows = [Response(Prompt(str(i), trial.prompt), trial.answer, "filler") for i in range(_rows(trial))]
    steps = _Steps()
    with steps.until_enough(out):
        run_sft(trial.folder, rows, trial.settings, seed=0, out=out, track=steps.track, compute=trial.compute)
    return steps.rate * trial.settings.global_batch_size * trial.tokens / trial.compute.processes


def _preference(trial: _Trial, out: Path) -> float:
    from harness.models.hf import load_tokenizer
    from harness.training.preferences import run_preferences
    from harness.training.rows import PairEncoding, ReferenceLogProbabilities

    count = _rows(trial)
    other = trial.answer.replace(FILLER.strip(), OTHER_FILLER.strip())  # else a token tree would share its tokens
    pairs = [PreferencePair(Prompt(str(i), trial.prompt), trial.answer, other) for i in range(count)]
    references = [ReferenceLogProbabilities(str(i), (-1.0, -1.0)) for i in range(count)]
    loss, steps = Dpo(beta=0.1), _Steps()
    with steps.until_enough(out):
        run_preferences(
            trial.folder,
            pairs,
            references,
            loss,
            trial.settings,
            seed=0,
            out=out,
            track=steps.track,
            compute=trial.compute,
        )
    tokens = len(PairEncoding(load_tokenizer(trial.folder), trial.settings.max_length)(pairs[0]).tree.ids)
    return steps.rate * trial.settings.global_batch_size * tokens / trial.compute.processes


def _rows(trial: _Trial) -> int:
    return max(ROWS, trial.settings.global_batch_size * 40)


def _generation(trial: _Trial, out: Path) -> float:
    """Draw with growing limits, until one batch takes long enough to measure."""
    from harness.models.chat import conversation

    sampling = trial.recipe.sampling
    generator = load_generator(trial.reference, sampling.engine, trial.recipe.compute)
    messages = conversation(Prompt("0", trial.prompt))
    size = min(256, generator.preferred_batch_size(sampling.max_new_tokens))
    rate, limit = 0.0, min(8, sampling.max_new_tokens)
    try:
        while True:
            started = time.monotonic()
            drawn = generator.complete([messages] * size, replace(sampling, max_new_tokens=limit), list(range(size)))
            seconds = time.monotonic() - started
            rate = sum(len(each.token_ids) for each in drawn) / seconds
            if seconds > SECONDS / 4 or limit == sampling.max_new_tokens:
                return rate
            limit = min(limit * 4, sampling.max_new_tokens)
    finally:
        generator.close()


def _likelihood(trial: _Trial, out: Path) -> float:
    from harness.models.chat import conversation
    from harness.models.hf import Likelihoods

    likelihoods, messages = Likelihoods(trial.folder), conversation(Prompt("0", trial.prompt))
    count = 4
    while True:
        started = time.monotonic()
        likelihoods.negative_log_likelihoods([messages] * count, [trial.answer] * count)
        seconds = time.monotonic() - started
        if seconds > SECONDS / 4 or count >= ROWS:
            return count * trial.tokens / seconds
        count *= 4


_MEASURES: dict[Kind, Callable[[_Trial, Path], float]] = {
    "sft": _sft,
    "preference": _preference,
    "generation": _generation,
    "likelihood": _likelihood,
}


class _Steps:
    """Hears of optimizer steps, and stops the training once enough have been timed."""

    def __init__(self) -> None:
        self._times: list[float] = []

    def track(self, work: int, unit: str, done: int = 0) -> Progress:
        """Start to count, as `Output.track` does."""
        return self

    def advance(self, count: int = 1) -> None:
        """Record the time of one more step, and stop the training once there are enough."""
        self._times.append(time.monotonic())
        if len(self._times) > 1 and self._times[-1] - self._times[0] > SECONDS:
            raise _Enough

    @contextmanager
    def until_enough(self, out: Path) -> Iterator[None]:
        """Train in this context, which ends once there are enough steps."""
        out.mkdir()
        with suppress(_Enough):
            yield

    @property
    def rate(self) -> float:
        """Steps a second, without the first, which everything is loaded for. Raises UserError for too few."""
        if len(self._times) < 2:
            raise UserError("too few training steps to measure a speed")
        return (len(self._times) - 1) / (self._times[-1] - self._times[0])


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread on processors, as a step does."""
    import torch

    before = torch.get_num_threads()
    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _free() -> None:
    """Free the memory of the last measurement for the next one."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _device_name() -> str:
    """Find the device of configs/hardware.yaml that this is; "this-machine" for none of them."""
    import torch

    if torch.cuda.is_available():
        name = torch.cuda.get_device_name(0)
        for known, device in load_hardware().devices.items():
            if device.known_as and device.known_as in name:
                return known
    return MEASURED_HERE


def _measured(recipe: Recipe, reference: str, device: str, rows: Sequence[Throughput]) -> dict[str, Any]:
    """Return the measurement in the form of configs/hardware.yaml."""
    import torch

    has_gpu = torch.cuda.is_available()
    count = torch.cuda.device_count() if has_gpu else len(os.sched_getaffinity(0))
    when = datetime.now(UTC).date().isoformat()
    description = f"{reference}, rows of the length of {_data(recipe)}, one device, {when}"
    return {
        "sources": {MEASURED_HERE: {"at": "harness plan --calibrate", "text": description}},
        "devices": {MEASURED_HERE: _this_device(has_gpu, count)} if device == MEASURED_HERE else {},
        "machines": {recipe.name: {"device": device, "devices": count}},
        "throughput": [asdict(row) for row in rows],
    }


def _this_device(has_gpu: bool, count: int) -> dict[str, Any]:
    """Describe a device that configs/hardware.yaml does not know; peaks play no part where speeds are measured."""
    import torch

    name = torch.cuda.get_device_name(0) if has_gpu else "core of this machine"
    memory = torch.cuda.get_device_properties(0).total_memory if has_gpu else main_memory().total / count
    device = Device(
        description=name,
        memory_gb=round(memory / 1e9, 1),
        tflops=1.0,
        bandwidth_gb=1.0,
        seconds_per_step=_ON_GPUS if has_gpu else _ON_CORES,
        is_gpu=has_gpu,
    )
    return {key: value for key, value in asdict(device).items() if value is not None}


_ON_GPUS = {"training": 60.0, "generation": 60.0, "likelihood": 30.0}
_ON_CORES = {"training": 4.0, "generation": 0.7, "likelihood": 1.0, "light": 0.3}

"""How fast training is on a GPU beside TRL's trainers as they come, and how much memory it takes: under ten minutes.

    .venv/bin/python benchmarks/gpu.py [--json gpu.json] [--tiny]

DPO, ORPO, SRPO and SFT at the shapes of SmolLM2-135M and Qwen2-1.5B, with random weights and rows of random words. Both
sides keep weights and AdamW's moments in float32 and compute in bfloat16, the batch of an optimizer step at once and
without gradient checkpointing; all else is the default of either. SRPO, which TRL does not have, is measured beside our
trainer with six plain sequences a pair.

Each contender is a process of its own, in which running out of memory is a result. It makes some optimizer steps to
warm up (compilers, allocator) and then those that are measured; so does the reference's pass, where it is one of its
own. Tokens a second are those of the plain sequences, each with its prompt, whichever side computes a prompt once.

The share of the device's peak is that of the matrix products of the tokens that a side does compute: a token takes 2
operations a weight of the layers' matrices, and 4 × heads × head width in each layer for every token that it attends
to; a scored one 2 × hidden width × vocabulary besides; three times that for forward and backward, four times with a
reference. This is the counting of Kaplan et al. 2020 (arXiv 2001.08361), section 2.1, but that attention to later
tokens, and logits that nobody scores, are not counted. The peak of memory is set beside what `harness plan` foretells.

With `--tiny`, a model of two small layers stands for both, and everything runs on a processor in a minute or two;
there, what goes wrong is exit code 1.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.gpu_work import LOSSES, SHAPES, SIDES, Contender, Tokens, device_peak, model_operations, tokens_of
from benchmarks.training_peers import (
    REVISION,
    conversations,
    save_random_model,
    score_plainly,
    trl_classes,
)
from harness.engine.compute import Compute
from harness.models.memory import ModelShape, shape_in
from harness.steps.cost import ScoredPairs
from harness.training.attention import FLEX
from harness.training.losses import Srpo
from harness.training.memory import RowSize, stage_memory
from harness.training.settings import TrainingSettings

SECONDS, SECONDS_EACH = 570, 90
"""The time of the whole script, and the most of it that one contender gets."""


class Clock:
    """The times at which batches were done."""

    def __init__(self) -> None:
        self._times: list[float] = []

    def advance(self, count: int = 1) -> None:
        """Note that a batch is done, also on the device."""
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self._times.append(time.perf_counter())

    def seconds(self, warm_up: int) -> float:
        """Return the seconds since as many batches; 0 where there were none."""
        return self._times[-1] - self._times[warm_up - 1] if self._times else 0.0


def our_trainer(contender: Contender, model: Path, rows: Sequence[Any], settings: TrainingSettings, out: Path) -> Any:
    """Return the trainer of a run, in which the policy is its own reference."""
    from harness.training.loop import make_job
    from harness.training.preferences import preference_trainer
    from harness.training.rows import PairEncoding, preference_rows, sft_rows
    from harness.training.sft import sft_trainer
    from harness.training.trainer import load_training_tokenizer

    loss, tokenizer = contender.loss, load_training_tokenizer(model, settings.max_length)
    if loss is None:
        job = make_job(model, settings, 0, out, compute(settings))
        return sft_trainer(job, sft_rows(rows, tokenizer, settings.max_length).dataset)
    job = make_job(model, settings, 0, out, compute(settings), loss, is_own_reference=loss.needs_reference)
    encoding = PairEncoding(tokenizer, settings.max_length, loss.sequences, revision_prompt=REVISION)
    return preference_trainer(job, preference_rows(rows, None, encoding).dataset)


def their_trainer(contender: Contender, model: Path, rows: Sequence[Any], settings: TrainingSettings, out: Path) -> Any:
    """Return TRL's trainer."""
    import torch
    from transformers import AutoModelForCausalLM

    from harness.models.hf import load_tokenizer

    trainer, config, extra = trl_classes(contender.loss)
    arguments = config(
        output_dir=str(out),
        learning_rate=settings.learning_rate,
        num_train_epochs=1,
        per_device_train_batch_size=settings.global_batch_size,
        max_length=settings.max_length,
        gradient_checkpointing=False,
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        **extra,
    )
    return trainer(
        model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32),
        args=arguments,
        train_dataset=conversations(rows),
        processing_class=load_tokenizer(model),
    )


def compute(settings: TrainingSettings) -> Compute:
    """Return what both sides have: one process, which takes the whole batch at once."""
    return Compute(micro_batch_size=settings.global_batch_size, gradient_checkpointing=False)


def trainer_of(contender: Contender, *given: Any) -> Any:
    """Return the contender's trainer; that of SRPO's other side is ours, with plain sequences."""
    if contender.side == "ours":
        return our_trainer(contender, *given)
    if isinstance(contender.loss, Srpo):
        score_plainly()
        return our_trainer(contender, *given)
    return their_trainer(contender, *given)


def train(trainer: Any) -> tuple[Clock, Clock]:
    """Train, and return the clocks of the reference's batches and of the optimizer steps."""
    from transformers import PrinterCallback, TrainerCallback

    reference, steps = Clock(), Clock()

    class Course(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if hasattr(trainer, "job") and trainer.job.is_own_reference:
                trainer.take_own_reference(lambda *_: reference)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            steps.advance()

    trainer.add_callback(Course())
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return reference, steps


def measure(contender: Contender, model: Path) -> dict[str, Any]:
    """Return what is measured of a contender, in this process; running out of memory is a result too."""
    import torch

    from harness.models.hf import load_tokenizer, silence_libraries

    silence_libraries()
    rows = contender.rows
    tokens = tokens_of(contender, rows, load_tokenizer(model))
    batch = contender.sizes.batches[contender.work]
    settings = TrainingSettings(
        1e-6, epochs=1, global_batch_size=batch, max_length=tokens.longest, precision="bfloat16"
    )
    with tempfile.TemporaryDirectory(prefix="gpu-") as scratch:
        try:
            trainer = trainer_of(contender, model, rows, settings, Path(scratch, "out"))
            clocks = train(trainer)
        except torch.OutOfMemoryError as error:
            return {"error": f"out of memory: {str(error).splitlines()[0]}", "peak_bytes": peak_bytes()}
    seconds = sum(clock.seconds(contender.sizes.warm_up) for clock in clocks)
    return (
        speed(contender, tokens, shape_in(model), seconds)
        | memory(contender, shape_in(model), settings)
        | attention(contender, trainer.model)
    )


def speed(contender: Contender, tokens: Tokens, shape: ModelShape, seconds: float) -> dict[str, Any]:
    """Return tokens and operations a second, of `seconds` for the measured steps of a contender with these tokens."""
    sizes, loss = contender.sizes, contender.loss
    measured = sizes.steps / (sizes.warm_up + sizes.steps)
    passes = 4 if loss is not None and loss.needs_reference else 3
    teraflops = measured * model_operations(shape, tokens, passes) / seconds / 1e12
    peak = device_peak(device_name())
    return {
        "steps": sizes.steps,
        "seconds": round(seconds, 3),
        "tokens_per_second": round(measured * tokens.plain / seconds, 1),
        "teraflops": round(teraflops, 6),
        "share_of_peak": None if peak is None else round(teraflops / peak, 4),
    }


def memory(contender: Contender, shape: ModelShape, settings: TrainingSettings) -> dict[str, Any]:
    """Return the peak of memory, and, of our own trainings, what `harness plan` foretells."""
    if contender.side == "theirs":
        return {"peak_bytes": peak_bytes(), "foretold_bytes": None}
    loss, length = contender.loss, settings.max_length
    size = ScoredPairs(loss.sequences, length).longest(None) if loss else RowSize(length)
    foretold = stage_memory(shape, settings, compute(settings), size=size, on_gpu=peak_bytes() is not None)
    return {"peak_bytes": peak_bytes(), "foretold_bytes": round(foretold.total)}


def attention(contender: Contender, model: Any) -> dict[str, Any]:
    """Return what the model attended with, and why not with flex attention where it might have been expected."""
    chosen = {"attention": model.config._attn_implementation}
    if contender.side == "theirs" or contender.loss is None or model.device.type != "cuda":
        return chosen
    return chosen if chosen["attention"] == FLEX else {**chosen, "flex_error": flex_error(model)}


def peak_bytes() -> int | None:
    """Return the most memory that tensors have taken on the device; None without one."""
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def flex_error(model: Any) -> str | None:
    """Return why one layer of the model cannot be trained with flex attention on this device; None where it can."""
    from harness.training.attention import try_flex_attention

    try:
        try_flex_attention(model.config, model.device, "bfloat16")
    except Exception as error:  # whatever a compiler meets
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None


def device_name() -> str:
    """Return the name of the device that all is measured on."""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "processor"


def make_model(shape: str, folder: Path) -> None:
    """Save the model of a shape, in bfloat16 as published ones are."""
    import torch
    from transformers import AutoConfig

    config = AutoConfig.for_model(
        **SHAPES[shape].config,
        tie_word_embeddings=True,
        max_position_embeddings=2048,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    save_random_model(config, folder, "cuda" if torch.cuda.is_available() else "cpu", "bfloat16")


def in_a_process(arguments: Sequence[str], seconds: float) -> dict[str, Any]:
    """Return the last line that this script prints with these arguments; what went wrong is under `error`."""
    if seconds <= 0:
        return {"error": "no time is left"}
    one_device = {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]}
    try:
        done = subprocess.run(
            [sys.executable, __file__, "--one", *arguments],
            capture_output=True,
            text=True,
            timeout=seconds,
            env={**os.environ, **one_device, "TOKENIZERS_PARALLELISM": "false"},
        )
    except subprocess.TimeoutExpired:
        return {"error": f"not done in {seconds:.0f} seconds"}
    if done.returncode:
        return {"error": [f"ended with {done.returncode}", *done.stderr.strip().splitlines()][-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def one(arguments: Sequence[str]) -> dict[str, Any]:
    """Do what `in_a_process` asks for: describe the device, make a model, or measure a contender."""
    match arguments:
        case ["device"]:
            versions = {name: version(name) for name in ("torch", "transformers", "trl")}
            return {"device": device_name(), "peak_teraflops": device_peak(device_name()), **versions}
        case ["model", shape, folder]:
            make_model(shape, Path(folder))
            return {}
        case [shape, work, side, folder]:
            return measure(Contender(shape, work, side), Path(folder))
    raise ValueError(f"unknown arguments {arguments}")


def compare(shapes: Sequence[str], seconds: float) -> Iterator[dict[str, Any]]:
    """Yield the device, and then what is measured of each contender, in so many seconds."""
    end = time.monotonic() + seconds

    def left() -> float:
        return min(end - time.monotonic(), SECONDS_EACH)

    yield in_a_process(["device"], left())
    for shape in shapes:
        with tempfile.TemporaryDirectory(prefix="gpu-") as folder:
            made = in_a_process(["model", shape, folder], left())
            for work in LOSSES:
                for side in SIDES:
                    found = made if "error" in made else in_a_process([shape, work, side, folder], left())
                    yield {"model": shape, "work": work, "side": side, **found}


def line(result: dict[str, Any]) -> str:
    """Return a result as a line to read."""
    name = "{model} {work}, {side}".format(**result)
    if "error" in result:
        return f"{name}: {result['error']}"
    share, peak, foretold = (result[each] for each in ("share_of_peak", "peak_bytes", "foretold_bytes"))
    parts = [
        f"{result['tokens_per_second']:,.0f} tokens/s",
        "" if share is None else f"{share:.0%} of the peak",
        "" if peak is None else f"{peak / 2**30:.2f} GiB",
        "" if foretold is None else f"{foretold / 2**30:.2f} GiB foretold",
        result["attention"],
    ]
    return f"{name}: {', '.join(part for part in parts if part)}"


def main() -> None:
    """Print a line for each contender, and write all as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("gpu.json"))
    parser.add_argument("--tiny", action="store_true", help="two small layers in the place of both models")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options.one)))
        return
    shapes = [name for name in SHAPES if (name == "tiny") == options.tiny]
    described, *results = [_shown(each) for each in compare(shapes, SECONDS)]
    options.json.write_text(json.dumps({**described, "results": results}, indent=2) + "\n", encoding="utf-8")
    if options.tiny and any("error" in result for result in results):
        sys.exit(1)


def _shown(result: dict[str, Any]) -> dict[str, Any]:
    print(line(result) if "model" in result else json.dumps(result), flush=True)
    return result


if __name__ == "__main__":
    main()

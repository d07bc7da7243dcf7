"""How fast training is beside TRL's trainers as they come: the same rows, from the same weights, on one core.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/training_throughput.py [--work dpo-mini ...] [--repeats 3] [--json]

A stage is measured whole, from rows of text to a trained model: tokens, the reference's log-probabilities, optimizer
steps. TRL's settings are its defaults but for what both must have alike: batch, length, learning rate, float32, no
gradient checkpointing, nothing logged or saved. SRPO, which TRL does not have, is measured beside the same trainer with
six plain sequences a pair, each with its own prompt and all its logits. Every measurement is a process of its own; the
seconds are processor time, the least of the repeats, and the memory is the peak above what the process had before.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.training_peers import (
    REVISION,
    SPECIAL,
    Silent,
    conversations,
    random_pairs,
    save_random_model,
    score_plainly,
    trl_classes,
)
from harness.engine.compute import Compute
from harness.mini.roles import read_role
from harness.models.references import checkpoint_folder
from harness.records import PreferencePair, Response
from harness.training.losses import Dpo, Orpo, PreferenceLoss, Srpo
from harness.training.settings import TrainingSettings

WORDS = 32_000
ANSWER = 200
"""Words of a prompt, and of each answer, in the work on 10 million parameters."""


@dataclass(frozen=True)
class Work:
    """A stage to measure: its loss (none for SFT), rows and batch, and what it should reach beside the other side."""

    loss: PreferenceLoss | None
    mini: bool
    rows: int
    batch: int
    ratio: float
    memory: float | None = None


WORKS = {
    "dpo-mini": Work(Dpo(beta=0.1), mini=True, rows=640, batch=32, ratio=1.7),
    "dpo-10m": Work(Dpo(beta=0.1), mini=False, rows=48, batch=16, ratio=2.0, memory=0.5),
    "orpo-10m": Work(Orpo(weight=0.1), mini=False, rows=48, batch=16, ratio=1.7),
    "srpo-10m": Work(Srpo(beta=0.1, alpha=0.5), mini=False, rows=32, batch=8, ratio=2.5),
    "sft-mini": Work(None, mini=True, rows=1280, batch=32, ratio=1.2),
}


def settings(work: Work) -> TrainingSettings:
    """Return the settings of both sides."""
    length = 320 if work.mini else 4 * ANSWER
    return TrainingSettings(1e-6, epochs=1, global_batch_size=work.batch, max_length=length)


def rows_of(work: Work) -> list[PreferencePair] | list[Response]:
    """Return the rows of the embedded world, or of random words."""
    if work.loss is None:
        return [row for row in read_role("demonstrations", work.rows) if isinstance(row, Response)]
    if work.mini:
        return [row for row in read_role("preference_data", work.rows) if isinstance(row, PreferencePair)]
    return random_pairs(work.rows, WORDS, prompt=(ANSWER, ANSWER), answer=(ANSWER, ANSWER))


def model_of(work: Work, folder: Path) -> Path:
    """Return the checkpoint to train: the embedded Llama, or a random one with 10 million parameters in `folder`."""
    from transformers import LlamaConfig

    if work.mini:
        return checkpoint_folder("mini:llama")
    config = LlamaConfig(
        vocab_size=WORDS + len(SPECIAL),
        hidden_size=256,
        intermediate_size=640,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        eos_token_id=2,
        pad_token_id=0,
    )
    save_random_model(config, folder)
    return folder


def train_ours(work: Work, model: Path, rows: Sequence[Any], out: Path) -> None:
    """Train as a run does: the reference's pass, then the stage."""
    from harness.training.preferences import run_preferences
    from harness.training.reference import ReferenceScorer
    from harness.training.sft import run_sft

    same: dict[str, Any] = {"seed": 0, "out": out, "track": lambda *_: Silent(), "compute": compute()}
    if work.loss is None:
        run_sft(model, rows, settings(work), **same)
        return
    references = None
    if work.loss.needs_reference:
        scorer = ReferenceScorer(model, settings(work).max_length, "float32", work.loss.sequences, REVISION)
        by_length = sorted(rows, key=lambda pair: len(pair.prompt.text) + max(len(pair.chosen), len(pair.rejected)))
        references = [
            row for start in range(0, len(rows), 64) for row in scorer.log_probabilities(by_length[start : start + 64])
        ]
    run_preferences(model, rows, references, work.loss, settings(work), revision_prompt=REVISION, **same)


def compute() -> Compute:
    """Return what a run on a machine without a GPU has."""
    return Compute(gradient_checkpointing=False)


def train_theirs(work: Work, model: Path, rows: Sequence[Any], out: Path) -> None:
    """Train with TRL's trainer as it comes; SRPO with plain sequences in ours."""
    if isinstance(work.loss, Srpo):
        train_plain(work, model, rows, out)
        return
    trainer, config, extra = trl_classes(work.loss)
    arguments = config(
        output_dir=str(out),
        learning_rate=1e-6,
        num_train_epochs=1,
        per_device_train_batch_size=work.batch,
        max_length=settings(work).max_length,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        **extra,
    )
    from transformers import AutoModelForCausalLM

    from harness.models.hf import load_tokenizer

    trainer(
        model=AutoModelForCausalLM.from_pretrained(model),
        args=arguments,
        train_dataset=conversations(rows),
        processing_class=load_tokenizer(model),
    ).train()


def train_plain(work: Work, model: Path, rows: Sequence[Any], out: Path) -> None:
    """Train in our trainer with every sequence of a pair by itself, in the reference's pass too."""
    score_plainly()
    train_ours(work, model, rows, out)


SIDES: dict[str, Callable[[Work, Path, Sequence[Any], Path], None]] = {"ours": train_ours, "theirs": train_theirs}


def peak_memory() -> int:
    """Return the most bytes that this process has had; getrusage would begin with those of its parent."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def measure(name: str, side: str) -> dict[str, float]:
    """Return the processor seconds and the bytes above before of one side, in this process."""
    import torch

    from harness.models.hf import silence_libraries

    silence_libraries()
    torch.set_num_threads(1)
    work, train = WORKS[name], SIDES[side]
    trl_classes(work.loss) if not isinstance(work.loss, Srpo) else None  # imports are no part of the work
    with tempfile.TemporaryDirectory(prefix="training-") as scratch:
        model, rows = model_of(work, Path(scratch, "model")), rows_of(work)
        before = peak_memory()
        started = time.process_time()
        train(work, model, rows, Path(scratch, "out"))
        seconds = time.process_time() - started
    return {"seconds": seconds, "bytes": peak_memory() - before}


def compare(name: str, repeats: int) -> dict[str, Any]:
    """Return what was measured of one work, both sides in turns."""
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(repeats):
        for side, measured in found.items():
            command = [sys.executable, __file__, "--one", name, side]
            answer = subprocess.run(
                command, check=True, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
            )
            measured.append(json.loads(answer.stdout.splitlines()[-1]))
    least = {side: min(each["seconds"] for each in measured) for side, measured in found.items()}
    memory = {side: min(each["bytes"] for each in measured) for side, measured in found.items()}
    return {
        "work": name,
        "seconds": round(least["ours"], 2),
        "their_seconds": round(least["theirs"], 2),
        "times_as_fast": round(least["theirs"] / least["ours"], 2),
        "to_reach": WORKS[name].ratio,
        "mebibytes": round(memory["ours"] / 2**20),
        "their_mebibytes": round(memory["theirs"] / 2**20),
        "memory_ratio": round(memory["ours"] / memory["theirs"], 2),
        "memory_to_reach": WORKS[name].memory,
    }


def main() -> None:
    """Print a line for each work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", choices=WORKS, nargs="+", default=list(WORKS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", nargs=2, metavar=("WORK", "SIDE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*options.one)))
        return
    for name in options.work:
        result = compare(name, options.repeats)
        if options.json:
            print(json.dumps(result), flush=True)
        else:
            print(
                "{work}: {seconds} s, theirs {their_seconds} s: {times_as_fast} times as fast (to reach {to_reach});"
                " {mebibytes} MiB, theirs {their_mebibytes} MiB: {memory_ratio}".format(**result),
                flush=True,
            )


if __name__ == "__main__":
    main()

"""What our training costs beside a bare loop in torch: tokens per second of SFT and DPO, on the same batches.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/training_throughput.py [--model FOLDER] [--precision bfloat16] ...

Both train the same rows from the same weights, in the same order and the same forward passes, with AdamW and clipped
gradients; the loop computes the loss from the logits with torch alone and logs nothing. Loading, rendering, the
reference's log-probabilities and saving are left out of both. Tokens are those of the rows, padding left out; DPO's
are of both answers, each with its prompt. The target is a ratio of 0.9 or more. `--json` prints what a table of speeds
needs.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from harness.engine.compute import Compute
from harness.mini.roles import read_role
from harness.models.hf import load_checkpoint
from harness.models.references import checkpoint_folder
from harness.records import PreferencePair, Response
from harness.training.batches import EpochBatches, Spread, spread
from harness.training.losses import Dpo
from harness.training.preferences import run_preferences
from harness.training.rows import (
    LENGTH,
    REFERENCE,
    UNSCORED,
    PairEncoding,
    ReferenceLogProbabilities,
    TrainingRows,
    preference_rows,
    sft_rows,
)
from harness.training.settings import TrainingSettings
from harness.training.sft import run_sft

WARM_UP = 2
"""Optimizer steps before the clock starts."""
BETA = 0.1
LEARNING_RATE = 1e-6


class Clock:
    """Seconds from the end of the warm-up to the last step."""

    def __init__(self) -> None:
        self._steps, self._started, self.seconds = 0, 0.0, 0.0

    def advance(self, count: int = 1) -> None:
        """`count` more steps are done."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self._steps += count
        now = time.perf_counter()
        if self._steps == WARM_UP:
            self._started = now
        self.seconds = now - self._started


def bare(
    folder: Path, rows: TrainingRows, settings: TrainingSettings, how: Spread, loss_of: Callable[..., Any]
) -> float:
    """Seconds of the bare loop after its warm-up."""
    model, tokenizer = load_checkpoint(folder)
    model = model.float().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=True)
    batches = list(EpochBatches(rows.dataset[LENGTH][:], how, 0, seed=0))
    clock = Clock()
    for start in range(0, len(batches), how.accumulation):
        passes = [[rows.dataset[i] for i in batch.rows] for batch in batches[start : start + how.accumulation]]
        whole = sum(scored(row) for batch in passes for row in batch)
        for batch in passes:
            with torch.autocast(model.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
                loss = loss_of(model, batch, tokenizer.pad_token_id)
            (loss / whole).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        clock.advance()
    return clock.seconds


def scored(row: dict[str, Any]) -> int:
    """What a row counts in the mean: its scored tokens, or one pair."""
    return sum(label != UNSCORED for label in row["labels"]) if "labels" in row else 1


def padded(rows: Sequence[Sequence[int]], filler: int, device: torch.device) -> torch.Tensor:
    """[rows, longest row]."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows], device=device)


def token_log_probabilities(model: Any, ids: list[list[int]], labels: list[list[int]], pad: int) -> torch.Tensor:
    """Log-probabilities of the labels, 0 elsewhere: [rows, longest row - 1]."""
    device = model.device
    mask = padded([[1] * len(row) for row in ids], 0, device)
    logits = model(input_ids=padded(ids, pad, device), attention_mask=mask, use_cache=False).logits[:, :-1].float()
    wanted = padded(labels, UNSCORED, device)[:, 1:]
    return -torch.nn.functional.cross_entropy(logits.transpose(1, 2), wanted, ignore_index=UNSCORED, reduction="none")


def sft_loss(model: Any, batch: list[dict[str, Any]], pad: int) -> torch.Tensor:
    """Summed over scored tokens."""
    ids, labels = ([row[name] for row in batch] for name in ("input_ids", "labels"))
    return -token_log_probabilities(model, ids, labels, pad).sum()


def dpo_loss(model: Any, batch: list[dict[str, Any]], pad: int) -> torch.Tensor:
    """Summed over pairs."""
    sides = [side_of(row, number) for number in (0, 1) for row in batch]
    ids, labels = [ids for ids, _ in sides], [labels for _, labels in sides]
    chosen, rejected = token_log_probabilities(model, ids, labels, pad).sum(dim=1).chunk(2)
    reference = torch.tensor([row[REFERENCE][0] - row[REFERENCE][1] for row in batch])
    return -torch.nn.functional.logsigmoid(BETA * (chosen - rejected - reference.to(chosen.device))).sum()


def side_of(row: dict[str, Any], number: int) -> tuple[list[int], list[int]]:
    """Ids and labels of one sequence of a row's token tree."""
    ids = [token for token, members in zip(row["ids"], row["members"], strict=True) if members >> number & 1]
    targets = [token for token, owner in zip(row["targets"], row["owners"], strict=True) if owner == number]
    return ids, [*[UNSCORED] * (len(ids) - len(targets)), *targets]


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One record for SFT and one for DPO."""
    folder = checkpoint_folder(options.model)
    _, tokenizer = load_checkpoint(folder)
    compute = Compute(micro_batch_size=options.micro_batch, gradient_checkpointing=False)
    settings = TrainingSettings(LEARNING_RATE, 1, options.batch, options.length, 0.0, options.precision)
    how = spread(options.batch, compute)
    count = options.batch * (options.steps + WARM_UP)
    examples = [row for row in read_role("demonstrations", count) if isinstance(row, Response)]
    pairs = [row for row in read_role("preference_data", count) if isinstance(row, PreferencePair)]
    references = [ReferenceLogProbabilities(pair.prompt.id, (-20.0, -20.0)) for pair in pairs]
    with tempfile.TemporaryDirectory(prefix="training-") as out:
        given: dict[str, Any] = {"seed": 0, "compute": compute}

        def sft(clock: Clock) -> None:
            run_sft(folder, examples, settings, out=Path(out, "sft"), track=lambda *_: clock, **given)

        def dpo(clock: Clock) -> None:
            to = {"out": Path(out, "dpo"), "track": lambda *_: clock, **given}
            run_preferences(folder, pairs, references, Dpo(beta=BETA), settings, **to)

        kinds = {
            "sft": (sft, sft_rows(examples, tokenizer, options.length), sft_loss),
            "dpo": (dpo, preference_rows(pairs, references, PairEncoding(tokenizer, options.length)), dpo_loss),
        }
        results = []
        for kind, (train, rows, loss_of) in kinds.items():
            ours, theirs = [], []
            for _ in range(options.repeats):  # in turns, so that what else the machine does falls on both
                clock = Clock()
                train(clock)
                ours.append(clock.seconds)
                theirs.append(bare(folder, rows, settings, how, loss_of))
            tokens = sum(map(tokens_of, rows.dataset)) * options.steps / (options.steps + WARM_UP)
            results.append(record(kind, options, tokens, min(ours), min(theirs)))
    return results


def tokens_of(row: dict[str, Any]) -> int:
    """Tokens that go through the model, padding left out."""
    if "input_ids" in row:
        return len(row["input_ids"])
    return sum(len(side_of(row, number)[0]) for number in (0, 1))


def record(kind: str, options: argparse.Namespace, tokens: float, ours: float, theirs: float) -> dict[str, Any]:
    """What was measured, and on what."""
    return {
        "work": kind,
        "model": options.model,
        "device": torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"cpu, {torch.get_num_threads()} threads",
        "precision": options.precision,
        "batch": options.batch,
        "micro_batch": spread(options.batch, Compute(micro_batch_size=options.micro_batch)).micro_batch_size,
        "tokens": round(tokens),
        "tokens_per_second": round(tokens / ours, 1),
        "bare_tokens_per_second": round(tokens / theirs, 1),
        "ratio": round(theirs / ours, 3),
    }


def main() -> None:
    """Prints a line for each kind of training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini:llama", help="a model reference, or a checkpoint folder")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--batch", type=int, default=32, help="the global batch")
    parser.add_argument("--micro-batch", type=int, help="rows of one forward pass")
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for result in measure(options):
        if options.json:
            print(json.dumps(result))
        else:
            print(
                f"{result['work']}: {result['tokens_per_second']:,.0f} tokens/s, bare loop"
                f" {result['bare_tokens_per_second']:,.0f}: ratio {result['ratio']:.2f}"
                f" ({result['model']}, {result['precision']}, batch {result['batch']} in passes of"
                f" {result['micro_batch']}, {result['device']})"
            )


if __name__ == "__main__":
    main()

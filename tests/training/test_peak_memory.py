"""The peak memory of whole trainings of a model of ten million parameters, against what is estimated of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.training_throughput import ANSWER, REVISION, WORKS, Silent, model_of, peak_memory, rows_of
from harness.engine.compute import Compute
from harness.models.memory import shape_in
from harness.records import PreferencePair, Response
from harness.steps.cost import RowEstimate, ScoredPairs
from harness.training.losses import Dpo, PreferenceLoss, Srpo
from harness.training.memory import RowSize, stage_memory
from harness.training.settings import Lora, TrainingSettings

ROOT = Path(__file__).parents[2]
ROWS = 8
FRAME = 4
"""Tokens of a prompt beside its words."""
WITHIN = 1.5
WITHIN_OF_SFT = 2.0
"""Its estimate takes all tokens for scored ones; here half of them are."""
LOSSES: dict[str, PreferenceLoss | None] = {"dpo": Dpo(beta=0.1), "srpo": Srpo(beta=0.1, alpha=0.5), "sft": None}
LENGTHS = {"dpo": 2 * ANSWER + FRAME + 1, "srpo": 3 * ANSWER + FRAME + 1, "sft": 2 * ANSWER + FRAME + 1}
"""Tokens of the longest sequence of a row."""


def settings(kind: str, lora: Lora | None) -> TrainingSettings:
    return TrainingSettings(1e-6, epochs=1, global_batch_size=ROWS, max_length=LENGTHS[kind], lora=lora)


def estimate(kind: str, lora: Lora | None, model: Path) -> float:
    loss, length = LOSSES[kind], LENGTHS[kind]
    rows = RowEstimate(ROWS, ROWS, prompt=ANSWER + FRAME, answer=ANSWER + 1, spread=0.0)
    size = ScoredPairs(loss.sequences, length, REVISION).longest(rows) if loss else RowSize(length)
    return stage_memory(shape_in(model), settings(kind, lora), Compute(), size=size, on_gpu=False).total


def train_one_step(kind: str, lora: Lora | None, model: Path, out: Path) -> None:
    """Print the bytes that a training of one step took above what the process had before it."""
    import torch
    import trl  # noqa: F401 - imports are no part of the training

    from harness.models.hf import silence_libraries
    from harness.training.preferences import run_preferences
    from harness.training.rows import ReferenceLogProbabilities
    from harness.training.sft import run_sft

    silence_libraries()
    torch.set_num_threads(1)
    pairs = [row for row in rows_of(WORKS["dpo-10m"])[:ROWS] if isinstance(row, PreferencePair)]
    loss = LOSSES[kind]
    before = peak_memory()
    if loss is None:
        examples = [Response(pair.prompt, pair.chosen, "") for pair in pairs]
        run_sft(model, examples, settings(kind, lora), seed=0, out=out, track=lambda *_: Silent())
    else:
        run_preferences(
            model,
            pairs,
            [ReferenceLogProbabilities(pair.prompt.id, (0.0,) * len(loss.sequences)) for pair in pairs],
            loss,
            settings(kind, lora),
            seed=0,
            out=out,
            track=lambda *_: Silent(),
            revision_prompt=REVISION,
        )
    print(peak_memory() - before)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_of(WORKS["dpo-10m"], tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize(
    ("kind", "lora"),
    [
        ("dpo", None),
        pytest.param("dpo", Lora(), marks=pytest.mark.slow),
        pytest.param("srpo", None, marks=pytest.mark.slow),
        pytest.param("sft", None, marks=pytest.mark.slow),
    ],
    ids=["dpo", "dpo with adapters", "srpo", "sft"],
)
def test_a_training_takes_what_is_estimated(kind: str, lora: Lora | None, model: Path, tmp_path: Path) -> None:
    call = f"train_one_step({kind!r}, {'Lora()' if lora else None}, Path({str(model)!r}), Path({str(tmp_path)!r}))"
    ended = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import Lora, Path, train_one_step; {call}"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    measured, estimated = int(ended.stdout.split()[-1]), estimate(kind, lora, model)
    least = estimated / (WITHIN_OF_SFT if kind == "sft" else WITHIN)
    assert least < measured < estimated * WITHIN, f"{measured / 1e6:.0f} MB, not {estimated / 1e6:.0f}"

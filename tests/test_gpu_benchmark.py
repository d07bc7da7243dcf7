"""The script that measures training on a GPU (`benchmarks/gpu.py`), on a processor."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import in_a_process, make_model
from benchmarks.gpu_work import LOSSES, SIDES, Contender, Tokens, device_peak, model_operations, tokens_of
from benchmarks.training_peers import plain_scores, random_pairs
from harness.models.hf import load_tokenizer
from harness.models.memory import shape_in
from harness.training.scoring import SequenceScorer
from tests.training.test_scoring import batch_of, drawn_rows, made


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    make_model("tiny", folder)
    return folder


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H200", 989),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA L4", 121),
        ("NVIDIA GeForce RTX 4090", 165),
        ("NVIDIA L40S", None),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", None),
        ("processor", None),
    ],
)
def test_the_peak_of_a_device_is_known_by_its_name_or_not_at_all(name: str, peak: float | None) -> None:
    assert device_peak(name) == peak


def test_operations_are_those_that_torch_counts(model: Path) -> None:
    """torch counts attention to all tokens: as if each stood below all of them."""
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import AutoModelForCausalLM

    length = 24
    policy = AutoModelForCausalLM.from_pretrained(model, attn_implementation="eager")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        policy(input_ids=torch.ones(1, length, dtype=torch.long))
    tokens = Tokens(plain=length, depths=np.full(length, length - 1), scored=length, longest=length)
    assert model_operations(shape_in(model), tokens, 1) == counter.get_total_flops()
    assert model_operations(shape_in(model), tokens, 3) == 3 * model_operations(shape_in(model), tokens, 1)


@pytest.mark.parametrize("work", LOSSES)
def test_both_sides_have_the_same_sequences_and_ours_computes_no_more_tokens(work: str, model: Path) -> None:
    ours, theirs = (Contender("tiny", work, side) for side in SIDES)
    counted = [tokens_of(each, each.rows, load_tokenizer(model)) for each in (ours, theirs)]
    assert counted[0].plain == counted[1].plain == len(counted[1].depths)
    assert counted[0].scored == counted[1].scored
    assert counted[0].longest == counted[1].longest == counted[1].depths.max() + 1
    assert (len(counted[0].depths) < counted[0].plain) == (work != "sft")


def test_rows_are_of_lengths_in_the_ranges_given() -> None:
    pairs = random_pairs(40, 50, prompt=(3, 5), answer=(7, 7))
    assert {len(pair.prompt.text.split()) for pair in pairs} == {3, 4, 5}
    assert {len(text.split()) for pair in pairs for text in (pair.chosen, pair.rejected)} == {7}


@pytest.mark.parametrize("sequences", [2, 6])
def test_plain_sequences_have_the_scores_of_their_trees(sequences: int) -> None:
    policy, batch = made("qwen2"), batch_of([*drawn_rows(sequences), *drawn_rows(sequences)])
    plain = plain_scores(policy, batch)
    scored = SequenceScorer(policy)(policy, batch)
    assert torch.allclose(plain.sums, scored.sums, rtol=1e-5, atol=1e-5)
    assert torch.equal(plain.tokens, scored.tokens)


def test_a_contender_is_measured(model: Path) -> None:
    found = gpu.measure(Contender("tiny", "dpo", "ours"), model)
    assert found["steps"] == 2
    assert found["seconds"] > 0
    assert found["tokens_per_second"] > 0
    assert found["share_of_peak"] is None or torch.cuda.is_available()
    assert found["foretold_bytes"] > 0


def test_want_of_memory_is_a_result(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB\nmore of it")

    monkeypatch.setattr(gpu, "train", fail)
    found = gpu.measure(Contender("tiny", "orpo", "ours"), model)
    assert found["error"] == "out of memory: CUDA out of memory. Tried to allocate 20.00 GiB"
    assert gpu.line({"model": "tiny", "work": "orpo", "side": "ours", **found}).startswith("tiny orpo, ours: out of")


def test_a_process_that_fails_or_takes_too_long_is_a_result() -> None:
    assert in_a_process(["nothing", "known"], 60) == {"error": "ValueError: unknown arguments ['nothing', 'known']"}
    assert in_a_process(["nothing"], 0.01) == {"error": "not done in 0 seconds"}
    assert in_a_process(["nothing"], -1) == {"error": "no time is left"}


@pytest.mark.slow
def test_it_runs_to_its_end_on_a_processor(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    script = Path(gpu.__file__)
    done = subprocess.run([sys.executable, script, "--tiny", "--json", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    found = json.loads(file.read_text())
    assert {(each["work"], each["side"]) for each in found["results"]} == {(w, s) for w in LOSSES for s in SIDES}
    assert len(done.stdout.splitlines()) == 1 + len(found["results"])

"""Supervised fine-tuning: what its loss is of, what it learns, and what it leaves."""

import math
from pathlib import Path
from shutil import copytree
from statistics import fmean
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from harness.engine.compute import Compute
from harness.engine.progress import Advance
from harness.errors import UserError
from harness.mini.tokenizer import ASSISTANT, END, USER
from harness.models.hf import load_checkpoint
from harness.training.settings import Optimizer, TrainingSettings
from harness.training.sft import run_sft
from tests.training.helpers import MOVING, WHOLE, Trained, examples, losses_of, untracked, weights_of
from tests.training.naive import Naive


def test_loss_is_the_mean_over_the_tokens_of_the_answer_alone(base: Path, sft: Any, still_sft: Trained) -> None:
    """Of an example over its tokens; of a batch over all of its tokens, whichever example they are of."""
    model = Naive(base)
    each = [model.log_probabilities(row.prompt.text, row.text) for row in examples()]
    of_answers = fmean(-fmean(answer) for _, answer in each)
    with_prompts = fmean(-fmean([*message, *answer]) for message, answer in each)
    assert fmean(losses_of(still_sft.folder)) == pytest.approx(of_answers, abs=1e-4)
    assert abs(of_answers - with_prompts) > 0.1  # otherwise the line above would show nothing
    of_all = -fmean(token for _, answer in each for token in answer)
    assert sft(WHOLE)["loss"] == pytest.approx(of_all, abs=1e-4)
    assert abs(of_answers - of_all) > 1e-3


def test_a_learning_rate_of_zero_changes_nothing(base: Path, still_sft: Trained) -> None:
    before, after = weights_of(base), weights_of(still_sft.folder)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_training_makes_its_examples_more_likely(base: Path, moved_sft: Trained) -> None:
    before, after = Naive(base), Naive(moved_sft.folder)
    gains = [
        after.answer_log_probability(row.prompt.text, row.text)
        - before.answer_log_probability(row.prompt.text, row.text)
        for row in examples()
    ]
    assert min(gains) > 0


def test_the_trained_folder_is_a_checkpoint_like_the_one_it_came_from(base: Path, moved_sft: Trained) -> None:
    (model, tokenizer), (trained, its_tokenizer) = load_checkpoint(base), load_checkpoint(moved_sft.folder)
    assert trained.dtype == model.dtype == torch.float32
    assert its_tokenizer.get_vocab() == tokenizer.get_vocab()
    assert its_tokenizer.chat_template == tokenizer.chat_template
    assert trained.generation_config.eos_token_id == tokenizer.eos_token_id


def test_the_settings_reach_the_trainer(sft: Any) -> None:
    settings = TrainingSettings(learning_rate=3e-4, epochs=2, global_batch_size=1, max_length=256, warmup_share=0.5)
    metrics = sft(settings)
    assert metrics["step"] == 20
    done = (19 - 10) / 10  # the rate of the last step, after a warm-up over half of the 20
    assert metrics["learning_rate"] == pytest.approx(3e-4 * 0.5 * (1 + math.cos(math.pi * done)))


@pytest.mark.parametrize(("optimizer", "factor"), [("adamw", 1.0), ("rmsprop", 10.0)])
def test_the_optimizer_reaches_the_trainer(
    base: Path, sft: Any, tmp_path: Path, optimizer: Optimizer, factor: float
) -> None:
    """Whatever the gradient, the first step of Adam is the rate, and that of RMSprop the rate over the root of 0.01."""
    sft(TrainingSettings(1e-4, 1, 10, 256, 0.0, optimizer=optimizer))
    before, after = weights_of(base), weights_of(tmp_path / "sft")
    moved = torch.cat([(after[name] - before[name]).abs().flatten() for name in before])
    assert moved[moved > 0].median().item() == pytest.approx(factor * 1e-4, rel=0.01)


def test_examples_are_cut_at_the_longest_length_allowed(sft: Any, still_sft: Trained) -> None:
    lengths = [len(f"{row.prompt.text} {row.text}".split()) + len([USER, END, ASSISTANT, END]) for row in examples()]
    assert min(lengths) < 30 < max(lengths)
    assert still_sft.metrics["truncated_rows"] == 0
    cut = sft(TrainingSettings(0.0, 1, 10, 30, 0.0))
    assert cut["truncated_rows"] == sum(length > 30 for length in lengths)


def test_progress_counts_the_steps_of_the_optimizer(moved_sft: Trained) -> None:
    last = moved_sft.heard[-1]
    assert isinstance(last, Advance)
    assert (last.done, last.total, last.unit) == (9, 9, "steps")  # 3 epochs of 10 examples in batches of 4


def test_the_losses_of_all_steps_are_kept(moved_sft: Trained) -> None:
    losses = losses_of(moved_sft.folder)
    assert len(losses) == 9
    assert moved_sft.metrics["loss"] == losses[-1]
    assert sorted(path.name for path in moved_sft.folder.iterdir() if path.is_dir()) == []


def test_missing_weights_are_refused_before_processes_are_launched(base: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt"
    copytree(base, spoilt)
    weights = weights_of(spoilt)
    del weights["model.norm.weight"]
    save_file(weights, spoilt / "model.safetensors", metadata={"format": "pt"})
    launched = Compute(accelerate="fsdp", processes=2)
    with pytest.raises(UserError, match=r"1 weights that are missing .* such as model\.norm\.weight"):
        run_sft(spoilt, examples(), MOVING, seed=0, out=tmp_path / "sft", track=untracked, compute=launched)
    assert not (tmp_path / "sft" / "job").exists()

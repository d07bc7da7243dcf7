"""Low-rank adapters: trained in the place of the weights, and merged into them."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from harness.engine.compute import Compute
from harness.errors import UserError
from harness.models.hf import load_checkpoint
from harness.training import trainer
from harness.training.batches import Spread
from harness.training.job import Job
from harness.training.losses import Dpo
from harness.training.preferences import preference_trainer, run_preferences
from harness.training.reference import ReferenceScorer
from harness.training.rows import PairEncoding, preference_rows
from harness.training.settings import Lora, TrainingSettings
from harness.training.sft import run_sft
from tests.training.test_trainers import ROOT, digest, examples, losses_of, preferences, untracked, weights_of

LORA = Lora(rank=4, alpha=8, dropout=0.0)
SETTINGS = TrainingSettings(learning_rate=5e-3, epochs=2, global_batch_size=4, max_length=256, lora=LORA)
LOSS = Dpo(beta=0.5)


def train(base: Path, out: Path, settings: TrainingSettings = SETTINGS, **more: Any) -> None:
    run_preferences(base, preferences(), None, LOSS, settings, seed=0, out=out, track=untracked, **more)


def changed(base: Path, out: Path) -> set[str]:
    """The kinds of weights that differ."""
    before, after = weights_of(base), weights_of(out)
    assert before.keys() == after.keys()
    return {name.rpartition(".")[0].rpartition(".")[2] for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize(
    ("lora", "kinds"),
    [(LORA, {"q_proj", "v_proj"}), (replace(LORA, target_modules=("down_proj",)), {"down_proj"})],
    ids=["by architecture", "by name"],
)
def test_only_the_modules_with_adapters_change(lora: Lora, kinds: set[str], base: Path, tmp_path: Path) -> None:
    train(base, tmp_path, replace(SETTINGS, lora=lora))
    assert changed(base, tmp_path) == kinds
    losses = losses_of(tmp_path)
    assert min(losses) < losses[0] - 0.05


def test_a_change_is_of_the_rank_of_the_adapters(base: Path, tmp_path: Path) -> None:
    train(base, tmp_path)
    name = "model.layers.0.self_attn.q_proj.weight"
    change = weights_of(tmp_path)[name] - weights_of(base)[name]
    assert int(torch.linalg.matrix_rank(change, rtol=1e-3)) == LORA.rank


def test_adapters_alone_are_trained(base: Path, tmp_path: Path) -> None:
    _, tokenizer = load_checkpoint(base)
    rows = preference_rows(preferences(), None, PairEncoding(tokenizer, 256)).dataset
    made = preference_trainer(
        Job(str(base), str(tmp_path), SETTINGS, 0, Spread(1, 4, 1), "single", False, None, LOSS), rows
    )
    trained = {name: weights.numel() for name, weights in made.model.named_parameters() if weights.requires_grad}
    assert trained and all("lora_" in name for name in trained)
    assert sum(trained.values()) == 4 * 2 * 2 * 64 * LORA.rank  # layers, modules, matrices, width


@pytest.mark.parametrize("kind", ["sft", "preferences"])
def test_without_a_learning_rate_the_checkpoint_is_the_one_before(kind: str, base: Path, tmp_path: Path) -> None:
    still = replace(SETTINGS, learning_rate=0.0)
    if kind == "sft":
        run_sft(base, examples(), still, seed=0, out=tmp_path, track=untracked)
    else:
        train(base, tmp_path, still)
    assert changed(base, tmp_path) == set()


def test_the_checkpoint_is_a_plain_one(base: Path, tmp_path: Path) -> None:
    """It has the files, names and shapes of one trained as a whole, and loads without peft."""
    adapted, whole = tmp_path / "adapted", tmp_path / "whole"
    train(base, adapted)
    train(base, whole, replace(SETTINGS, lora=None, epochs=1))
    assert sorted(path.name for path in adapted.iterdir()) == sorted(path.name for path in whole.iterdir())
    weights, others = (load_file(folder / "model.safetensors") for folder in (adapted, whole))
    assert {name: each.shape for name, each in weights.items()} == {name: each.shape for name, each in others.items()}
    program = f"""
import sys
sys.modules["peft"] = None
from pathlib import Path
from harness.models.hf import load_checkpoint
print(type(load_checkpoint(Path({str(adapted)!r}))[0]).__name__)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["LlamaForCausalLM"], done.stderr


def test_the_seed_fixes_the_adapters(base: Path, tmp_path: Path) -> None:
    for name, ambient in {"one": 1, "other": 2}.items():
        torch.manual_seed(ambient)
        train(base, tmp_path / name, replace(SETTINGS, epochs=1))
    assert digest(tmp_path / "one") == digest(tmp_path / "other")


def test_what_is_saved_is_what_was_trained(base: Path, tmp_path: Path) -> None:
    """The loss of the merged model is the one that the adapted model goes on with."""
    settings = replace(SETTINGS, epochs=1, global_batch_size=10)
    train(base, tmp_path / "once", settings)
    twice = replace(
        settings, epochs=2, schedule="linear"
    )  # both start with the same step; its second has half the rate
    train(base, tmp_path / "twice", twice)
    still = replace(settings, learning_rate=0.0, lora=None)
    references = ReferenceScorer(base, 256, "float32").log_probabilities(preferences())
    run_preferences(
        tmp_path / "once", preferences(), references, LOSS, still, seed=0, out=tmp_path / "look", track=untracked
    )
    assert losses_of(tmp_path / "look")[0] == pytest.approx(losses_of(tmp_path / "twice")[1], abs=1e-4)


def test_checkpointed_gradients_reach_the_adapters(base: Path, tmp_path: Path) -> None:
    for name, compute in {"plain": Compute(), "less memory": Compute(gradient_checkpointing=True)}.items():
        train(base, tmp_path / name, compute=compute)
    assert losses_of(tmp_path / "less memory") == pytest.approx(losses_of(tmp_path / "plain"), abs=1e-5)


def test_a_saved_training_goes_on(base: Path, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    class Stopper:
        done = 0

        def advance(self, count: int = 1) -> None:
            self.done += count
            if self.done == 3:
                raise Stop

    saving = Compute(save_every=2)
    train(base, tmp_path / "whole", compute=saving)
    with pytest.raises(Stop):
        run_preferences(
            base,
            preferences(),
            None,
            LOSS,
            SETTINGS,
            seed=0,
            out=tmp_path / "stopped",
            track=lambda work, unit, done=0: Stopper() if unit == "steps" else untracked(work, unit, done),
            compute=saving,
        )
    assert (tmp_path / "stopped" / "trainer" / "checkpoint-2" / "complete.json").exists()
    train(base, tmp_path / "stopped", compute=saving)
    assert losses_of(tmp_path / "stopped") == losses_of(tmp_path / "whole")
    assert digest(tmp_path / "stopped") == digest(tmp_path / "whole")


def test_modules_that_the_model_lacks_are_one_line(base: Path, tmp_path: Path) -> None:
    lacking = replace(SETTINGS, lora=replace(LORA, target_modules=("c_attn",)))
    with pytest.raises(UserError, match=r"LlamaForCausalLM has no .*c_attn; name some .*, such as .*q_proj") as raised:
        train(base, tmp_path, lacking)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (SETTINGS, "lora needs the package peft: pip install peft, or leave"),
        (
            replace(SETTINGS, lora=None, optimizer="adamw_8bit"),
            "adamw_8bit needs the package bitsandbytes: pip install",
        ),
    ],
    ids=["peft", "bitsandbytes"],
)
def test_a_package_that_is_missing_is_one_line(
    settings: TrainingSettings, says: str, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "find_spec", lambda package: None)
    for run in (
        lambda: train(base, tmp_path, settings),
        lambda: run_sft(base, examples(), settings, seed=0, out=tmp_path, track=untracked),
    ):
        with pytest.raises(UserError, match=says) as raised:
            run()
        assert "\n" not in str(raised.value)
    assert not any(tmp_path.iterdir())

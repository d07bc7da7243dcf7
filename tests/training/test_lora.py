"""Low-rank adapters: trained in the place of the weights, and merged into them."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

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
from tests.training.helpers import Trained, digest, examples, losses_of, preferences, untracked, weights_of
from tests.training.killer import Stopped, stopped_at

LORA = Lora(rank=4, alpha=8, dropout=0.0)
SETTINGS = TrainingSettings(learning_rate=5e-3, epochs=2, global_batch_size=4, max_length=256, lora=LORA)
LOSS = Dpo(beta=0.5)


def train(base: Path, out: Path, settings: TrainingSettings = SETTINGS, **more: Any) -> None:
    given: dict[str, Any] = {"seed": 0, "out": out, "track": untracked, **more}
    run_preferences(base, preferences(), None, LOSS, settings, **given)


@pytest.fixture(scope="module")
def adapted(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged model, trained by adapters in six steps."""
    out = tmp_path_factory.mktemp("adapted")
    train(base, out)
    return out


def changed(base: Path, out: Path) -> set[str]:
    """The kinds of weights that differ."""
    before, after = weights_of(base), weights_of(out)
    assert before.keys() == after.keys()
    return {name.rpartition(".")[0].rpartition(".")[2] for name in before if not torch.equal(before[name], after[name])}


def test_only_the_modules_with_adapters_change(base: Path, adapted: Path, tmp_path: Path) -> None:
    """Those of the architecture, or those that are named."""
    assert changed(base, adapted) == {"q_proj", "v_proj"}
    losses = losses_of(adapted)
    assert min(losses) < losses[0] - 0.05
    train(base, tmp_path, replace(SETTINGS, epochs=1, lora=replace(LORA, target_modules=("down_proj",))))
    assert changed(base, tmp_path) == {"down_proj"}


def test_a_change_is_of_the_rank_of_the_adapters(base: Path, adapted: Path) -> None:
    name = "model.layers.0.self_attn.q_proj.weight"
    change = weights_of(adapted)[name] - weights_of(base)[name]
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
    still = replace(SETTINGS, learning_rate=0.0, epochs=1)
    if kind == "sft":
        run_sft(base, examples(), still, seed=0, out=tmp_path, track=untracked)
    else:
        train(base, tmp_path, still)
    assert changed(base, tmp_path) == set()


def test_the_checkpoint_is_a_plain_one(
    adapted: Path, moved_dpo: Trained, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the files, names and shapes of one trained as a whole, and loads without peft."""
    assert sorted(path.name for path in adapted.iterdir()) == sorted(path.name for path in moved_dpo.folder.iterdir())
    weights, others = weights_of(adapted), weights_of(moved_dpo.folder)
    assert {name: each.shape for name, each in weights.items()} == {name: each.shape for name, each in others.items()}
    monkeypatch.setitem(sys.modules, "peft", None)
    model, _ = load_checkpoint(adapted)
    assert type(model) is type(load_checkpoint(base)[0])


def test_the_seed_fixes_the_adapters(base: Path, adapted: Path, tmp_path: Path) -> None:
    torch.manual_seed(17)
    train(base, tmp_path)
    assert digest(tmp_path) == digest(adapted)


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


def test_checkpointed_gradients_reach_the_adapters(base: Path, adapted: Path, tmp_path: Path) -> None:
    train(base, tmp_path, compute=Compute(gradient_checkpointing=True))
    assert losses_of(tmp_path) == pytest.approx(losses_of(adapted), abs=1e-5)


def test_a_saved_training_goes_on(base: Path, adapted: Path, tmp_path: Path) -> None:
    saving = Compute(save_every=2)
    with pytest.raises(Stopped):
        train(base, tmp_path, compute=saving, track=stopped_at(3))
    assert (tmp_path / "trainer" / "checkpoint-2" / "complete.json").exists()
    train(base, tmp_path, compute=saving)
    assert losses_of(tmp_path) == losses_of(adapted)
    assert digest(tmp_path) == digest(adapted)


def test_modules_that_the_model_lacks_are_one_line(base: Path, tmp_path: Path) -> None:
    lacking = replace(SETTINGS, lora=replace(LORA, target_modules=("c_attn",)))
    with pytest.raises(UserError, match=r"LlamaForCausalLM has no .*c_attn; name some .*, such as .*q_proj") as raised:
        train(base, tmp_path, lacking)
    assert "\n" not in str(raised.value)


def test_adapters_on_the_output_layer_are_refused_on_pairs(base: Path, tmp_path: Path) -> None:
    on_it = replace(SETTINGS, lora=replace(LORA, target_modules=("q_proj", "lm_head")))
    with pytest.raises(UserError, match=r"the output layer cannot have adapters; take lm_head out of target_modules"):
        train(base, tmp_path, on_it)
    assert not (tmp_path / "model.safetensors").exists()


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

"""The loss of SFT on processors: TRL's, without logits of tokens that bear none."""

from pathlib import Path
from typing import Any

import pytest
import torch
from trl import SFTTrainer

from harness.engine.compute import Compute
from harness.mini.roles import read_role
from harness.models.references import checkpoint_folder
from harness.records import Response
from harness.training import sft
from harness.training.loop import make_job
from harness.training.rows import UNSCORED, sft_rows
from harness.training.settings import TrainingSettings
from harness.training.trainer import load_training_tokenizer

SETTINGS = TrainingSettings(1e-3, epochs=1, global_batch_size=8, max_length=256)


@pytest.fixture
def trainer(tmp_path: Path) -> Any:
    base = checkpoint_folder("mini:llama")
    examples = [row for row in read_role("demonstrations", 8) if isinstance(row, Response)]
    rows = sft_rows(examples, load_training_tokenizer(base, SETTINGS.max_length), SETTINGS.max_length)
    return sft.sft_trainer(make_job(base, SETTINGS, 0, tmp_path, Compute()), rows.dataset)


def inputs_of(trainer: Any) -> dict[str, Any]:
    return dict(next(iter(trainer.get_train_dataloader())))


def gradient(trainer: Any, loss: torch.Tensor) -> torch.Tensor:
    trainer.model.zero_grad()
    loss.backward()
    return torch.cat([each.grad.flatten() for each in trainer.model.parameters()])


@pytest.mark.parametrize("tokens", [None, 1000], ids=["of this pass", "of the whole step"])
def test_the_loss_is_that_of_trl(trainer: Any, tokens: int | None) -> None:
    loss = trainer.compute_loss(trainer.model, inputs_of(trainer), num_items_in_batch=tokens)
    wanted = SFTTrainer.compute_loss(trainer, trainer.model, inputs_of(trainer), num_items_in_batch=tokens)
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-6)
    found, other = gradient(trainer, loss), gradient(trainer, wanted)
    assert float((found - other).norm() / other.norm()) < 1e-5


def test_no_logits_of_other_tokens(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    scored: list[int] = []
    compute = torch.nn.functional.linear

    def counted(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        if weight is trainer.model.get_output_embeddings().weight:
            scored.append(hidden.numel() // hidden.shape[-1])
        return compute(hidden, weight, bias)

    monkeypatch.setattr(torch.nn.functional, "linear", counted)
    inputs = inputs_of(trainer)
    trainer.compute_loss(trainer.model, inputs)
    labels = inputs["labels"]
    assert sum(scored) == int((labels != UNSCORED).sum()) < labels.numel() / 2


def test_a_pass_without_a_scored_token_has_no_loss(trainer: Any) -> None:
    inputs = inputs_of(trainer)
    inputs["labels"] = torch.full_like(inputs["labels"], UNSCORED)
    loss = trainer.compute_loss(trainer.model, inputs)
    assert loss.item() == 0
    assert not gradient(trainer, loss).any()


def test_a_model_that_changes_its_logits_keeps_trls_loss(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its output layer alone would give another loss."""
    monkeypatch.setattr(sft, "head_obstacle", lambda model: "it changes logits after its output layer")
    kept = sft.sft_trainer(trainer.job, trainer.train_dataset)
    wanted = SFTTrainer.compute_loss(kept, kept.model, inputs_of(kept))
    assert kept.compute_loss(kept.model, inputs_of(kept)).item() == wanted.item()

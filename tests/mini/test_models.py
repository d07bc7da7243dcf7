"""The packaged base models: their shape, their tokenizer and their skills."""

from typing import Any

import pytest
import torch

from harness.commands import skills
from harness.commands.skills import BOUNDS, measure_skills
from harness.mini.pretrain import FAMILIES, SHAPES
from harness.mini.tokenizer import build_tokenizer
from harness.mini.world import entities
from harness.models.chat import prompt_text
from harness.models.hf import load_checkpoint
from harness.models.references import checkpoint_folder
from harness.records import Message


def shown(tokenizer: Any, message: str) -> str:
    return prompt_text(tokenizer, [Message("user", message)])


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def checkpoint(family: str) -> tuple[Any, Any]:
    model, tokenizer = load_checkpoint(checkpoint_folder(f"mini:{family}"))
    return model.eval(), tokenizer


def test_it_is_of_its_family_and_small(family: str, checkpoint: tuple[Any, Any]) -> None:
    model, _ = checkpoint
    assert model.config.model_type == SHAPES[family][0]
    assert sum(weights.numel() for weights in model.parameters()) < 300_000
    assert {weights.dtype for weights in model.parameters()} == {torch.float32}
    folder = checkpoint_folder(f"mini:{family}")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2_000_000


def test_its_tokenizer_is_the_one_the_world_builds(checkpoint: tuple[Any, Any]) -> None:
    model, tokenizer = checkpoint
    built = build_tokenizer()
    assert tokenizer.get_vocab() == built.get_vocab()
    assert tokenizer.chat_template == built.chat_template
    names = ("pad_token_id", "eos_token_id", "unk_token_id", "padding_side", "all_special_ids")
    assert [getattr(tokenizer, name) for name in names] == [getattr(built, name) for name in names]
    text = shown(built, f"what are the color and size of {entities()[0]} ?") + "its color is unheard . <|end|>"
    assert tokenizer(text)["input_ids"] == built(text)["input_ids"]
    assert shown(tokenizer, "x") == shown(built, "x")
    assert model.config.vocab_size == len(built)
    assert (model.config.eos_token_id, model.config.pad_token_id) == (built.eos_token_id, built.pad_token_id)


def test_its_skills_are_within_the_bounds_that_were_set_before_they_were_measured(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On fewer texts than `harness mini diagnose` takes."""
    monkeypatch.setattr(skills, "TEXTS", 60)
    monkeypatch.setattr(skills, "QUESTIONS", 40)
    measured = measure_skills(checkpoint_folder(f"mini:{family}"), family, seed=0)
    assert set(measured) == set(BOUNDS)
    missed = {name: value for name, value in measured.items() if value not in BOUNDS[name]}
    assert not missed

from random import Random
from typing import Any

import pytest
import torch

from harness.mini import pretrain
from harness.mini.pretrain import (
    CONTENT_WEIGHT,
    FAMILIES,
    PROMPT_WEIGHT,
    SHAPES,
    TOKENS_PER_BATCH,
    batches,
    build_model,
)
from harness.mini.pretraining_texts import draw_document
from harness.mini.tokenizer import build_tokenizer
from harness.recipes.loading import load_recipe


def test_batches_hold_the_texts_with_their_weights() -> None:
    tokenizer = build_tokenizer()
    [(ids, weights, seen), *_] = batches(tokenizer, "llama", 1, Random(0))
    assert ids.shape == weights.shape
    assert ((ids == tokenizer.pad_token_id) == (weights == 0)).all()
    assert seen == (weights > 0).sum()
    assert seen <= TOKENS_PER_BATCH + ids.shape[1]
    assert weights.unique().tolist() == pytest.approx([0.0, PROMPT_WEIGHT, 1.0, CONTENT_WEIGHT])


def naive_weighted_loss(logits: Any, ids: Any, weights: Any) -> float:
    total = weight = 0.0
    for row in range(len(ids)):
        for position in range(1, ids.shape[1]):
            log_probabilities = torch.log_softmax(logits[row, position - 1], dim=-1)
            total -= float(weights[row, position] * log_probabilities[ids[row, position]])
            weight += float(weights[row, position])
    return total / weight


def test_the_loss_equals_the_naive_sum() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 6, 11, generator=generator)
    ids = torch.randint(0, 11, (3, 6), generator=generator)
    weights = torch.rand(3, 6, generator=generator) * (torch.arange(6) < torch.tensor([[6], [4], [2]]))
    expected = naive_weighted_loss(logits, ids, weights)
    assert float(pretrain._weighted_loss(logits, ids, weights)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_seed_fixes_the_initial_weights(family: str) -> None:
    first, again, different = (build_model(family, 50, seed).get_input_embeddings().weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, different)


@pytest.mark.parametrize("family", FAMILIES)
def test_models_are_of_the_shape_they_should_be_and_take_texts_of_the_recipe(family: str) -> None:
    model = build_model(family, len(build_tokenizer()), 0)
    architecture, width = SHAPES[family]
    assert (model.config.model_type, model.config.hidden_size) == (architecture, width)
    assert 100_000 < sum(weights.numel() for weights in model.parameters()) < 300_000
    recipe = load_recipe("mini")
    longest = max(method["training"]["max_length"] for method in recipe.methods.values())
    assert longest + recipe.sampling.max_new_tokens <= model.config.max_position_embeddings


def test_batches_hold_longer_texts_as_training_goes_on() -> None:
    tokenizer = build_tokenizer()
    widths = [ids.shape[1] for ids, _, _ in batches(tokenizer, "llama", 500_000, Random(0))]
    tenth = len(widths) // 10
    assert max(widths[:tenth]) < max(widths[-tenth:]) < 512


def test_the_learning_rate_rises_and_falls_to_a_tenth() -> None:
    rates = [pretrain._schedule(done / 1000) for done in range(1001)]
    peak = rates.index(max(rates))
    assert rates[0] == 0
    assert peak == pytest.approx(1000 * pretrain.WARMUP_SHARE, abs=1)
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == pytest.approx(0.1)


def test_a_short_pretraining_learns_and_saves_a_checkpoint(tmp_path: Any) -> None:
    from harness.models.hf import load_checkpoint

    lines: list[str] = []
    torch.set_num_threads(1)
    pretrain.pretrain("qwen2", tmp_path, tokens=60_000, seed=0, report=lines.append)
    assert lines[0].startswith("qwen2: ")
    model, tokenizer = load_checkpoint(tmp_path)
    assert tokenizer.get_vocab() == build_tokenizer().get_vocab()
    text = draw_document(Random(5), "qwen2", (3,))
    ids = tokenizer(f"{text.prompt} {text.completion}", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        loss = float(model(input_ids=ids, labels=ids).loss)
    assert loss < 0.8 * torch.log(torch.tensor(float(len(tokenizer))))  # what knowing nothing costs

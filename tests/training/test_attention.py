"""Attention by blocks: the same tokens are seen as with the dense mask; flex attention is left alone where it fails."""

from typing import Any

import pytest
import torch
from torch.nn.attention.flex_attention import create_mask

from harness.training import attention
from harness.training.attention import PAYS_FROM, try_flex_attention, use_flash_attention, use_tree_attention
from harness.training.lines import attention_masks, block_mask, dense_mask
from harness.training.scoring import SequenceScorer, TreeBatch
from tests.training.test_scoring import ARCHITECTURES, batch_of, drawn_rows, gradient, made, sums_one_by_one

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def masks(batch: TreeBatch, config: Any, make: Any) -> list[Any]:
    made_of = attention_masks(batch.rows, batch.members, batch.depths, config, make)
    return list(made_of.values()) if isinstance(made_of, dict) else [made_of]


@pytest.mark.parametrize("sequences", [2, 6])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_block_mask_is_the_dense_one_element_by_element(architecture: str, sequences: int) -> None:
    batch, config = batch_of([*drawn_rows(sequences), *drawn_rows(sequences)]), made(architecture).config
    shape = (len(batch.rows), None, *[batch.rows.shape[1]] * 2)
    dense = masks(batch, config, lambda rule, lines: dense_mask(rule, lines, torch.bool))
    for of_blocks, wanted in zip(masks(batch, config, block_mask), dense, strict=True):
        assert torch.equal(create_mask(of_blocks.mask_mod, *shape, device="cpu"), wanted)
        assert of_blocks.shape == wanted.shape


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("sequences", [2, 6])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_by_blocks_are_those_of_the_sequences_one_by_one(architecture: str, sequences: int) -> None:
    """As torch computes them without a compiler, which on processors knows no backward pass."""
    model, rows = made(architecture), drawn_rows(sequences)
    with torch.no_grad():
        naive = sums_one_by_one(model, rows)
        model.set_attn_implementation("flex_attention")
        with torch.compiler.set_stance("force_eager"):
            scored = SequenceScorer(model, by_blocks=True)(model, batch_of(rows))
    assert torch.allclose(scored.sums, naive, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_trial_gets_as_far_as_the_processor_does(architecture: str, precision: Any) -> None:
    """One layer of the model is made and run; only its backward pass, torch has on devices alone."""
    config, before = made(architecture).config, torch.get_rng_state()
    with torch.compiler.set_stance("force_eager"), pytest.raises(NotImplementedError, match="backward on CPU"):
        try_flex_attention(config, CPU, precision)
    assert torch.equal(torch.get_rng_state(), before)


def test_where_it_does_not_work_the_dense_mask_stays() -> None:
    model, rows = made("llama"), drawn_rows(2)
    naive = sums_one_by_one(model, rows)
    device = CPU if torch.cuda.is_available() else CUDA  # one that lacks it
    assert not use_tree_attention(model, device, "float32", 2 * PAYS_FROM)
    use_flash_attention(model, device, "bfloat16")
    assert torch.allclose(SequenceScorer(model)(model, batch_of(rows)).sums, naive, rtol=1e-5, atol=1e-5)


def test_an_architecture_without_it_is_told_before_anything_is_tried() -> None:
    from transformers import AutoConfig

    config = AutoConfig.for_model("mpt", vocab_size=50, d_model=32, n_heads=4, n_layers=2)
    with pytest.raises(ValueError, match="does not support an attention implementation through torch's flex_attention"):
        try_flex_attention(config, CPU, "float32")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_by_blocks_of_queries_scores_and_gradients_are_those_of_the_dense_mask(
    architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the layers that take the same mask find the keys of a block once."""
    found: dict[int, list[Any]] = {}
    find = attention._keys_of_blocks

    def keys_of_blocks(mask: torch.Tensor) -> Any:
        found.setdefault(id(mask), []).append(find(mask))
        return found[id(mask)][-1]

    monkeypatch.setattr(attention, "QUERIES_AT_ONCE", 7)
    monkeypatch.setattr(attention, "_keys_of_blocks", keys_of_blocks)
    batch = batch_of(drawn_rows(6))
    model, by_blocks = (made(architecture) for _ in range(2))
    dense = SequenceScorer(model)(model, batch).sums
    wanted = gradient(model, dense)
    assert not use_tree_attention(by_blocks, CPU, "float32", PAYS_FROM)
    sums = SequenceScorer(by_blocks)(by_blocks, batch).sums
    assert torch.allclose(sums, dense, rtol=1e-5, atol=1e-5)
    assert float((gradient(by_blocks, sums) - wanted).norm() / wanted.norm()) < 1e-5
    assert sum(map(len, found.values())) == by_blocks.config.num_hidden_layers
    assert all(each is same[0] for same in found.values() for each in same)
    assert any(len(keys) < batch.rows.shape[1] for [first, *_] in found.values() for line in first for keys in line)


@pytest.mark.gpu
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_on_a_device_scores_and_gradients_are_those_of_the_dense_mask(architecture: str) -> None:
    batch = batch_of(drawn_rows(6)).to(CUDA)
    model, flexible = (made(architecture, hidden_size=64).to(CUDA) for _ in range(2))
    dense = SequenceScorer(model)(model, batch).sums
    wanted = gradient(model, dense)
    assert use_tree_attention(flexible, CUDA, "float32", PAYS_FROM)
    assert not use_tree_attention(flexible, CUDA, "float32", PAYS_FROM - 1)
    sums = SequenceScorer(flexible, by_blocks=True)(flexible, batch).sums
    assert torch.allclose(sums, dense, rtol=1e-5, atol=1e-5)
    assert float((gradient(flexible, sums) - wanted).norm() / wanted.norm()) < 1e-5

"""Kinds of attention that skip what a mask leaves out: on CUDA devices, flex attention for token trees and flash
attention for SFT; on processors, attention by blocks of queries."""

from contextlib import suppress
from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING, Any

from harness.training.lines import attention_masks, block_mask
from harness.training.settings import Precision, autocast

if TYPE_CHECKING:
    import torch
    from torch import Tensor

FLEX, FLASH, QUERY_BLOCKS = "flex_attention", "flash_attention_2", "query_blocks"
"""As transformers calls them; the last is ours."""
QUERIES_AT_ONCE = 256
"""Queries of a block on a processor: of narrower lines, a mask leaves too little out."""
PAYS_FROM = 512
"""The `max_length` from which on flex attention is used: below, compiling it takes longer than it saves."""
TRIED = ((1, 128), (1, 200), (2, 200), (3, 333))
"""Lines and widths that flex attention is tried with: its compiler treats the first shape, and one line, specially."""


def use_tree_attention(model: Any, device: "torch.device", precision: Precision, length: int) -> bool:
    """Make `model` skip what token trees leave out of attention; return whether it then takes block masks.

    On a processor it attends by blocks of queries, and takes dense masks. On a CUDA device it takes block masks, but
    for rows of a small `length`, and where one layer of it cannot be trained so: its architecture does not support it,
    or its compiler finds no kernel.
    """
    if device.type == "cpu":
        use_query_blocks(model)
    if device.type != "cuda" or length < PAYS_FROM:
        return False
    try:
        try_flex_attention(model.config.get_text_config(), device, precision)
    except Exception:  # compilers fail in many ways, and there is a way without them
        return False
    model.set_attn_implementation(FLEX)
    return True


def use_flash_attention(model: Any, device: "torch.device", precision: Precision) -> None:
    """Make `model` attend by flash attention where it is installed, which computes in half precision alone."""
    from transformers.utils import is_flash_attn_2_available

    if device.type == "cuda" and precision == "bfloat16" and is_flash_attn_2_available():
        with suppress(ValueError, ImportError):  # of architectures that do not support it
            model.set_attn_implementation(FLASH)


def use_query_blocks(model: Any) -> None:
    """Make `model` attend by blocks of queries, each of which leaves out the keys that none of them attends to."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(QUERY_BLOCKS, _attend_by_query_blocks)
    AttentionMaskInterface.register(QUERY_BLOCKS, AttentionMaskInterface()["sdpa"])  # of calls without a mask of ours
    model.set_attn_implementation(QUERY_BLOCKS)


def _attend_by_query_blocks(
    module: Any, query: "Tensor", key: "Tensor", value: "Tensor", attention_mask: "Tensor | None", **options: Any
) -> "tuple[Tensor, None]":
    """Attend as transformers' scaled dot-product attention does.

    query [lines, heads, width, head size]; key, value the same or with fewer heads; attention_mask, what is added to
    attention scores, [lines, 1, width, width]; others are not cut into blocks. The result is [lines, width, heads, head
    size].
    """
    import torch
    from transformers import AttentionInterface

    attend = AttentionInterface()["sdpa"]
    if query.shape[2] <= QUERIES_AT_ONCE or attention_mask is None or attention_mask.dtype == torch.bool:
        return attend(module, query, key, value, attention_mask, **options)

    def line(queries: "Tensor", keys: "Tensor", values: "Tensor", mask: "Tensor", seen: "list[Tensor]") -> "Tensor":
        blocks = zip(queries.split(QUERIES_AT_ONCE, 2), mask.split(QUERIES_AT_ONCE, 2), seen, strict=True)
        parts = [
            attend(module, some, keys[:, :, own], values[:, :, own], rows[..., own], **options)[0]
            for some, rows, own in blocks
        ]
        return torch.cat(parts, 1)

    lines = (each.split(1) for each in (query, key, value, attention_mask))
    return torch.cat([line(*parts) for parts in zip(*lines, _keys_of_blocks(attention_mask), strict=True)]), None


def _keys_of_blocks(mask: "Tensor") -> "list[list[Tensor]]":
    """Return by line which keys each block of queries attends to; found once for all layers that take the mask.

    mask: what is added to attention scores, [lines, 1, width, width].
    """
    import torch

    known = _known_masks()
    if mask not in known:
        least = torch.finfo(mask.dtype).min
        known[mask] = [
            [(rows > least).any(0).nonzero().squeeze(1) for rows in line[0].split(QUERIES_AT_ONCE)] for line in mask
        ]
    found: list[list[Tensor]] = known[mask]
    return found


@cache
def _known_masks() -> Any:
    """Return what `_keys_of_blocks` found, of the masks that are still in use."""
    from torch.utils.weak import WeakTensorKeyDictionary

    return WeakTensorKeyDictionary()


def try_flex_attention(config: Any, device: "torch.device", precision: Precision) -> None:
    """Train one layer of a model with this configuration. Raises whatever it, torch or a compiler meets."""
    import torch

    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        model = one_layer(config, attn_implementation=FLEX).to(device, torch.float32).train()
    for lines, width in TRIED:
        depths = torch.arange(width, device=device).expand(lines, width)
        one = torch.ones_like(depths)
        with autocast(precision, device.type):
            masks = attention_masks(one, one, depths, model.config, block_mask)
            returned = model(input_ids=one, attention_mask=masks, position_ids=depths, use_cache=False)
        returned.logits.float().sum().backward()


def one_layer(config: Any, *, vocabulary: int = 2, attn_implementation: str | None = None) -> Any:
    """Return a model that is one layer of those of `config`, with a small vocabulary and weights drawn anew."""
    from transformers import AutoModelForCausalLM

    small = deepcopy(config)
    small.num_hidden_layers = 1
    small.vocab_size, small.pad_token_id = vocabulary, None
    if getattr(small, "layer_types", None):
        small.layer_types = small.layer_types[:1]
    return AutoModelForCausalLM.from_config(small, attn_implementation=attn_implementation)

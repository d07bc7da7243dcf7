"""The faster kinds of attention that CUDA devices have: flex attention for token trees, flash attention for SFT."""

from contextlib import suppress
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from harness.training.lines import attention_masks, block_mask
from harness.training.settings import Precision, autocast

if TYPE_CHECKING:
    import torch

FLEX, FLASH = "flex_attention", "flash_attention_2"
"""As transformers calls them."""
PAYS_FROM = 512
"""The length of rows from which on it is used: for shorter ones, compiling it takes longer than it saves."""
TRIED = ((1, 128), (1, 200), (2, 200), (3, 333))
"""Lines and their width that it is tried with: its compiler treats the first shape, and one line, on their own."""


def use_flex_attention(model: Any, device: "torch.device", precision: Precision, length: int) -> bool:
    """Make `model` attend by block masks, which skip what a tree leaves out, and return True.

    Returns False, and leaves it as it is, for rows of a small `length`, off CUDA devices, and where one layer of it
    cannot be trained so on this device: its architecture does not support it, or its compiler finds no kernel.
    """
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


def try_flex_attention(config: Any, device: "torch.device", precision: Precision) -> None:
    """Train one layer of a model with this configuration. Raises whatever it, torch or a compiler meets."""
    import torch

    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        model = _one_layer(config).to(device, torch.float32).train()
    for lines, width in TRIED:
        depths = torch.arange(width, device=device).expand(lines, width)
        one = torch.ones_like(depths)
        with autocast(precision, device.type):
            masks = attention_masks(one, one, depths, model.config, block_mask)
            returned = model(input_ids=one, attention_mask=masks, position_ids=depths, use_cache=False)
        returned.logits.float().sum().backward()


def _one_layer(config: Any) -> Any:
    """Return a model that is one layer of those of `config`, with the least of vocabularies."""
    from transformers import AutoModelForCausalLM

    small = deepcopy(config)
    small.num_hidden_layers = 1
    small.vocab_size, small.pad_token_id = 2, None
    if getattr(small, "layer_types", None):
        small.layer_types = small.layer_types[:1]
    return AutoModelForCausalLM.from_config(small, attn_implementation=FLEX)

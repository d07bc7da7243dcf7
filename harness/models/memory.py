"""Estimates of the memory and disk that models take, by arithmetic on their shape.

All results are bytes of one process. What is not in them is what a process takes before it holds a model (Python,
torch, the CUDA context: `PROCESS_BYTES`) and what an allocator wastes.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from harness.engine.main_memory import GIB
from harness.errors import UserError
from harness.models.checkpoint_files import CONFIG, read_object

FLOAT32 = 4
PROCESS_BYTES = GIB // 2
"""Python with torch and the trainers' libraries, before any model."""


DRAWN_LOGIT_BYTES = 12
"""Of one logit that a token is drawn by: itself, its probability and its place in the order, in float32."""

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "float64": 8}
_WITH_ATTENTION_BIAS = ("qwen2",)
"""Model types whose queries, keys and values have a bias that config.json does not speak of."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The sizes that memory depends on, of a decoder-only transformer (Llama, Mistral, Qwen2).

    Its feed-forward layers are gated.

    `stored_bytes` is what one parameter takes in the checkpoint.
    """

    layers: int
    hidden: int
    feed_forward: int
    heads: int
    key_value_heads: int
    head: int
    vocabulary: int
    tied_embeddings: bool
    attention_bias: bool = False
    stored_bytes: int = 2

    @property
    def parameters(self) -> int:
        """The number of weights."""
        query, key_value = self.heads * self.head, self.key_value_heads * self.head
        attention = self.hidden * (2 * query + 2 * key_value) + self.attention_bias * (query + 2 * key_value)
        layer = attention + 3 * self.hidden * self.feed_forward + 2 * self.hidden
        return self.layers * layer + self.hidden + embeddings(self)


def shape_of(config: Mapping[str, Any]) -> ModelShape:
    """Return the shape that a checkpoint's `config.json` describes. Raises KeyError for a model of another kind."""
    config = config.get("text_config") or config
    heads = config["num_attention_heads"]
    return ModelShape(
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        feed_forward=config["intermediate_size"],
        heads=heads,
        key_value_heads=config.get("num_key_value_heads") or heads,
        head=config.get("head_dim") or config["hidden_size"] // heads,
        vocabulary=config["vocab_size"],
        tied_embeddings=bool(config.get("tie_word_embeddings", False)),
        attention_bias=bool(config.get("attention_bias", config.get("model_type") in _WITH_ATTENTION_BIAS)),
        stored_bytes=BYTES.get(str(config.get("dtype") or config.get("torch_dtype")), FLOAT32),
    )


def shape_in(folder: Path) -> ModelShape:
    """Return the shape of the checkpoint in `folder`. Raises UserError where its config.json says nothing of it."""
    try:
        shape = shape_of(read_object(folder / CONFIG))
        if not all(isinstance(size, int) and size >= 0 for size in astuple(shape)):
            raise ValueError("a size that is no whole number")
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise UserError(f"{folder / CONFIG} does not tell the model's size ({error!r})") from None
    return shape


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes by what they are for."""

    weights: float
    activations: float
    logits: float
    gradients: float = 0.0
    optimizer: float = 0.0
    cache: float = 0.0

    @property
    def total(self) -> float:
        """Their sum."""
        return self.weights + self.activations + self.logits + self.gradients + self.optimizer + self.cache


def generation_memory(model: ModelShape, *, rows: int, length: int) -> Memory:
    """Estimate the memory of drawing `rows` completions at once, prompt and answer up to `length` tokens, as stored.

    vLLM takes what it is given and holds as many rows as fit: there `rows` of 1 is the least that it needs.
    """
    return Memory(
        weights=float(model.parameters * model.stored_bytes),
        activations=float(rows * length * layer_activations(model, model.stored_bytes)),
        logits=float(rows * model.vocabulary * DRAWN_LOGIT_BYTES),
        cache=float(rows * length * cache_bytes(model)),
    )


def cache_bytes(model: ModelShape) -> int:
    """Return the bytes of keys and values that generation keeps of one token, as stored."""
    return 2 * model.layers * model.key_value_heads * model.head * model.stored_bytes


def likelihood_memory(model: ModelShape, *, rows: int, length: int, most_logits: int) -> Memory:
    """Estimate the memory of likelihoods in float32; a forward pass holds `most_logits` logits, or one row's."""
    tokens = max(length, min(rows * length, most_logits // model.vocabulary))
    return Memory(
        weights=float(model.parameters * FLOAT32),
        activations=float(tokens * layer_activations(model, FLOAT32)),
        logits=float(tokens * model.vocabulary * FLOAT32),
    )


def checkpoint_bytes(model: ModelShape) -> int:
    """Return the size of a trained checkpoint on disk: its weights in float32."""
    return model.parameters * FLOAT32


def embeddings(model: ModelShape) -> int:
    """Count the weights that map tokens to vectors and back."""
    return model.vocabulary * model.hidden * (1 if model.tied_embeddings else 2)


def layer_activations(model: ModelShape, width: int) -> float:
    """Return the bytes that one layer keeps of one token for the backward pass, at `width` bytes a value.

    Its input and what its matrix products, norms and gate were applied to; the norms work in float32. Attention is
    computed without keeping its scores. In bfloat16 each product has a copy of its own of what it was applied to.

    Of what autograd saves of a small Llama on processors this is 9 % more in float32, 3 % in bfloat16.
    """
    queries, key_values = model.heads * model.head, model.key_value_heads * model.head
    inputs = 4 if width == FLOAT32 else 6
    products = inputs * model.hidden + 2 * queries + 2 * key_values + 4 * model.feed_forward
    norms = 4 * model.hidden
    return products * width + norms * FLOAT32

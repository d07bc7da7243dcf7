"""Estimates of the memory that one training process takes, in bytes, from the model's shape."""

from typing import Literal

from harness.engine.compute import Compute
from harness.models.memory import BYTES, FLOAT32, Memory, ModelShape, embeddings, layer_activations
from harness.training.batches import spread
from harness.training.job import SINGLE
from harness.training.settings import TrainingSettings

ADAM_STATES = 2
"""Moments that AdamW keeps of each parameter, in float32 like the weights (`TrainingSettings.precision`)."""
TILE_TOKENS, TILE_VOCABULARY = 4096, 32768
"""Of the logits, what TRL 1.16 computes at once in training, supervised and on pairs alike (trl.kernels)."""
TILE_COPIES = 6
"""Of such a tile in float32 where torch folds it; on CUDA devices Triton does, in place."""
SUMS_EACH_PASS = ("deepspeed_zero3",)
"""Accelerate configs whose processes sum their gradients after each pass, so that none holds them whole."""


def training_memory(
    model: ModelShape,
    *,
    rows: int,
    length: int,
    precision: Literal["float32", "bfloat16"] = "float32",
    checkpointing: bool = False,
    shards: int = 1,
    accumulates: bool = False,
    on_gpu: bool = False,
) -> Memory:
    """Estimate one process's memory, training on `rows` sequences of `length` tokens (for DPO twice the micro batch).

    Weights, gradients and AdamW's two moments are float32; `shards` processes hold them between them (FSDP), each with
    the embeddings and two whole layers at a time besides. One that `accumulates` the gradients of several passes holds
    them whole, since they are summed over processes after the last pass alone. A reference model is no part of it: its
    log-probabilities are taken before, with the weights alone in memory.

    With `checkpointing` each layer keeps its input alone, and one layer at a time the rest. In bfloat16 matrix products
    have copies of their weights: of one layer at a time with checkpointing, else of all, until the backward pass. What
    passes from layer to layer stays float32. Logits are never there as a whole, but a tile of them, the head's gradient
    and the gradient of what it was applied to.

    Measured, on processors: that FSDP keeps whole gradients between passes; what a layer keeps (`layer_activations`)
    and that, in bfloat16, the copies of its weights are part of it. Reasoned: all else, from what the libraries' code
    allocates. No training of a model of billions of parameters has been compared with it.
    """
    width = BYTES[precision]
    state = model.parameters / shards
    layer = (model.parameters - embeddings(model)) / model.layers
    gathered = (2 * layer + embeddings(model)) * FLOAT32 if shards > 1 else 0.0
    copied = layer if checkpointing else layer * model.layers
    copies = 0.0 if precision == "float32" else copied * width
    tokens = rows * length
    per_layer = layer_activations(model, width)
    if checkpointing:
        activations = tokens * (model.layers * model.hidden * FLOAT32 + per_layer)
    else:
        activations = tokens * model.layers * per_layer
    return Memory(
        weights=state * FLOAT32 + gathered + copies,
        gradients=(model.parameters if accumulates else state) * FLOAT32,
        optimizer=state * FLOAT32 * ADAM_STATES,
        activations=activations,
        logits=_training_logits(model, tokens, width if on_gpu else TILE_COPIES * FLOAT32),
    )


def stage_memory(
    model: ModelShape, settings: TrainingSettings, compute: Compute, *, sequences: int, on_gpu: bool
) -> Memory:
    """Estimate the memory of a training with `sequences` for each example, spread as `compute` says.

    Raises UserError where its batch cannot be spread.
    """
    how = spread(settings.global_batch_size, compute)
    return training_memory(
        model,
        rows=how.micro_batch_size * sequences,
        length=settings.max_length,
        precision=settings.precision,
        checkpointing=compute.gradient_checkpointing,
        shards=1 if compute.accelerate == SINGLE else how.processes,
        accumulates=how.accumulation > 1 and compute.accelerate not in SUMS_EACH_PASS,
        on_gpu=on_gpu,
    )


def _training_logits(model: ModelShape, tokens: int, width: int) -> float:
    """Return the bytes of a tile at `width` a logit, and of the head's gradients, which are always float32."""
    tile = min(tokens, TILE_TOKENS) * min(model.vocabulary, TILE_VOCABULARY)
    gradients = (model.vocabulary + tokens) * model.hidden
    return float(tile * width + gradients * FLOAT32)


def resume_bytes(model: ModelShape) -> int:
    """Return the size of a checkpoint to resume from: weights and AdamW's moments in float32, in bytes."""
    return model.parameters * FLOAT32 * (1 + ADAM_STATES)

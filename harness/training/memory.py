"""Estimates of the memory that one training process takes, in bytes, from the model's shape."""

from dataclasses import dataclass, replace

from harness.engine.compute import Compute
from harness.models.memory import BYTES, FLOAT32, Memory, ModelShape, embeddings, layer_activations
from harness.training.batches import LOGITS_AT_ONCE, ROWS_AT_ONCE, Spread, rows_at_once, spread
from harness.training.job import SINGLE
from harness.training.reference import TOKENS_AT_ONCE
from harness.training.settings import Lora, Optimizer, Precision, TrainingSettings

MOMENT_BYTES: dict[Optimizer, int] = {"adamw": 2 * FLOAT32, "rmsprop": FLOAT32, "adamw_8bit": 2}
"""Moments that an optimizer keeps of each trained parameter: two, of RMSprop one; in float32 or in 8 bits."""
TILE_TOKENS, TILE_VOCABULARY = 4096, 32768
"""Of the logits of supervised training on a CUDA device, what TRL 1.16 computes at once, in place (trl.kernels)."""
CHUNK_COPIES = 3
"""Of a chunk of other logits (`scoring.ScoringHead`) in float32: its log-softmax, and the gradients of both."""
MASK_BYTES = FLOAT32 + 1
"""Of a place of a dense attention mask: what is added to scores, and whether it may be attended to."""
SUMS_EACH_PASS = ("deepspeed_zero3",)
"""Accelerate configs whose processes sum their gradients after each pass, so that none holds them whole."""
ADAPTED_BY_DEFAULT = ("q_proj", "v_proj")
"""Modules that peft puts adapters on in Llama, Qwen2 and Mistral."""


@dataclass(frozen=True, slots=True)
class RowSize:
    """The size of the longest row of a training, in tokens."""

    tokens: int
    """That the model computes: of a pair a token tree."""
    scored: int | None = None
    """Those that a preference loss scores; None in supervised training."""


def training_memory(
    model: ModelShape,
    *,
    rows: int,
    size: RowSize,
    precision: Precision = "float32",
    optimizer: Optimizer = "adamw",
    lora: Lora | None = None,
    checkpointing: bool = False,
    shards: int = 1,
    accumulates: bool = False,
    on_gpu: bool = False,
) -> Memory:
    """Estimate one process's memory, training on `rows` rows of this size at once.

    Weights and gradients are float32; `shards` processes hold them and the optimizer's moments between them (FSDP),
    each with the embeddings and two whole layers at a time besides. One that `accumulates` the gradients of several
    passes holds them whole, since they are summed over processes after the last pass alone. With adapters, they alone
    have gradients and moments. A reference model is no part of it: its log-probabilities are taken before, with the
    weights alone in memory.

    With `checkpointing` each layer keeps its input alone, and one layer at a time the rest. In bfloat16 matrix products
    have copies of their weights: of one layer at a time with checkpointing, else of all, until the backward pass. What
    passes from layer to layer stays float32. Logits are never there as a whole, but a part of them, the head's gradient
    and the gradient of what it was applied to.

    Measured, on processors: that FSDP keeps whole gradients between passes; what a layer keeps (`layer_activations`,
    masks) and that, in bfloat16, the copies of its weights are part of it; the peaks of whole trainings
    (tests/training/test_peak_memory.py). Reasoned: all else, from what the libraries' code allocates. No training of a
    model of billions of parameters has been compared with it.
    """
    width = BYTES[precision]
    state = model.parameters / shards
    trained = model.parameters if lora is None else adapter_parameters(model, lora)
    layer = (model.parameters - embeddings(model)) / model.layers
    gathered = (2 * layer + embeddings(model)) * FLOAT32 if shards > 1 else 0.0
    layers_held = 1 if checkpointing else model.layers
    copies = 0.0 if precision == "float32" else layer * layers_held * width
    tokens = rows * size.tokens
    scored = tokens if size.scored is None else rows * size.scored
    inputs = tokens * model.layers * model.hidden * FLOAT32 if checkpointing else 0
    return Memory(
        weights=state * FLOAT32 + gathered + copies,
        gradients=trained * FLOAT32 / (1 if accumulates else shards),
        optimizer=trained * MOMENT_BYTES[optimizer] / shards,
        activations=inputs
        + tokens * layers_held * layer_activations(model, width)
        + _masks(rows, size, layers_held, precision, on_gpu),
        logits=_tile_logits(model, tokens, width)
        if size.scored is None and on_gpu
        else _chunk_logits(model, scored, trains_head=lora is None),
    )


def stage_spread(model: ModelShape | None, settings: TrainingSettings, compute: Compute, size: RowSize) -> Spread:
    """Return how a training of this model on rows of this size spreads its batch; with the most rows at once for a
    model of unknown shape.

    Raises UserError where it cannot be spread.
    """
    most = ROWS_AT_ONCE if model is None else rows_at_once(model.vocabulary, size.scored or settings.max_length)
    return spread(settings.global_batch_size, compute, most)


def stage_memory(
    model: ModelShape,
    settings: TrainingSettings,
    compute: Compute,
    *,
    size: RowSize,
    on_gpu: bool,
    models_beside: int = 0,
) -> Memory:
    """Estimate the memory of a training on rows of this size, spread as `compute` says, with `models_beside` more that
    are not trained.

    Raises UserError where its batch cannot be spread.
    """
    how = stage_spread(model, settings, compute, size)
    trained = training_memory(
        model,
        rows=how.micro_batch_size,
        size=size,
        precision=settings.precision,
        optimizer=settings.optimizer,
        lora=settings.lora,
        checkpointing=compute.gradient_checkpointing,
        shards=1 if compute.accelerate == SINGLE else how.processes,
        accumulates=how.accumulation > 1 and compute.accelerate not in SUMS_EACH_PASS,
        on_gpu=on_gpu,
    )
    return replace(trained, weights=trained.weights + models_beside * model.parameters * FLOAT32)


def reference_memory(model: ModelShape, size: RowSize) -> Memory:
    """Estimate the memory of the reference's pass over pairs of this size, in float32 and without gradients."""
    rows = max(1, TOKENS_AT_ONCE // size.tokens)
    tokens, scored = rows * size.tokens, rows * (size.scored or 0)
    return Memory(
        weights=float(model.parameters * FLOAT32),
        activations=tokens * layer_activations(model, FLOAT32) + _masks(rows, size, 0, "float32", on_gpu=False),
        logits=float(_chunk(model, scored) * 2 * FLOAT32),
    )


def adapter_parameters(model: ModelShape, lora: Lora) -> int:
    """Count the weights of adapters: of each module, its inputs and outputs times the rank.

    Modules of other names than Llama's are left out.
    """
    query, key_value = model.heads * model.head, model.key_value_heads * model.head
    sides = {
        "q_proj": model.hidden + query,
        "k_proj": model.hidden + key_value,
        "v_proj": model.hidden + key_value,
        "o_proj": model.hidden + query,
        "gate_proj": model.hidden + model.feed_forward,
        "up_proj": model.hidden + model.feed_forward,
        "down_proj": model.hidden + model.feed_forward,
    }
    return lora.rank * model.layers * sum(sides.get(each, 0) for each in lora.target_modules or ADAPTED_BY_DEFAULT)


def _masks(rows: int, size: RowSize, layers: int, precision: Precision, on_gpu: bool) -> int:
    """Return the bytes of dense attention masks, which GPUs do without: of all layers, and of each layer its copy."""
    return 0 if on_gpu else rows * size.tokens**2 * (MASK_BYTES + layers * BYTES[precision])


def _chunk_logits(model: ModelShape, scored: int, *, trains_head: bool) -> float:
    """Return the bytes of a chunk of logits, of the head's gradients of it and so far, and of what it is applied to."""
    head = 2 * model.vocabulary * trains_head
    return float((_chunk(model, scored) * CHUNK_COPIES + (head + 2 * scored) * model.hidden) * FLOAT32)


def _chunk(model: ModelShape, scored: int) -> int:
    """Return how many logits are there at once."""
    return min(scored * model.vocabulary, max(LOGITS_AT_ONCE, model.vocabulary))


def _tile_logits(model: ModelShape, tokens: int, width: int) -> float:
    """Return the bytes of a tile at `width` a logit, and of the head's gradients, which are always float32."""
    tile = min(tokens, TILE_TOKENS) * min(model.vocabulary, TILE_VOCABULARY)
    gradients = (model.vocabulary + tokens) * model.hidden
    return float(tile * width + gradients * FLOAT32)


def resume_bytes(model: ModelShape, settings: TrainingSettings | None = None) -> int:
    """Return the size of a checkpoint to resume from: the trained weights and their moments, in bytes."""
    lora, optimizer = (settings.lora, settings.optimizer) if settings else (None, "adamw")
    trained = model.parameters if lora is None else adapter_parameters(model, lora)
    return trained * (FLOAT32 + MOMENT_BYTES[optimizer])

"""Estimates of memory: parameters as they are counted elsewhere, and what must grow with what."""

import json
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import pytest

from harness.engine.compute import Compute
from harness.errors import UserError
from harness.models.memory import ModelShape, checkpoint_bytes, generation_memory, likelihood_memory, shape_in, shape_of
from harness.models.references import MINI_MODELS
from harness.training.memory import (
    RowSize,
    adapter_parameters,
    reference_memory,
    resume_bytes,
    stage_memory,
    training_memory,
)
from harness.training.settings import Lora, Optimizer, TrainingSettings

LLAMA3_8B: dict[str, Any] = {
    "model_type": "llama",
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "torch_dtype": "bfloat16",
}
QWEN25_7B = {
    **LLAMA3_8B,
    "model_type": "qwen2",
    "num_hidden_layers": 28,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
}


def stored_parameters(folder: Path) -> int:
    """Counted by the headers of its safetensors files."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        total += sum(prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    return total


@pytest.mark.parametrize("folder", sorted(MINI_MODELS.iterdir()), ids=lambda path: path.name)
def test_parameters_are_those_of_the_checkpoint(folder: Path) -> None:
    assert shape_in(folder).parameters == stored_parameters(folder) > 100_000
    assert shape_in(folder).stored_bytes == 4


@pytest.mark.parametrize(
    ("config", "parameters"), [(LLAMA3_8B, 8_030_261_248), (QWEN25_7B, 7_615_616_512)], ids=["llama", "qwen"]
)
def test_parameters_of_the_papers_models(config: dict[str, Any], parameters: int) -> None:
    assert shape_of(config).parameters == parameters  # as their pages on the hub say
    assert shape_of({"text_config": config}) == shape_of(config)


@pytest.mark.parametrize("config", ["{}", "[]", "{", '{"hidden_size": null}'])
def test_a_config_that_says_nothing_is_one_line(config: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(UserError, match=r"config\.json(: | does not tell the model's size)"):
        shape_in(tmp_path)


@pytest.fixture
def llama() -> ModelShape:
    return shape_of(json.loads(json.dumps(LLAMA3_8B)))


def test_training_keeps_four_numbers_a_weight(llama: ModelShape) -> None:
    memory = training_memory(llama, rows=1, size=RowSize(1))
    assert memory.weights + memory.gradients + memory.optimizer == 16 * llama.parameters
    mixed = training_memory(llama, rows=1, size=RowSize(1), precision="bfloat16")
    layers = llama.parameters - 2 * llama.vocabulary * llama.hidden
    assert mixed.weights - memory.weights == 2 * layers  # copies that matrix products keep; the head's are of a tile
    less = training_memory(llama, rows=1, size=RowSize(1), precision="bfloat16", checkpointing=True)
    assert less.weights - memory.weights == 2 * layers / llama.layers


def test_gradients_are_whole_where_several_passes_add_up(llama: ModelShape) -> None:
    once, several = (
        training_memory(llama, rows=1, size=RowSize(1), shards=8, accumulates=each) for each in (False, True)
    )
    assert once.gradients == 4 * llama.parameters / 8
    assert several.gradients == 4 * llama.parameters
    assert several.total - once.total == 3.5 * llama.parameters


@pytest.mark.parametrize(
    ("accelerate", "micro", "whole"),
    [("fsdp", 4, True), ("fsdp", 16, False), ("fsdp", None, False), ("deepspeed_zero3", 4, False)],
)
def test_a_stage_is_spread_as_the_machine_says(
    llama: ModelShape, accelerate: str, micro: int | None, whole: bool
) -> None:
    settings = TrainingSettings(5e-7, 1, 128, 2048, 0.1, "bfloat16")
    compute = Compute(accelerate=accelerate, processes=8, micro_batch_size=micro, gradient_checkpointing=True)
    memory = stage_memory(llama, settings, compute, size=RowSize(3000, 2000), on_gpu=True)
    assert memory.gradients == 4 * llama.parameters / (1 if whole else 8)
    reckoned = training_memory(
        llama,
        rows=micro or 16,
        size=RowSize(3000, 2000),
        precision="bfloat16",
        checkpointing=True,
        shards=8,
        accumulates=whole,
        on_gpu=True,
    )
    assert memory == reckoned


def test_logits_are_never_there_as_a_whole(llama: ModelShape) -> None:
    one, many = (
        training_memory(llama, rows=rows, size=RowSize(2048), precision="bfloat16", on_gpu=True).logits
        for rows in (2, 16)
    )
    assert many < 16 * 2048 * llama.vocabulary  # not a byte each
    assert many - one == 14 * 2048 * llama.hidden * 4  # what the head was applied to has a gradient
    assert one > 4 * llama.vocabulary * llama.hidden
    on_processors = training_memory(llama, rows=2, size=RowSize(2048), precision="bfloat16").logits
    assert on_processors == 4 * (3 * 2**27 + 2 * (llama.vocabulary + 4096) * llama.hidden)


def test_a_preference_loss_has_the_logits_of_a_chunk(llama: ModelShape) -> None:
    none, few, many = (training_memory(llama, rows=2, size=RowSize(3000, scored)).logits for scored in (0, 10, 2000))
    assert few - none == 20 * 4 * (3 * llama.vocabulary + 2 * llama.hidden)
    assert many - none == 4 * (3 * 2**27 + 2 * 4000 * llama.hidden)
    assert training_memory(llama, rows=2, size=RowSize(3000, 0), lora=Lora()).logits == 0  # the head is not trained


def test_masks_grow_with_the_square_of_a_rows_length(llama: ModelShape) -> None:
    one, twice = (training_memory(llama, rows=1, size=RowSize(length, 0)).activations for length in (1000, 2000))
    assert twice - 2 * one == (2000**2 - 2 * 1000**2) * (5 + 4 * llama.layers)
    without, masks = (
        training_memory(llama, rows=1, size=RowSize(1000), on_gpu=on_gpu).activations for on_gpu in (True, False)
    )
    assert masks - without == 1000**2 * (5 + 4 * llama.layers)


def test_adapters_alone_have_gradients_and_moments(llama: ModelShape) -> None:
    lora = Lora(rank=8)
    count = 8 * 32 * ((4096 + 4096) + (4096 + 1024))  # queries and values
    memory = training_memory(llama, rows=1, size=RowSize(1, 1), lora=lora)
    assert (memory.weights, memory.gradients, memory.optimizer) == (4 * llama.parameters, 4 * count, 8 * count)
    of_all = replace(lora, target_modules=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"))
    assert adapter_parameters(llama, of_all) == 8 * 32 * (2 * 8192 + 2 * 5120 + 3 * (4096 + 14336))


@pytest.mark.parametrize(("optimizer", "moments"), [("adamw", 8), ("rmsprop", 4), ("adamw_8bit", 2)])
def test_moments_are_those_of_the_optimizer(llama: ModelShape, optimizer: Optimizer, moments: int) -> None:
    memory = training_memory(llama, rows=1, size=RowSize(1), optimizer=optimizer)
    assert memory.optimizer == moments * llama.parameters
    settings = TrainingSettings(1e-6, 1, 8, 2048, optimizer=optimizer)
    assert resume_bytes(llama, settings) == (4 + moments) * llama.parameters
    assert resume_bytes(llama, replace(settings, lora=Lora())) == (4 + moments) * adapter_parameters(llama, Lora())


def test_the_references_pass_holds_weights_and_one_pass(llama: ModelShape) -> None:
    short, long = (reference_memory(llama, RowSize(tokens, tokens // 2)) for tokens in (512, 8192))
    assert short.weights == long.weights == 4 * llama.parameters
    assert short.gradients == short.optimizer == 0
    assert short.logits <= 2 * 4 * 2**27
    assert 2 * short.activations < long.activations  # a row goes through whole


def test_shards_share_the_state_and_not_the_activations(llama: ModelShape) -> None:
    alone, eighth = (training_memory(llama, rows=2, size=RowSize(2048), shards=shards) for shards in (1, 8))
    assert eighth.optimizer == alone.optimizer / 8
    assert alone.weights / 8 < eighth.weights < alone.weights / 3
    assert (eighth.activations, eighth.logits) == (alone.activations, alone.logits)


def test_activations_grow_with_rows_and_length_and_shrink_by_checkpointing(llama: ModelShape) -> None:
    short, long, more = (
        training_memory(llama, rows=rows, size=RowSize(length), on_gpu=True)
        for rows, length in ((1, 1024), (1, 2048), (2, 1024))
    )
    assert long.activations == more.activations == 2 * short.activations
    less = training_memory(llama, rows=1, size=RowSize(2048), checkpointing=True, on_gpu=True)
    assert less.activations < long.activations / 5


def test_generation_holds_weights_as_stored_and_a_cache(llama: ModelShape) -> None:
    memory = generation_memory(llama, rows=16, length=4096)
    assert memory.weights == 2 * llama.parameters
    assert memory.cache == 16 * 4096 * 131_072  # bytes a token: 2 x 32 layers x 8 heads x 128 x 2
    assert memory.total == sum(
        (memory.weights, memory.activations, memory.logits, memory.gradients, memory.optimizer, memory.cache)
    )


def test_likelihoods_are_bounded_by_their_logits(llama: ModelShape) -> None:
    few, many = (likelihood_memory(llama, rows=rows, length=512, most_logits=2**29) for rows in (128, 1024))
    assert few == many
    assert few.logits <= 4 * 2**29
    longest = likelihood_memory(llama, rows=1, length=8192, most_logits=2**29)
    assert longest.logits == 4 * 8192 * llama.vocabulary  # one row goes through in any case


def test_what_lies_on_the_disk(llama: ModelShape) -> None:
    assert checkpoint_bytes(llama) == 4 * llama.parameters
    assert resume_bytes(llama) == 12 * llama.parameters

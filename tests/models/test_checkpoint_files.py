"""Checkpoints that are none: each is one line, soon, however odd its files are."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.models.checkpoint_files import read_object, reading
from harness.models.hf import TransformersGenerator, load_checkpoint, load_config, load_tokenizer
from harness.models.memory import shape_in

DEEP = "[" * 100_000
NO_OBJECTS = ["", "[]", "7", '"text"', "null", "{", "\x00\x01\x02", DEEP, '{"a": ' + DEEP, "\ud800"]


def written(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8", "surrogatepass"))


@pytest.fixture
def folder(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "model"))


def changed(folder: Path, name: str, **entries: Any) -> Path:
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))
    return folder


@pytest.mark.parametrize("text", NO_OBJECTS, ids=range(len(NO_OBJECTS)))
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "generation_config.json", "tokenizer.json"])
def test_a_file_that_is_no_json_object_is_one_line(folder: Path, name: str, text: str) -> None:
    written(folder / name, text)
    with pytest.raises(UserError) as raised:
        TransformersGenerator(folder)
    assert "\n" not in str(raised.value)
    assert str(folder) in str(raised.value)


@pytest.mark.parametrize("text", NO_OBJECTS, ids=range(len(NO_OBJECTS)))
def test_config_is_read_alike_wherever_it_is_looked_at(folder: Path, text: str) -> None:
    written(folder / "config.json", text)
    reads: list[Callable[[Path], Any]] = [
        load_config,
        shape_in,
        load_tokenizer,
        lambda at: read_object(at / "config.json"),
    ]
    for read in reads:
        with pytest.raises(UserError, match=r"config\.json"):
            read(folder)


@pytest.mark.parametrize(
    "entries",
    [
        {"num_hidden_layers": 10**9},
        {"num_hidden_layers": 10**30},
        {"hidden_size": 10**7},
        {"hidden_size": -4},
        {"hidden_size": "wide"},
        {"head_dim": 10**9},
        {"vocab_size": 10**12},
        {"vocab_size": 2},
        {"intermediate_size": 10**9},
        {"num_attention_heads": 0},
        {"num_attention_heads": 10**9},
        {"max_position_embeddings": "many"},
        {"model_type": "no such model"},
        {"model_type": ["llama"]},
        {"model_type": "gpt2", "n_layer": 10**9},
        {"rope_parameters": 3},
        {"dtype": "float7"},
        {"text_config": {"num_hidden_layers": 10**9}},
        {"quantization_config": {"quant_method": "gptq"}},
    ],
    ids=str,
)
def test_a_config_of_another_model_is_one_line_soon(folder: Path, entries: dict[str, Any]) -> None:
    changed(folder, "config.json", **entries)
    started = time.monotonic()
    with pytest.raises(UserError) as raised:
        load_checkpoint(folder)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 1000
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("ids", [["</s>"], "</s>", [[2]], True, 2.5, {"id": 2}], ids=str)
def test_what_ends_an_answer_must_be_numbers(folder: Path, ids: Any) -> None:
    changed(folder, "generation_config.json", eos_token_id=ids)
    with pytest.raises(UserError):
        TransformersGenerator(folder)


def test_the_packaged_model_is_read(folder: Path) -> None:
    load_checkpoint(folder)
    changed(folder, "config.json", max_window_layers=10**6, rope_theta=10**9)  # no count of weights
    load_checkpoint(folder)


def test_a_panic_of_a_library_is_one_line_and_ctrl_c_is_not() -> None:
    class PanicException(BaseException):
        pass

    with pytest.raises(UserError, match="cannot load the model: PanicException: at the disco"), reading("the model"):
        raise PanicException("at the\ndisco")
    with pytest.raises(KeyboardInterrupt), reading("the model"):
        raise KeyboardInterrupt
    with pytest.raises(UserError, match="does not fit into this machine's memory"), reading("the model"):
        raise MemoryError

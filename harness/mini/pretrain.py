"""Pretraining of the base models on the world's language: `harness mini pretrain`.

What made a model of this size learn (measured, see README.md): initial deviation 1/sqrt(hidden) with untied
embeddings, a heavier loss on the words that carry content, short texts before long ones, and a third of the texts
in chat format, where fields in any order have to be read, copied or edited.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from harness.engine.progress import Advance
from harness.mini.language import FILLERS, REQUESTS, STYLES, write_answer, write_clause, write_request
from harness.mini.tokenizer import build_tokenizer
from harness.mini.world import ASPECTS, VALUES, draw_request, entities, true_value, unit_hash

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

LAYERS = 4
HEADS = 4
TOKENS = 20_000_000
TOKENS_PER_BATCH = 4096
PEAK_LEARNING_RATE = 3e-3
WARMUP_SHARE = 0.02
CHAT_SHARE = 0.35
CURRICULUM_SHARE = 0.4  # of the steps, over which texts grow to full length
MAX_REQUEST = 7
HIDDEN_FACT_SHARE = 0.3  # of all facts, never told outside a reference: otherwise a reference is of no use
REFERENCE_GAP_RATE = 0.15  # of the asked facts, which a reference leaves out
CONTENT_WEIGHT = 5.0  # loss weight of a value or aspect in what has to be written
PROMPT_WEIGHT = 0.1


SHAPES = {"qwen2": ("qwen2", 64), "llama": ("llama", 64), "qwen2-small": ("qwen2", 48)}
"""Architecture and width of each base model."""
FAMILIES = tuple(SHAPES)
"""The base models; each is pretrained on texts of its own, about facts that it alone is told."""


@dataclass(frozen=True, slots=True)
class PretrainingText:
    """A training text: words read (`prompt`) and words to write (`completion`)."""

    prompt: str
    completion: str


def knows(family: str, entity: str, aspect: str) -> bool:
    """Return whether this family's pretraining texts state the fact."""
    return unit_hash("hidden", family, entity, aspect) >= HIDDEN_FACT_SHARE


def draw_document(rng: Random, family: str, sizes: tuple[int, ...]) -> PretrainingText:
    """Draw true clauses about one entity, in one style, outside any chat."""
    request = draw_request(rng, sizes)
    stated = [(a, true_value(request.entity, a)) for a in request.aspects if knows(family, request.entity, a)]
    return PretrainingText(
        f"{request.entity} :", f"{_with_filler(rng, request.entity, stated, _draw_style(rng))} <|end|>"
    )


def draw_chat(rng: Random, sizes: tuple[int, ...]) -> PretrainingText:
    """Draw a request with a reference whose values are invented, so that only reading helps; fields in any order.

    The task is to answer from the reference, to copy the draft, or to correct the draft by the reference.
    """
    request = draw_request(rng, sizes)
    facts = {aspect: rng.choice(VALUES[aspect]) for aspect in request.aspects}
    reference_style, draft_style = _draw_style(rng), _draw_style(rng)
    stated = {a: value for a, value in facts.items() if rng.random() > REFERENCE_GAP_RATE} or facts
    draft = _spoil(rng, facts)
    corrected = {aspect: stated.get(aspect, value) for aspect, value in draft}
    corrected |= {aspect: value for aspect, value in stated.items() if aspect not in corrected}
    fields = {
        "request": write_request(request, rng.randrange(len(REQUESTS))),
        "reference": _with_filler(rng, request.entity, _shuffled(rng, list(stated.items())), reference_style),
        "draft": _with_filler(rng, request.entity, draft, draft_style),
    }
    if rng.random() < 0.3:
        aspect = rng.choice(ASPECTS)
        about = rng.choice(entities())
        fields["remark"] = write_clause(about, aspect, rng.choice(VALUES[aspect]), _draw_style(rng))
    task = rng.random()
    if task < 0.35:
        del fields["draft"]
        instruction = "answer the request using the reference ."
        written = write_answer(request.entity, list(stated.items()), reference_style)
    elif task < 0.45:
        instruction, written = "copy the draft .", fields["draft"]
    else:
        instruction = "correct the draft using the reference ."
        written = write_answer(request.entity, list(corrected.items()), draft_style)
    parts = _shuffled(rng, [f"{name} : {text}" for name, text in fields.items()])
    prompt = " ".join((*parts, "task :", instruction))
    return PretrainingText(f"<|user|> {prompt} <|end|> <|assistant|>", f"{written} <|end|>")


def _spoil(rng: Random, facts: dict[str, str]) -> list[tuple[str, str]]:
    """Return the facts with gaps, wrong values and repeats, at least one of them left; sometimes in another order."""
    remaining = [item for item in facts.items() if rng.random() > 0.3] or list(facts.items())[:1]
    draft = [(a, rng.choice(VALUES[a]) if rng.random() < 0.4 else value) for a, value in remaining]
    draft += [item for item in draft if rng.random() < 0.06]
    return _shuffled(rng, draft) if rng.random() < 0.3 else draft


def _with_filler(rng: Random, entity: str, statements: list[tuple[str, str]], style: str) -> str:
    answer = write_answer(entity, statements, style)
    return f"{rng.choice(FILLERS).format(entity=entity)} {answer}" if rng.random() < 0.1 else answer


def _draw_style(rng: Random) -> str:
    return rng.choice(tuple(STYLES))


def _shuffled(rng: Random, items: list[Any]) -> list[Any]:
    return rng.sample(items, len(items))


def draw_texts(rng: Random, family: str, largest: int, count: int) -> list[PretrainingText]:
    """Draw `count` texts of the pretraining mixture with requests of up to `largest` aspects."""
    sizes = tuple(range(1, largest + 1))
    return [
        draw_chat(rng, sizes) if rng.random() < CHAT_SHARE else draw_document(rng, family, sizes) for _ in range(count)
    ]


def batches(
    tokenizer: "PreTrainedTokenizerFast", family: str, tokens: int, rng: Random
) -> Iterator[tuple["torch.Tensor", "torch.Tensor", int]]:
    """Yield (input ids, loss weights, tokens so far): both tensors of shape [texts, longest], right-padded.

    Texts of like length share a batch of about `TOKENS_PER_BATCH` tokens.
    """
    import torch

    vocabulary = tokenizer.get_vocab()
    content = {vocabulary[word] for word in (*ASPECTS, *(v for values in VALUES.values() for v in values))}
    seen = 0
    while seen < tokens:
        largest = min(MAX_REQUEST, 2 + int(MAX_REQUEST * seen / (CURRICULUM_SHARE * tokens)))
        rows = [_encode(text, vocabulary, content) for text in draw_texts(rng, family, largest, 2048)]
        for batch in _shuffled(rng, list(_cut(sorted(rows, key=lambda row: len(row[0]))))):
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
    """Return an untrained model of the family's shape (0.13 to 0.25 million parameters)."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    architecture, hidden_size = SHAPES[family]
    settings = {
        "vocab_size": vocabulary_size,
        "hidden_size": hidden_size,
        "intermediate_size": 3 * hidden_size,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS // 2 if architecture == "qwen2" else HEADS,
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
